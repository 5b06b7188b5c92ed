//! Notes: `notary-verify note`, and reading those of other commands.

use notary_core::Seal;
use notary_core::note::MAX_NOTE;

use crate::Trouble;
use crate::args::NoteArgs;
use crate::input::{Source, instead};
use crate::report::Complaint;
use crate::session::{Believed, Session};

/// Checks one note.
pub fn run(args: &NoteArgs, session: &mut Session) -> Result<(), Trouble> {
    read(&args.note, session).map(drop)
}

/// A note, if it is one and is believed; a problem in the report if not.
pub fn read(file: &Source, session: &mut Session) -> Result<Option<(Seal, Believed)>, Trouble> {
    let bytes = file.read_text(MAX_NOTE)?;
    let name = file.name();
    Ok(match Seal::parse(&bytes) {
        Ok(seal) => session.believe(&name, &seal).map(|believed| (seal, believed)),
        Err(error) => {
            let why = instead(&bytes, "a note", error.to_string());
            session.report.problem(Complaint::of_file(&name, "bad_note", why));
            None
        }
    })
}
