//! The report as Markdown.

use crate::report::{Figure, Report};
use crate::sizes::grouped;
use crate::targets::{Must, TARGETS, Target, Unit};
use std::fmt::Write;

/// Every target, what was reached, and whether it is enough.
pub fn targets(report: &Report) -> String {
    let mut text =
        "| work | against | reached | least to most | must reach | reached? |\n|---|---|---|---|---|---|\n".to_owned();
    for target in TARGETS {
        let (reached, range, is) = cells(report, target);
        let work = report.sizes.put_into(target.work);
        writeln!(text, "| {work} | {} | {reached} | {range} | {} | {is} |", target.against.name(), must(target))
            .unwrap();
    }
    text
}

fn cells(report: &Report, target: &Target) -> (String, String, &'static str) {
    match report.figures.get(target.key) {
        Some(Figure::Measured(spread)) => {
            let range = if spread.low < spread.high {
                format!("{} to {}", amount(target.unit, spread.low), amount(target.unit, spread.high))
            } else {
                String::new()
            };
            let is = match target.must.is_reached(spread.median) {
                Some(true) => "yes",
                Some(false) => "**no**",
                None => "",
            };
            (amount(target.unit, spread.median), range, is)
        }
        Some(Figure::Missing(why)) => (format!("– ({why})"), String::new(), ""),
        None => (format!("– (not in the {} run)", report.sizes.name), String::new(), ""),
    }
}

/// The same in short, for the README.
pub fn headlines(report: &Report) -> String {
    let mut text = "| what | reached | must reach |\n|---|---|---|\n".to_owned();
    for target in TARGETS.iter().filter(|t| t.headline) {
        let (reached, _, is) = cells(report, target);
        let against = match target.against.name() {
            "" => String::new(),
            name => format!(", against {name}"),
        };
        let is = if is == "**no**" { ": not reached" } else { "" };
        let work = report.sizes.put_into(target.work);
        writeln!(text, "| {work}{against} | {reached} | {}{is} |", must(target)).unwrap();
    }
    text
}

/// How fast each contender was.
pub fn rates(report: &Report) -> String {
    let mut text = "| work | in a second | contenders |\n|---|---|---|\n".to_owned();
    for rates in &report.rates {
        let each: Vec<_> = rates.contenders.iter().map(|(name, rate)| format!("{name} {}", rounded(*rate))).collect();
        writeln!(text, "| {} | {} | {} |", rates.work, rates.unit, each.join(" · ")).unwrap();
    }
    text
}

fn must(target: &Target) -> String {
    match target.must {
        Must::AtLeast(least) => format!("≥ {}", asked(target.unit, least)),
        Must::AtMost(most) => format!("≤ {}", asked(target.unit, most)),
        Must::Around(centre, off) => format!("{centre:.2} ± {off:.2}"),
        Must::Reported => String::new(),
    }
}

/// A limit as it was set: no more digits than it has.
fn asked(unit: Unit, limit: f64) -> String {
    match unit {
        Unit::Times if limit < 1.0 => format!("{limit:.2}"),
        Unit::Times => limit.to_string(),
        _ => amount(unit, limit),
    }
}

/// A figure with its unit. Ratios near one have three digits after the point: their targets have two.
pub fn amount(unit: Unit, figure: f64) -> String {
    match unit {
        Unit::Times if figure < 2.0 => format!("{figure:.3}"),
        Unit::Times if figure < 10.0 => format!("{figure:.2}"),
        Unit::Times => format!("{figure:.1}"),
        Unit::Entries => format!("{}/s", rounded(figure)),
        Unit::MiB => format!("{} MiB", tenths(figure)),
        Unit::Seconds => format!("{figure:.2} s"),
        Unit::Milliseconds => format!("{figure:.2} ms"),
        Unit::Bytes => format!("{figure:.0} bytes"),
    }
}

/// `64`, and `3.2`: a limit is a whole number.
fn tenths(figure: f64) -> String {
    let figure = (figure * 10.0).round() / 10.0;
    // Not "-0".
    format!("{}", if figure == 0.0 { 0.0 } else { figure })
}

/// Three digits that count: the fourth is noise.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "rates are positive and far below 2^53")]
fn rounded(rate: f64) -> String {
    if rate < 100.0 {
        return format!("{rate:.1}");
    }
    let unit = 10f64.powf(rate.log10().floor() - 2.0);
    grouped(((rate / unit).round() * unit).round() as u64)
}

/// A page with the text between two of its comments replaced; None if it lacks one.
pub fn put_between(page: &str, name: &str, text: &str) -> Option<String> {
    let (begin, end) = (format!("<!-- {name}: written by make bench -->\n"), format!("<!-- end of {name} -->\n"));
    let (before, rest) = page.split_once(&begin)?;
    let (_, after) = rest.split_once(&end)?;
    Some(format!("{before}{begin}\n{}\n\n{end}{after}", text.trim()))
}

/// What stands there.
#[cfg(test)]
pub fn between<'p>(page: &'p str, name: &str) -> Option<&'p str> {
    let (_, rest) = page.split_once(&format!("<!-- {name}: written by make bench -->\n"))?;
    rest.split_once(&format!("<!-- end of {name} -->\n")).map(|(text, _)| text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::{Runs, Spread};
    use crate::sizes::FULL;

    fn report() -> Report {
        let mut report = Report::new(FULL);
        report.set("insert 1", Spread { median: 0.9611, low: 0.94, high: 0.97 });
        report.set("insert 16", Spread { median: 0.9149, low: 0.9, high: 0.93 });
        report.set("hold diy", Spread { median: 33.33, low: 32.0, high: 34.0 });
        report.set_once("verify", 1_234_567.0);
        report.set_once("memory", 5.04);
        report.missing("verify workers", "not built");
        report
    }

    #[test]
    fn a_row_says_what_must_be_reached_and_whether_it_is() {
        let table = targets(&report());
        for row in [
            "| single-row INSERT, autocommit, 1 client | plain | 0.961 | 0.940 to 0.970 | ≥ 0.95 | yes |",
            "| single-row INSERT, autocommit, 16 clients | plain | 0.915 | 0.900 to 0.930 | ≥ 0.92 | **no** |",
            "| transactions that hold 5 ms, 32 clients | DIY | 33.3 | 32.0 to 34.0 | ≥ 30 | yes |",
            "| notary.verify, one process, 1,000,000 entries |  | 1,230,000/s |  | ≥ 1,000,000/s | yes |",
            "| notary.verify, two workers | one process | – (not built) |  | ≥ 1.7 |  |",
            "| memory of notary.verify at 10,000,000 entries, over the backend's start |  | 5 MiB |  | ≤ 64 MiB | yes |",
            "| COPY of 1,000,000 rows | plain | – (not in the full run) |  | ≥ 0.65 |  |",
            "| INSERT into a table that is no log, 1 client, with the extension | without it | – (not in the full run) |  | 1.00 ± 0.02 |  |",
        ] {
            assert!(table.lines().any(|line| line == row), "{row}\nis not in\n{table}");
        }
        assert_eq!(table.lines().count(), TARGETS.len() + 2);
    }

    #[test]
    fn the_readme_has_the_same_in_short() {
        let table = headlines(&report());
        assert!(
            table.contains("| single-row INSERT, autocommit, 1 client, against plain | 0.961 | ≥ 0.95 |"),
            "{table}"
        );
        assert!(table.contains("| 0.915 | ≥ 0.92: not reached |"), "{table}");
        assert!(!table.contains("pgaudit"), "only what counts most: {table}");
    }

    #[test]
    fn rates_have_three_digits() {
        assert_eq!(
            [19_876.0, 1_234_567.0, 420.4, 33.33, 99_960.0].map(rounded),
            ["19,900", "1,230,000", "420", "33.3", "100,000"]
        );
        let mut report = report();
        let mut runs = Runs::default();
        runs.push("plain", 20_000.0);
        runs.push("log", 19_000.0);
        report.rates("INSERT of {bulk}", "rows", &runs);
        assert!(rates(&report).ends_with("| INSERT of 300,000 | rows | plain 20,000 · log 19,000 |\n"));
    }

    #[test]
    fn what_is_written_by_hand_stays() {
        let page = "by hand\n<!-- t: written by make bench -->\nold\n<!-- end of t -->\nby hand too\n";
        let new = put_between(page, "t", "new\n").unwrap();
        assert_eq!(new, "by hand\n<!-- t: written by make bench -->\n\nnew\n\n<!-- end of t -->\nby hand too\n");
        assert_eq!(put_between(&new, "t", "new").unwrap(), new);
        assert_eq!(between(&new, "t").map(str::trim), Some("new"));
        assert!(put_between(page, "u", "").is_none());
    }
}
