//! The verdict as GitHub's Markdown, for a comment on a pull request.

use super::parts::Parts;
use super::{advice, figures, words};
use crate::analysis::gate::{Absent, Comparison, Difference, Judged, Overall};
use crate::report::markup::{code, prose};
use crate::report::numbers::percent;
use crate::report::words::counted;

/// Longest verdict, bytes. GitHub accepts comments of 65,536 characters, which are never more than the bytes. The rest
/// is for a heading that a workflow may add.
const LONGEST: usize = 65_000;
/// Longest list, bytes, so that no list can crowd out the table.
const LONGEST_LIST: usize = 6_000;
/// Bytes reserved around the rows: for the line that counts omitted rows, and for the tags of the fold.
const FRAME: usize = 500;
const HEADER: &str =
    "| metric | baseline → candidate | worse by | bound | verdict |\n| --- | ---: | ---: | ---: | --- |\n";

/// The verdict as Markdown of at most 65,000 bytes. A line counts the rows that did not fit.
pub fn markdown(comparison: &Comparison) -> String {
    let mut page = format!(
        "## {} {}\n\n{}\n",
        icon(comparison.overall),
        words::verdict(comparison),
        words::design(comparison.design)
    );
    let lists = lists(comparison);
    let legend = if comparison.metrics.is_empty() {
        String::new()
    } else {
        format!("\n<sub>{}</sub>\n", words::legend(comparison))
    };
    let mut left = LONGEST - page.len() - lists.len() - legend.len();
    let Parts { noteworthy, rest } = Parts::of(comparison);
    let noteworthy = table(&noteworthy, left);
    left -= noteworthy.len();
    page += &noteworthy;
    page += &lists;
    page += &folded(&rest, left);
    page += &legend;
    page
}

const fn icon(overall: Overall) -> &'static str {
    match overall {
        Overall::NoRegression => "✅",
        Overall::CannotTell => "⚠️",
        Overall::Absent => "❓",
        Overall::Regression => "❌",
        Overall::NotComparable => "⛔",
    }
}

/// A table of at most `limit` bytes; nothing without metrics.
fn table(metrics: &[&Judged], limit: usize) -> String {
    if metrics.is_empty() {
        return String::new();
    }
    let rows: Vec<String> = metrics.iter().map(|judged| row(judged)).collect();
    let limit = limit.saturating_sub(HEADER.len() + FRAME);
    format!("\n{HEADER}{}", fitting(&rows, limit, "metric"))
}

/// The same, collapsed.
fn folded(metrics: &[&Judged], limit: usize) -> String {
    if metrics.is_empty() {
        return String::new();
    }
    format!(
        "\n<details><summary>{} equivalent or not worse</summary>\n{}\n</details>\n",
        counted(metrics.len(), "metric"),
        table(metrics, limit.saturating_sub(FRAME))
    )
}

fn row(judged: &Judged) -> String {
    format!(
        "| {} | {} | {} | {} % | {} |\n",
        code(&judged.id),
        prose(&words::values(judged)),
        prose(&figures::worse_by(judged)),
        percent(judged.limit),
        judged.verdict.name()
    )
}

fn lists(comparison: &Comparison) -> String {
    let blocking = words::blocking(comparison).map(blocking).collect();
    let disturbed = advice::disturbed(comparison);
    let disturbed = disturbed.iter().map(|line| prose(line)).collect();
    let advice = advice::lines(comparison).iter().map(|line| prose(line)).collect();
    let absent = comparison.absent.iter().map(absent).collect();
    let experiment = words::experiment(comparison);
    let experiment = experiment
        .map(|difference| code(&words::difference(difference)))
        .collect();
    let notes = comparison.notes.iter().map(|note| prose(note)).collect();
    [
        list("Disturbed", disturbed),
        list("Differences", blocking),
        list("Cannot tell", advice),
        list("Absent", absent),
        list("The experiment (`--allow`)", experiment),
        list("Notes", notes),
    ]
    .concat()
}

fn blocking(difference: &Difference) -> String {
    let what = code(&words::difference(difference));
    format!("{what} (`--allow {}`)", difference.aspect.name())
}

fn absent(absent: &Absent) -> String {
    format!("{}: {}", code(&absent.id), prose(&absent.reason))
}

fn list(title: &str, items: Vec<String>) -> String {
    if items.is_empty() {
        return String::new();
    }
    let items: Vec<String> = items.into_iter().map(|item| format!("- {item}\n")).collect();
    format!("\n**{title}**\n\n{}", fitting(&items, LONGEST_LIST, "entry"))
}

/// The first `lines` that fit into `limit` bytes, and a paragraph that counts the others.
fn fitting(lines: &[String], limit: usize, what: &str) -> String {
    let mut text = String::new();
    for (index, line) in lines.iter().enumerate() {
        if text.len() + line.len() > limit {
            let others = match what {
                "entry" if lines.len() - index > 1 => format!("{} entries", lines.len() - index),
                what => counted(lines.len() - index, what),
            };
            return format!(
                "{text}\nand {others} that this comment has no room for; `--format json` has all\n"
            );
        }
        text += line;
    }
    text
}
