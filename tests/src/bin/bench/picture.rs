//! The report as a picture: each ratio as a bar, what it must reach as a line across it.

use crate::measure::Spread;
use crate::report::{Figure, Report};
use crate::targets::{Against, Must, TARGETS, Target, Unit};
use std::fmt::Write;

const WIDTH: f64 = 860.0;
/// Where bars begin, and how long one is that fills the scale.
const LEFT: f64 = 400.0;
const LENGTH: f64 = 390.0;
const ROW: f64 = 26.0;
const BAR: f64 = 14.0;

/// The colours are the picture's own, background included: it is readable wherever it is put. Where the reader's
/// system is dark, so is the picture.
const STYLE: &str = "
    .paper { fill: #ffffff; stroke: #d0d7de }
    text { font: 13px system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif; fill: #1f2328 }
    .title { font-weight: 600; font-size: 15px }
    .faint { fill: #59636e; font-size: 12px }
    .grid { stroke: #d0d7de }
    .bar { fill: #4c8dd6 }
    .short { fill: #d9823b }
    .free { fill: #8b949e }
    .target { stroke: #1f2328; stroke-width: 2 }
    .spread { stroke: #59636e }
    @media (prefers-color-scheme: dark) {
        .paper { fill: #0d1117; stroke: #3d444d }
        text { fill: #f0f6fc }
        .faint { fill: #9198a1 }
        .grid { stroke: #3d444d }
        .bar { fill: #3f7fc8 }
        .short { fill: #c9762f }
        .target { stroke: #f0f6fc }
        .spread { stroke: #b0b8c1 }
    }
";

/// From a ratio to a length.
struct Scale {
    marks: &'static [f64],
    /// Each mark twice the one before it.
    doubling: bool,
}

impl Scale {
    fn at(&self, ratio: f64) -> f64 {
        let (first, last) = (self.marks[0], self.marks[self.marks.len() - 1]);
        let share = if self.doubling {
            (ratio / first).log2() / (last / first).log2()
        } else {
            (ratio - first) / (last - first)
        };
        LEFT + share.clamp(0.0, 1.0) * LENGTH
    }
}

const WITHOUT: Scale = Scale { marks: &[0.0, 0.25, 0.5, 0.75, 1.0, 1.25], doubling: false };
const TODAY: Scale = Scale { marks: &[0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0], doubling: true };

/// The whole picture.
pub fn svg(report: &Report) -> String {
    let mut body = String::new();
    let mut y = 16.0;
    let costs = |against: Against| matches!(against, Against::Without(_));
    let wins = |against: Against| matches!(against, Against::Today(_));
    panel(
        &mut body,
        &mut y,
        report,
        "What protection costs: speed as a part of the speed without it, or of an undisturbed log",
        &WITHOUT,
        costs,
    );
    y += 14.0;
    panel(&mut body, &mut y, report, "Against others: times as fast", &TODAY, wins);
    legend(&mut body, &mut y);
    let height = y + 8.0;
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" height=\"{height}\" role=\"img\" \
         aria-label=\"Ratios that make bench has measured, as bars, with what they must reach\">\n\
         <style>{STYLE}</style>\n\
         <rect class=\"paper\" x=\"0.5\" y=\"0.5\" width=\"{}\" height=\"{}\" rx=\"8\"/>\n{body}</svg>\n",
        WIDTH - 1.0,
        height - 1.0
    )
}

fn panel(
    body: &mut String,
    y: &mut f64,
    report: &Report,
    title: &str,
    scale: &Scale,
    belongs: impl Fn(Against) -> bool,
) {
    let rows: Vec<_> = TARGETS
        .iter()
        .filter(|t| t.unit == Unit::Times && belongs(t.against))
        .filter_map(|t| match report.figures.get(t.key) {
            Some(Figure::Measured(spread)) => Some((t, *spread)),
            _ => None,
        })
        .collect();
    *y += 14.0;
    text(body, 16.0, *y, "title", "start", title);
    *y += 22.0;
    let top = *y;
    for mark in scale.marks {
        text(
            body,
            scale.at(*mark),
            top - 2.0,
            "faint",
            "middle",
            &if scale.doubling { format!("{mark}×") } else { mark.to_string() },
        );
    }
    *y += 4.0;
    let bottom = *y + ROW * f64::from(u32::try_from(rows.len()).unwrap());
    for mark in scale.marks {
        let x = scale.at(*mark);
        writeln!(body, "<line class=\"grid\" x1=\"{x:.1}\" y1=\"{:.1}\" x2=\"{x:.1}\" y2=\"{bottom:.1}\"/>", top + 2.0)
            .unwrap();
    }
    for (target, spread) in rows {
        bar(body, *y, report, scale, target, spread);
        *y += ROW;
    }
    *y = bottom;
}

fn bar(body: &mut String, y: f64, report: &Report, scale: &Scale, target: &Target, spread: Spread) {
    let middle = y + ROW / 2.0;
    text(body, LEFT - 12.0, middle + 4.5, "", "end", &label(report, target));
    let class = match target.must.is_reached(spread.median) {
        Some(true) => "bar",
        Some(false) => "short",
        None => "free",
    };
    // Among doublings there is no nought: a bar begins where nothing is won or lost.
    let (begin, end) = (scale.at(if scale.doubling { 1.0 } else { 0.0 }), scale.at(spread.median));
    let (x, length) = (begin.min(end), (end - begin).abs());
    let top = middle - BAR / 2.0;
    writeln!(
        body,
        "<rect class=\"{class}\" x=\"{x:.1}\" y=\"{top:.1}\" width=\"{:.1}\" height=\"{BAR}\" rx=\"2\"/>",
        length
    )
    .unwrap();
    let (low, high) = (scale.at(spread.low), scale.at(spread.high));
    writeln!(body, "<line class=\"spread\" x1=\"{low:.1}\" y1=\"{middle:.1}\" x2=\"{high:.1}\" y2=\"{middle:.1}\"/>")
        .unwrap();
    if let Must::AtLeast(limit) | Must::Around(limit, _) = target.must {
        let x = scale.at(limit);
        let (top, bottom) = (middle - 11.0, middle + 11.0);
        writeln!(body, "<line class=\"target\" x1=\"{x:.1}\" y1=\"{top:.1}\" x2=\"{x:.1}\" y2=\"{bottom:.1}\"/>")
            .unwrap();
    }
    text(body, WIDTH - 14.0, middle + 4.5, "", "end", &crate::table::amount(target.unit, spread.median));
}

/// What is in a work's name twice is shortened: there is room for one line.
fn label(report: &Report, target: &Target) -> String {
    let work = report.sizes.put_into(target.work);
    let work = work
        .replace("single-row INSERT, autocommit, ", "INSERT, ")
        .replace(&report.sizes.put_into(", scale {scale}, 8 clients, all four tables tracked"), ", tracked")
        .replace("indexed by time and resource", "two indexes")
        .replace("a primary key only", "key only")
        .replace("all indexes of notary.search", "all indexes")
        .replace("right after ", "after ")
        .replace("of transactions ", "")
        .replace("into a table that is no log, 1 client, with the extension", "into other tables, with the extension");
    let work = millions(&work);
    match target.against {
        Against::Today(name) => format!("{work}: {name}"),
        Against::Without(_) | Against::Nobody => work,
    }
}

fn millions(text: &str) -> String {
    text.replace("0,000,000", "0 million").replace("1,000,000", "a million")
}

fn legend(body: &mut String, y: &mut f64) {
    *y += 30.0;
    let at = *y;
    writeln!(body, "<line class=\"target\" x1=\"20\" y1=\"{:.1}\" x2=\"20\" y2=\"{:.1}\"/>", at - 14.0, at + 4.0)
        .unwrap();
    text(body, 32.0, at, "faint", "start", "must be reached");
    for (x, class, what) in
        [(150.0, "bar", "reached"), (240.0, "short", "not reached"), (352.0, "free", "nothing is asked")]
    {
        writeln!(
            body,
            "<rect class=\"{class}\" x=\"{x}\" y=\"{:.1}\" width=\"14\" height=\"12\" rx=\"2\"/>",
            at - 10.0
        )
        .unwrap();
        text(body, x + 20.0, at, "faint", "start", what);
    }
    writeln!(body, "<line class=\"spread\" x1=\"494\" y1=\"{0:.1}\" x2=\"518\" y2=\"{0:.1}\"/>", at - 4.0).unwrap();
    text(body, 526.0, at, "faint", "start", "least and most of the rounds");
}

fn text(body: &mut String, x: f64, y: f64, class: &str, anchor: &str, said: &str) {
    let said = said.replace('&', "&amp;").replace('<', "&lt;");
    writeln!(body, "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{said}</text>").unwrap();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sizes::FULL;

    #[test]
    fn scales_begin_at_the_left_and_end_where_they_end() {
        assert_eq!(WITHOUT.at(0.0), LEFT);
        assert_eq!(WITHOUT.at(1.25), LEFT + LENGTH);
        assert_eq!(WITHOUT.at(9.0), LEFT + LENGTH);
        assert_eq!(TODAY.at(0.1), LEFT);
        assert_eq!(TODAY.at(4.0), LEFT + LENGTH / 2.0);
    }

    #[test]
    fn a_bar_is_as_long_as_its_ratio_and_says_whether_that_is_enough() {
        let mut report = Report::new(FULL);
        report.set_once("insert 1", 1.0);
        report.set_once("copy", 0.625);
        report.set_once("verify", 1e6);
        report.missing("verify workers", "not built");
        let svg = svg(&report);
        let bars: Vec<_> =
            svg.lines().filter(|l| l.starts_with("<rect") && l.contains(&format!("x=\"{LEFT:.1}\""))).collect();
        assert_eq!(bars.len(), 2, "{svg}");
        assert!(
            bars[0].contains("class=\"bar\"") && bars[0].contains(&format!("width=\"{:.1}\"", LENGTH * 0.8)),
            "{svg}"
        );
        assert!(
            bars[1].contains("class=\"short\"") && bars[1].contains(&format!("width=\"{:.1}\"", LENGTH * 0.5)),
            "{svg}"
        );
        assert!(svg.contains(">COPY of a million rows</text>") && svg.contains(">0.625</text>"), "{svg}");
    }

    #[test]
    fn what_is_slower_than_others_goes_to_the_left() {
        let mut report = Report::new(FULL);
        report.set_once("lean trigger", 0.5);
        let (svg, width) = (svg(&report), LENGTH / 8.0);
        let bar = format!("<rect class=\"short\" x=\"{:.1}\"", LEFT + width);
        assert!(svg.lines().any(|l| l.starts_with(&bar) && l.contains(&format!("width=\"{width:.1}\""))), "{svg}");
    }

    #[test]
    fn it_is_well_formed() {
        let mut report = Report::new(FULL);
        for target in TARGETS {
            report.set_once(target.key, 1.0);
        }
        let svg = svg(&report);
        for element in ["svg", "text", "style"] {
            let opened = svg.matches(&format!("<{element}")).count();
            assert_eq!(opened, svg.matches(&format!("</{element}>")).count(), "{element}");
        }
        assert!(!svg.contains("NaN") && !svg.contains(" & "), "{svg}");
    }
}
