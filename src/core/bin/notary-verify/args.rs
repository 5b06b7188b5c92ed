//! The command line, and the manual that `--help` prints.

use std::path::PathBuf;

use clap::{Parser, Subcommand};
use notary_core::Origin;
use notary_core::key::TrustedKey;

use crate::input::Source;

const MANUAL: &str = "\
EXIT CODES
  0  Good: all that was given is right, and keys that you gave vouch for all of it.
  1  Wrong: something was checked and is not right. Each problem is a line of the report.
  2  Cannot tell: wrong usage, a file that cannot be read, that is compressed or UTF-16, a note,
     proof or keys file that is empty, keys or a state that are none, a state that another run
     changed meanwhile.
  3  Nothing is wrong, but not all of it is vouched for by a key that you gave:
     - a note is not signed by a key that you gave (--unsigned);
     - an export was checked without any note (--unsigned, or a bundle that has none);
     - lines of an export are in no note (--allow-uncovered);
     - the keys came out of the bundle itself;
     - nothing in a bundle links two notes: no export, and no consistency proof;
     - a note is the first of another incarnation of a log that is known (--state).

KEYS
  A key is one line, name+id+base64, as the log's owner publishes it. Get it in another way
  than what you check: whoever can replace both can replace anything. A keys file has one key
  a line; empty lines are ignored. Only a key whose name is the origin in the note counts.

  A key that was retired is followed by a space and its last size, the size of the last tree
  that it may speak for. In a note of a larger tree it is a key nobody knows:

    db.example.com/6f1c2b1e-...+b9a63d6d+Adss4G2y... 1048576

STATE
  --state FILE remembers the newest note of each origin, one line each: origin, size, root. A
  note that is smaller than the one remembered is refused, and so is another root for the same
  size: both mean that somebody shows you another log than before. The first note of another
  incarnation of a log that is known gives exit code 3: ask why it was begun anew. `export` and
  `bundle` also check that the lines begin as they did then; for the other commands a larger
  note is taken at its word, and only a consistency proof says more. Only notes that a key you
  gave has signed are remembered, and only if nothing was wrong. The file is replaced whole, or
  not at all; FILE.lock stands beside it.

FILES
  Any one FILE may be -, which is standard input. Lines are counted from 1, bytes within a line
  from 0.

EXAMPLES
  notary-verify export --keys audit.keys --note app_audit.note app_audit.jsonl
  zstd -dc app_audit.jsonl.zst | notary-verify export --keys audit.keys --note app_audit.note
  notary-verify proof --keys audit.keys --show-line order-17.proof
  notary-verify consistency --keys audit.keys --old may.note --new june.note may-june.consistency
  notary-verify bundle --keys audit.keys evidence/";

const EXPORT: &str = "\
Checks an export against the notes that were made of it.

The export is all lines of the log in the order of its tree, headers included, each ended by one
newline; a part of a log cannot be checked by itself. In one pass it is checked that

  - each line is spelt in the one way that the format knows: no key twice, no other escapes;
  - headers open segment 1, 2, 3 ..., each before its entries;
  - in each chain seq runs 1, 2, 3 ..., and prev is the hash of the line before it;
  - all lines are of the log that the note names;
  - the tree over the lines has the root of each note, at that note's size.

Notes may be given in any order and of any size. One of them must have exactly as many leaves as
the export has lines; lines that no note covers are a problem, unless --allow-uncovered is given.

Memory does not grow with the number of entries, only with that of chains.";

const PROOF: &str = "\
Checks that one line stands in a log.

The line is the one that the proof itself holds (`extra`), or the one in --line FILE, without its
newline or with it. If both are there, they must be the same. A proof shows that the line is in the
tree that the note in it speaks of; it shows nothing of other lines.";

const CONSISTENCY: &str = "\
Checks that a newer note's log has grown out of an older note's, and nothing was changed or taken
away in between. The proof is one hash a line; it is empty where the two sizes are the same.";

const NOTE: &str = "\
Checks who signed a note, and says what it commits to. That the log still has what the note says is
for an export, a proof or a consistency proof to show.";

const BUNDLE: &str = "\
Checks a directory of evidence: all that is in it, and that it fits together.

  DIR/export.jsonl                  the export, if there is one
  DIR/notes/NAME.note               notes
  DIR/proofs/NAME.proof             proofs of single lines, which hold the line
  DIR/consistency/OLD..NEW.consistency
                                    consistency proofs between notes/OLD.note and notes/NEW.note
  DIR/keys                          keys, one a line
  DIR/README, README.md, README.txt for people; not checked

All of it must be of one origin. The export is checked as `export` does it, against all notes and
the notes in all proofs. Any other file, a symbolic link or a directory within these is a problem,
for nobody would know what it says.

Keys in the bundle come from whoever made it. Without --keys or --key they are used, a warning says
so, and the exit code is 3 at best. With --keys or --key they are not looked at.";

/// Checks what a pg_notary log has handed out: exports, notes and proofs. Needs no database.
#[derive(Parser)]
#[command(name = "notary-verify", version, after_long_help = MANUAL, arg_required_else_help = true)]
pub struct Args {
    #[command(subcommand)]
    pub command: Command,

    /// A file of verifier keys, one a line; may be given more than once
    #[arg(long, value_name = "FILE", global = true)]
    pub keys: Vec<Source>,

    /// A verifier key itself; may be given more than once
    #[arg(long, value_name = "KEY", global = true)]
    pub key: Vec<TrustedKey>,

    /// Accept notes that no key signed which is known here. A signature that fails never does
    #[arg(long, global = true)]
    pub unsigned: bool,

    /// Accept notes of this origin alone
    #[arg(long, value_name = "ORIGIN", global = true)]
    pub origin: Option<Origin>,

    /// Remember the newest note of each origin in this file, and refuse a smaller one
    #[arg(long, value_name = "FILE", global = true)]
    pub state: Option<PathBuf>,

    /// Print one JSON object instead of text
    #[arg(long, global = true)]
    pub json: bool,

    /// Print problems and warnings only, and no progress
    #[arg(short, long, global = true)]
    pub quiet: bool,

    /// How many problems to print; all are counted
    #[arg(long, value_name = "N", default_value_t = 10, global = true)]
    pub max_problems: usize,
}

/// What to check.
#[derive(Subcommand)]
pub enum Command {
    /// Check an export against notes
    #[command(long_about = EXPORT, after_long_help = MANUAL)]
    Export(ExportArgs),
    /// Check that one line stands in a log
    #[command(long_about = PROOF, after_long_help = MANUAL)]
    Proof(ProofArgs),
    /// Check that a newer note's log has grown out of an older one's
    #[command(long_about = CONSISTENCY, after_long_help = MANUAL)]
    Consistency(ConsistencyArgs),
    /// Check who signed a note
    #[command(long_about = NOTE, after_long_help = MANUAL)]
    Note(NoteArgs),
    /// Check a directory of evidence
    #[command(long_about = BUNDLE, after_long_help = MANUAL)]
    Bundle(BundleArgs),
}

#[derive(clap::Args)]
pub struct ExportArgs {
    /// A note; may be given more than once
    #[arg(long, value_name = "FILE")]
    pub note: Vec<Source>,

    /// Put up with lines after the last one that a note covers
    #[arg(long)]
    pub allow_uncovered: bool,

    /// The export
    #[arg(default_value = "-")]
    pub export: Source,
}

#[derive(clap::Args)]
pub struct ProofArgs {
    /// The line to check
    #[arg(long, value_name = "FILE")]
    pub line: Option<Source>,

    /// Show the line, if the proof holds: the only way in which this program prints a row
    #[arg(long)]
    pub show_line: bool,

    /// The proof
    #[arg(default_value = "-")]
    pub proof: Source,
}

#[derive(clap::Args)]
pub struct ConsistencyArgs {
    /// The older note
    #[arg(long, value_name = "FILE")]
    pub old: Source,

    /// The newer note
    #[arg(long, value_name = "FILE")]
    pub new: Source,

    /// The proof
    #[arg(default_value = "-")]
    pub proof: Source,
}

#[derive(clap::Args)]
pub struct NoteArgs {
    /// The note
    #[arg(default_value = "-")]
    pub note: Source,
}

#[derive(clap::Args)]
pub struct BundleArgs {
    /// Put up with lines after the last one that a note covers
    #[arg(long)]
    pub allow_uncovered: bool,

    /// The directory
    #[arg(value_name = "DIR")]
    pub directory: PathBuf,
}

impl Command {
    /// The command's name as it is typed.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Export(_) => "export",
            Self::Proof(_) => "proof",
            Self::Consistency(_) => "consistency",
            Self::Note(_) => "note",
            Self::Bundle(_) => "bundle",
        }
    }
}

impl Args {
    /// Whether more than one thing is to be read from standard input.
    pub fn reads_stdin_twice(&self) -> bool {
        let of_command: Vec<&Source> = match &self.command {
            Command::Export(export) => export.note.iter().chain([&export.export]).collect(),
            Command::Proof(proof) => proof.line.iter().chain([&proof.proof]).collect(),
            Command::Consistency(args) => vec![&args.old, &args.new, &args.proof],
            Command::Note(note) => vec![&note.note],
            Command::Bundle(_) => Vec::new(),
        };
        self.keys.iter().chain(of_command).filter(|source| matches!(source, Source::Stdin)).count() > 1
    }
}
