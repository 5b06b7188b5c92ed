//! Exports that are not what they should be, each with a note: what is wrong, and in which line.
//!
//! Where every hash and the note are right, as after a superuser has written everything anew, what gives the
//! export away is the line alone.

use crate::log::{Draft, LOG, Log, OTHER_LOG, drafts, entry, header};

/// One export and the note that it comes with.
pub struct Case {
    pub name: &'static str,
    pub export: Vec<u8>,
    pub note: String,
    /// The problem that is named first, and its line.
    pub problem: &'static str,
    pub line: Option<u64>,
}

/// All of them.
pub fn all() -> Vec<Case> {
    let mut cases = spellings();
    cases.extend(structures());
    cases.extend(files());
    cases
}

/// Line 4 spelt in another way, every hash right.
fn spellings() -> Vec<Case> {
    let cases: [(&str, &str, &str); 26] = [
        ("a space after a colon", r#""seq":1"#, r#""seq": 1"#),
        ("a space at the end", "}}", "}} "),
        ("a space at the start", r#"{"v""#, r#" {"v""#),
        ("a member twice", r#""seq":1,"#, r#""seq":1,"seq":1,"#),
        ("a name in the row twice", r#""text":"#, r#""text":"x","text":"#),
        ("names in the row not sorted", r#""empty":"","text":"#, r#""text":"","empty":"#),
        ("another escape", "one", r"on\u0065"),
        ("an escape in upper case", "one", r"one\u001F"),
        ("an escaped slash", "one", r"one\/"),
        ("a number with an exponent", r#""empty":"""#, r#""empty":1e3"#),
        ("minus zero", r#""empty":"""#, r#""empty":-0"#),
        ("a key twice within jsonb", r#""empty":"""#, r#""empty":{"a": 1, "a": 2}"#),
        ("keys within jsonb not sorted", r#""empty":"""#, r#""empty":{"bb": 1, "a": 2}"#),
        ("jsonb without its spaces", r#""empty":"""#, r#""empty":{"a":1}"#),
        ("members in another order", r#""v":1,"log":"#, r#""log":"#),
        ("a member that nobody knows", r#","row":"#, r#","note":"x","row":"#),
        ("upper case in a hash", r#""prev":"#, r#""prev":"F","x":"#),
        ("another version", r#""v":1"#, r#""v":2"#),
        ("a time that is none", "T16:07", "T16:61"),
        ("seq as a string", r#""seq":1"#, r#""seq":"1""#),
        ("seq as a truth", r#""seq":1"#, r#""seq":true"#),
        ("v as a string", r#""v":1"#, r#""v":"1""#),
        ("no number", r#""empty":"""#, r#""empty":NaN"#),
        ("half a character", "one", r"on\ud800"),
        ("a fraction without digits", r#""empty":"""#, r#""empty":1."#),
        ("a seq with a zero in front", r#""seq":1"#, r#""seq":01"#),
    ];
    let case = |(name, from, to): (&'static str, &str, &str)| {
        let log = Log::of(&drafts(), |index, line| {
            if index == 3 {
                assert!(line.contains(from), "{name}");
                *line = line.replace(from, to);
            }
        });
        Case { name, export: log.export(), note: log.note(), problem: "bad_line", line: Some(4) }
    };
    cases.into_iter().map(case).collect()
}

/// Lines that stand where they do not belong, every hash and the note right.
fn structures() -> Vec<Case> {
    let with = |name, problem, line, change: &dyn Fn(&mut Vec<Draft>)| {
        let mut drafts = drafts();
        change(&mut drafts);
        let log = Log::of(&drafts, |_, _| ());
        Case { name, export: log.export(), note: log.note(), problem, line: Some(line) }
    };
    let mut cases = vec![
        with("the first header is not there", "no_header", 1, &|d| *d = d.split_off(1)),
        with("a header after its entries", "no_header", 5, &|d| d.swap(4, 5)),
        with("two headers change places", "header_out_of_order", 5, &|d| d.swap(4, 9)),
        with("a header twice", "header_again", 13, &|d| d.push(header(2, 1))),
        with("a header twice, first chain raised", "header_again", 13, &|d| d.push(header(2, 7))),
        with("a segment is left out", "header_out_of_order", 13, &|d| d.push(header(5, 9))),
        with("a chain starts with seq 2", "seq_missing", 13, &|d| d.push(entry(1, 3, 2))),
        with("a chain has a gap", "seq_missing", 13, &|d| d.push(entry(1, 1, 6))),
        with("two lines of one name", "seq_again", 13, &|d| d.push(entry(1, 1, 4))),
        with("an entry too late", "seq_again", 13, &|d| d.push(entry(1, 1, 2))),
        with("a chain below its segment's first", "below_first_chain", 13, &|d| d.push(entry(3, 2, 1))),
        with("a chain above the highest", "no_such_chain", 13, &|d| d.push(entry(1, 65_536, 1))),
        with("an entry of no segment", "no_header", 13, &|d| d.push(entry(4, 9, 1))),
        with("seq 0", "bad_line", 13, &|d| d.push(entry(1, 9, 0))),
    ];
    let changed = |name, problem, line: usize, change: &dyn Fn(&str) -> String| {
        let log = Log::of(&drafts(), |index, text| {
            if index + 1 == line {
                *text = change(text);
            }
        });
        Case { name, export: log.export(), note: log.note(), problem, line: Some(line as u64) }
    };
    let prev_at = |text: &str| text.find(r#""prev":""#).unwrap() + 8;
    cases.push(changed("a line of another log", "other_log", 12, &|text| text.replace(LOG, OTHER_LOG)));
    cases.push(changed("a header of another log", "other_log", 5, &|text| text.replace(LOG, OTHER_LOG)));
    cases.push(changed("prev is another hash", "wrong_prev", 7, &|text| {
        text.replace(&text[prev_at(text)..prev_at(text) + 64], &"ab".repeat(32))
    }));
    cases.push(changed("prev of a first entry is another hash", "wrong_prev", 11, &|text| {
        text.replace(&text[prev_at(text)..prev_at(text) + 64], &"ab".repeat(32))
    }));
    cases
}

/// Files that differ from the one that the note was made of.
fn files() -> Vec<Case> {
    let good = Log::good();
    let lines = |change: &dyn Fn(&mut Vec<Vec<u8>>)| {
        let mut lines = good.lines.clone();
        change(&mut lines);
        Log::from_lines(lines).export()
    };
    let whole = good.export();
    let case = |name, problem, line, export| Case { name, export, note: good.note(), problem, line };
    let replace = |at: usize, from: &str, to: &str| {
        lines(&|lines| lines[at] = String::from_utf8_lossy(&lines[at]).replace(from, to).into_bytes())
    };
    vec![
        case("a value changed", "wrong_prev", Some(7), replace(2, "false", "true")),
        case("the value of a chain's last entry changed", "wrong_root", None, replace(11, "one", "two")),
        case("the last line gone", "export_too_short", None, lines(&|lines| drop(lines.pop()))),
        case("a line gone", "seq_missing", Some(6), lines(&|lines| drop(lines.remove(2)))),
        case("a line twice", "seq_again", Some(4), lines(&|lines| lines.insert(3, lines[2].clone()))),
        case("two lines of a chain swapped", "seq_missing", Some(2), lines(&|lines| lines.swap(1, 2))),
        case("two lines of different chains swapped", "wrong_root", None, lines(&|lines| lines.swap(2, 3))),
        case("an empty line", "bad_line", Some(3), lines(&|lines| lines.insert(2, Vec::new()))),
        case("an empty line at the end", "bad_line", Some(13), lines(&|lines| lines.push(Vec::new()))),
        case("no newline at the end", "no_final_newline", Some(12), whole[..whole.len() - 1].to_vec()),
        case("cut within a line", "bad_line", Some(12), whole[..whole.len() - 9].to_vec()),
        case("nothing", "export_too_short", None, Vec::new()),
        case("a byte order mark", "bad_line", Some(1), [&b"\xef\xbb\xbf"[..], &whole].concat()),
        case("CRLF", "bad_line", Some(1), lines(&|lines| lines.iter_mut().for_each(|line| line.push(b'\r')))),
        case("one CR", "bad_line", Some(6), lines(&|lines| lines[5].push(b'\r'))),
        case("a byte that is not UTF-8", "bad_line", Some(4), lines(&|lines| lines[3][200] = 0xff)),
        case("a zero byte at the end", "bad_line", Some(13), [&whole[..], b"\0"].concat()),
    ]
}
