//! `notary-verify`: checks what a log has handed out, without a database.
//!
//! | file | noun |
//! |---|---|
//! | `args` | the command line, and the manual that `--help` prints |
//! | `input` | files and standard input |
//! | `session` | one run: whom the caller trusts, what is remembered, and the report so far |
//! | `notes`, `proof`, `consistency`, `export`, `bundle` | the commands |
//! | `stream` | an export, read by one thread and hashed by the others |
//! | `progress` | how far that is, on a terminal |
//! | `state` | the newest note of each log, kept from run to run |
//! | `report` | what was found: verdict, text and JSON |
//!
//! Invariants: no input makes it panic; whatever cannot be read or told ends in exit code 2, never in 0; no
//! message holds anything of a row, unless `--show-line` asks for it. All that is decided about bytes is
//! decided in the library.
#![forbid(unsafe_code)]

mod args;
mod bundle;
mod consistency;
mod export;
mod input;
mod notes;
mod progress;
mod proof;
mod report;
mod session;
mod state;
mod stream;

use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::Parser as _;
use clap::error::ContextKind;

use args::{Args, Command};
use report::{Report, trouble_json};
use session::Session;

/// Why nothing can be said: a file that cannot be read, a key that is none. Exit code 2.
pub struct Trouble(pub String);

fn main() -> ExitCode {
    // Told to put `--` before an option that is none, nobody is helped: no file is named so.
    let args = Args::try_parse().unwrap_or_else(|mut error| {
        error.remove(ContextKind::Suggested);
        error.exit()
    });
    let name = args.command.name();
    let (code, text) = match run(&args) {
        Ok(report) if args.json => (report.verdict().code(), report.json(name)),
        Ok(report) => (report.verdict().code(), report.text(args.quiet)),
        Err(Trouble(why)) if args.json => (2, trouble_json(name, &why)),
        Err(Trouble(why)) => {
            // Nowhere is left to complain to if this fails.
            let _ = writeln!(io::stderr(), "notary-verify: {why}");
            return ExitCode::from(2);
        }
    };
    let mut out = io::stdout().lock();
    // Whoever closed the pipe has not read the verdict.
    let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    ExitCode::from(if written.is_ok() { code } else { 2 })
}

fn run(args: &Args) -> Result<Report, Trouble> {
    let mut session = Session::new(args)?;
    match &args.command {
        Command::Export(export) => export::run(export, &mut session)?,
        Command::Proof(proof) => proof::run(proof, &mut session)?,
        Command::Consistency(consistency) => consistency::run(consistency, &mut session)?,
        Command::Note(note) => notes::run(note, &mut session)?,
        Command::Bundle(bundle) => bundle::run(bundle, &mut session)?,
    }
    session.finish()
}
