//! `make bench` and `make bench-quick`: every figure that pg_notary is held to, in one run on one machine.
//!
//!     bench full|quick|tiny [--write]
//!
//! Prints the table. With `--write` it goes to docs/speed.md, README.md and docs/speed.svg, otherwise to files in
//! cargo's target directory.

mod contenders;
mod load;
mod measure;
mod picture;
mod report;
mod servers;
mod sizes;
mod table;
mod targets;
mod works;

use notary_tests::pages::{Page, top};
use report::Report;
use servers::Servers;
use std::fs;
use std::path::Path;

/// What stands between comments on these pages.
const TABLE: (&str, &str) = ("docs/speed.md", "the table");
const SHORT: (&str, &str) = ("README.md", "the figures");
const PICTURE: &str = "docs/speed.svg";

fn main() {
    let args: Vec<_> = std::env::args().skip(1).collect();
    let sizes = match args.first().map(String::as_str) {
        Some("full") => sizes::FULL,
        Some("quick") => sizes::QUICK,
        Some("tiny") => sizes::TINY,
        _ => {
            eprintln!("usage: bench full|quick|tiny [--write]");
            std::process::exit(2);
        }
    };
    let mut report = Report::new(sizes);
    report.look_around();
    report.begin("the servers start");
    let servers = Servers::start();
    report.facts = servers.facts();
    works::all(&servers, &mut report);
    drop(servers);
    let text = long(&report);
    println!("{text}");
    if args.iter().any(|arg| arg == "--write") {
        put(TABLE, &text);
        put(SHORT, &short(&report));
        fs::write(top().join(PICTURE), picture::svg(&report)).unwrap();
    } else {
        let target = std::env::var_os("NOTARY_TARGET").expect("NOTARY_TARGET is not set: run `make bench`");
        let dir = Path::new(&target).join("bench");
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join(format!("{}.md", sizes.name)), &text).unwrap();
        fs::write(dir.join(format!("{}.svg", sizes.name)), picture::svg(&report)).unwrap();
        eprintln!("written to {}", dir.join(format!("{}.*", sizes.name)).display());
    }
}

fn put((page, name): (&str, &str), text: &str) {
    let new = table::put_between(&Page::read(page).text, name, text);
    let new = new.unwrap_or_else(|| panic!("{page} has no place for {name}"));
    fs::write(top().join(page), new).unwrap();
}

/// For the page about speed.
fn long(report: &Report) -> String {
    let facts: Vec<_> = report.facts.iter().map(|fact| format!("- {fact}\n")).collect();
    format!(
        "{}\n{}\nAnd how fast each contender was, medians of that run. They are not comparable with those of other machines, nor \
         of other runs. Dividing two of them does not give the ratio above, which is the median of the ratios of single rounds:\n\n{}\nMeasured so:\n\n{}",
        what_run(report),
        table::targets(report),
        table::rates(report),
        facts.concat()
    )
}

/// For the README.
fn short(report: &Report) -> String {
    format!("{}\n{}", what_run(report), table::headlines(report))
}

fn what_run(report: &Report) -> String {
    let sizes = report.sizes;
    let time = match report.elapsed().as_secs() {
        seconds @ 0..100 => format!("{seconds} seconds"),
        seconds => format!("{:.1} minutes", f64::from(u32::try_from(seconds).unwrap()) / 60.0),
    };
    let smaller = match sizes.name {
        "full" => "",
        _ => " **Smaller sizes and fewer rounds than `make bench`: noisier.**",
    };
    let rounds = match (sizes.few_rounds, sizes.many_rounds) {
        (few, many) if few < many => format!("{few} to {many}"),
        (all, _) => all.to_string(),
    };
    let busy = match report.busy {
        (busy, cores) if busy >= 0.2 => format!(
            " **When it began, the machine was busy with other work ({busy:.1} of {cores} cores in use): these figures say \
             little.**"
        ),
        _ => String::new(),
    };
    format!(
        "A {} run of {time}. Medians of {rounds} rounds, in which contenders take turns.{smaller}{busy}\n",
        sizes.name
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use targets::TARGETS;

    #[test]
    fn the_page_has_every_target_as_it_is_here() {
        let page = Page::read(TABLE.0).text;
        let there = table::between(&page, TABLE.1).expect("docs/speed.md has a place for the table");
        let named = |target: &targets::Target| {
            [sizes::FULL, sizes::QUICK].iter().any(|sizes| {
                // What was measured differs, what was asked does not.
                let mut empty = Report::new(*sizes);
                empty.missing(target.key, "");
                let rows = table::targets(&empty);
                let row = rows.lines().nth(2 + TARGETS.iter().position(|t| t.key == target.key).unwrap()).unwrap();
                let cells: Vec<_> = row.split('|').collect();
                there.lines().any(|line| {
                    let other: Vec<_> = line.split('|').collect();
                    other.len() == cells.len() && [1, 2, 5].iter().all(|at| other[*at] == cells[*at])
                })
            })
        };
        let missing: Vec<_> = TARGETS.iter().filter(|t| !named(t)).map(|t| t.key).collect();
        assert!(missing.is_empty(), "docs/speed.md lacks, or asks something else of: {missing:?}");
    }

    #[test]
    fn the_readme_has_a_place_for_figures_and_shows_the_picture() {
        let readme = Page::read(SHORT.0).text;
        assert!(table::between(&readme, SHORT.1).is_some_and(|there| there.contains("| must reach |")));
        assert!(readme.contains(&format!("]({PICTURE})")));
    }
}
