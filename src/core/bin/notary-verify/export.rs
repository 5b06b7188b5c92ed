//! `notary-verify export`: the lines of a log against the notes that were made of it.

use notary_core::export::ExportCheck;

use crate::Trouble;
use crate::args::ExportArgs;
use crate::input::Source;
use crate::notes;
use crate::progress::Progress;
use crate::report::{Complaint, ExportFacts};
use crate::session::{Believed, Session};
use crate::stream;

/// Checks an export against notes.
pub fn run(args: &ExportArgs, session: &mut Session) -> Result<(), Trouble> {
    if args.note.is_empty() && !session.trust().unsigned {
        return Err(Trouble("no note to check the export against: give --note, or --unsigned".to_owned()));
    }
    for note in &args.note {
        notes::read(note, session)?;
    }
    check(&args.export, args.allow_uncovered, !args.note.is_empty(), session)
}

/// Checks an export against all checkpoints that are believed so far. If notes were given and none is, that is a problem
/// already.
pub fn check(file: &Source, allow_uncovered: bool, notes_given: bool, session: &mut Session) -> Result<(), Trouble> {
    let name = file.name();
    let believed = session.believed().to_vec();
    let remembered = session.remembered();
    let sizes = believed.iter().map(|believed| believed.checkpoint.size());
    let sizes = sizes.chain(remembered.iter().map(|(_, checkpoint)| checkpoint.size()));
    let log = session.report.origin.as_ref().map(|origin| origin.log());
    let mut check = ExportCheck::new(log, sizes);

    let (mut input, length) = file.open()?;
    let mut progress = Progress::new(session.progress, length);
    let report = &mut session.report;
    let ended =
        stream::check(&mut input, &mut check, &mut progress, |finding| report.problem(Complaint::of(&name, finding)));
    drop(progress);
    let ended = ended.map_err(|error| file.unreadable(&error))?;
    if let Some(what) = ended.foreign {
        return Err(file.trouble(what));
    }
    if let Some(what) = ended.altered {
        report.warning(format!("{name}: {what}"));
    }

    let lines = check.size();
    report.export = Some(ExportFacts {
        file: name.clone(),
        bytes: ended.bytes,
        lines,
        segments: check.segments(),
        chains: check.chains(),
        root: check.root(),
    });
    if ended.too_long {
        report.warning(format!("{name}: what follows line {lines} was not read, and notes were not compared"));
        return Ok(());
    }
    if ended.cut_short {
        let why = "the last line does not end in a newline: the file was cut short";
        report.problem(Complaint { line: Some(lines), ..Complaint::of_file(&name, "no_final_newline", why.into()) });
    }
    compare(&check, believed, session);
    if let Some((state, checkpoint)) = remembered
        && check.root_at(checkpoint.size()).is_some_and(|root| root != *checkpoint.root())
    {
        let why = format!("the first {} lines are not those of the note that {state} remembers", checkpoint.size());
        session.report.problem(Complaint::of_file(&name, "other_root_than_remembered", why));
    }
    if !notes_given || !session.believed().is_empty() {
        cover(&name, lines, allow_uncovered, session);
    }
    Ok(())
}

/// Whether the lines have the root of each note at its size.
fn compare(check: &ExportCheck, mut believed: Vec<Believed>, session: &mut Session) {
    believed.sort_by_key(|believed| believed.checkpoint.size());
    let mut fits: Option<Believed> = None;
    for believed in believed {
        let size = believed.checkpoint.size();
        let complaint = match check.root_at(size) {
            None => {
                let why = format!("it covers {size} lines, and the export has {}", check.size());
                Complaint::of_file(&believed.file, "export_too_short", why)
            }
            Some(root) if root == *believed.checkpoint.root() => {
                fits = Some(believed);
                continue;
            }
            Some(_) => {
                let last = fits.as_ref().filter(|fits| fits.checkpoint.size() > 0).map(|fits| {
                    let size = fits.checkpoint.size();
                    format!("; the first {size} fit {}, so the difference is after line {size}", fits.file)
                });
                let why = format!("the first {size} lines are not those it was made of{}", last.unwrap_or_default());
                Complaint::of_file(&believed.file, "wrong_root", why)
            }
        };
        session.report.problem(complaint);
    }
}

/// Whether each line is covered by a note.
fn cover(name: &str, lines: u64, allow_uncovered: bool, session: &mut Session) {
    let Some(covered) = session.believed().iter().map(|believed| believed.checkpoint.size()).max() else {
        let why = "no note to compare with: the lines fit each other, and no more is known of them";
        return session.report.unvouched(format!("{name}: {why}"));
    };
    if covered >= lines {
        return;
    }
    let why = match covered + 1 {
        only if only == lines => format!("no note covers line {only}"),
        first => format!("no note covers the lines from {first} to {lines}"),
    };
    if allow_uncovered {
        session.report.unvouched(format!("{name}: {why}"));
    } else {
        let complaint = Complaint::of_file(name, "uncovered", why);
        session.report.problem(Complaint { line: Some(covered + 1), ..complaint });
    }
}
