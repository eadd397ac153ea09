//! Published figures beside a run's, as text and as Markdown.

use super::grid::Grid;
use super::markup::{code, prose};
use super::words::plain;
use crate::analysis::reference::{Check, Figure, Finding, Outcome, Row, SOURCE};
use crate::base::layout::{folded_to, list, whole};

const MEMORY_NOTE: &str = "share: of the published speed, more is better in every row. Published without \
     spread, at the highest CPU and NPU frequencies and optimisation level 0; memory may not be the peak resident set \
     that is measured here.";

/// The findings as lines of at most `width` columns; nothing without findings.
pub fn text(findings: &[Finding], width: u16) -> String {
    if findings.is_empty() {
        return String::new();
    }
    let mut sections = vec![folded_to(width, &format!("published figures ({SOURCE})"))];
    sections.extend(findings.iter().map(|finding| finding_as_text(finding, width)));
    if findings.iter().any(is_compared) {
        sections.push(folded_to(width, MEMORY_NOTE));
    }
    sections.join("\n") + "\n"
}

/// The findings as Markdown; nothing without findings.
pub fn markdown(findings: &[Finding]) -> String {
    if findings.is_empty() {
        return String::new();
    }
    let mut page = format!("## Published figures\n\n{}\n", prose(SOURCE));
    page.extend(findings.iter().map(finding_as_markdown));
    if findings.iter().any(is_compared) {
        page += &["\n<sub>", &prose(MEMORY_NOTE), "</sub>\n"].concat();
    }
    page
}

const fn is_compared(finding: &Finding) -> bool {
    matches!(finding.outcome, Outcome::Compared { .. })
}

fn finding_as_text(finding: &Finding, width: u16) -> String {
    let name = whole(&plain(&finding.model));
    match &finding.outcome {
        Outcome::Compared {
            row,
            doubts,
            prompt,
            figures,
            checks,
        } => {
            let doubts: Vec<String> = doubts.iter().map(|doubt| plain(doubt)).collect();
            [
                folded_to(width, &format!("{name}, {}, beside {row}", whole(&plain(prompt)))),
                list(width, "doubtful", &doubts),
                figures_as_text(figures, width),
                checks_as_text(checks, width),
            ]
            .concat()
        }
        Outcome::NotMeasured { row } => not_measured_as_text(&name, row, width),
        Outcome::Unmatched { why } => {
            folded_to(width, &format!("{name}: no figures; {}", plain(&why.to_string())))
        }
    }
}

fn not_measured_as_text(name: &str, row: &Row, width: u16) -> String {
    let [what, command] = not_measured(row);
    folded_to(width, &format!("{name}: {what}: {}", whole(&command)))
}

/// What is missing, and the command that measures it.
fn not_measured(row: &Row) -> [String; 2] {
    let (prompt, new) = (row.prompt_tokens, row.new_tokens);
    [
        format!(
            "{row} is published for {prompt} prompt tokens and {new} new ones, of which this run has no sample"
        ),
        format!("cargo bench --bench table -- --prompt-tokens {prompt} --new-tokens {new}"),
    ]
}

const HEADER: [&str; 5] = ["", "published", "measured", "share", "verdict"];

fn cells(figure: &Figure) -> [String; 5] {
    let shown = |value: Option<f64>, text: fn(f64) -> String| value.map_or_else(|| "-".to_owned(), text);
    [
        figure.quantity.name().to_owned(),
        format!("{:.2}", figure.published),
        shown(figure.measured, |value| format!("{value:.2}")),
        shown(figure.share, |share| format!("{:.0} %", share * 100.0)),
        figure
            .verdict
            .map_or_else(|| "not measured".into(), |verdict| verdict.name().to_owned()),
    ]
}

fn figures_as_text(figures: &[Figure], width: u16) -> String {
    let mut table = Grid::new(HEADER, 1..4);
    for figure in figures {
        table.row(cells(figure));
    }
    let table = table.fitted(width - 2);
    let lines: Vec<String> = table.lines().map(|line| format!("  {line}")).collect();
    lines.join("\n") + "\n"
}

fn checks_as_text(checks: &[Check], width: u16) -> String {
    let items: Vec<String> = checks.iter().map(check).collect();
    list(width, "what may make it slower", &items)
}

fn check(check: &Check) -> String {
    let command = check
        .command
        .as_ref()
        .map_or_else(String::new, |command| format!("\n{}", whole(&plain(command))));
    format!(
        "{}: {}; {}{command}",
        plain(&check.item),
        check.state.name(),
        plain(&check.found)
    )
}

fn finding_as_markdown(finding: &Finding) -> String {
    let name = code(&finding.model);
    match &finding.outcome {
        Outcome::Compared {
            row,
            doubts,
            prompt,
            figures,
            checks,
        } => {
            let mut text = format!(
                "\n### {name}, {}\n\nbeside {}\n",
                code(prompt),
                prose(&row.to_string())
            );
            text += &bullets("Doubtful", doubts.iter().map(|doubt| prose(doubt)));
            text += "\n| | published | measured | share | verdict |\n| --- | ---: | ---: | ---: | --- |\n";
            for figure in figures {
                let cells = cells(figure).map(|cell| prose(&cell));
                text += &["| ", &cells.join(" | "), " |\n"].concat();
            }
            text += &bullets("What may make it slower", checks.iter().map(check_as_markdown));
            text
        }
        Outcome::NotMeasured { row } => format!("\n{name}: {}\n", prose(&not_measured(row).join(": "))),
        Outcome::Unmatched { why } => format!("\n{name}: no figures; {}\n", prose(&why.to_string())),
    }
}

fn check_as_markdown(check: &Check) -> String {
    let command = check
        .command
        .as_ref()
        .map_or_else(String::new, |command| format!(": {}", code(command)));
    format!(
        "{}: **{}**; {}{command}",
        prose(&check.item),
        check.state.name(),
        prose(&check.found)
    )
}

fn bullets(title: &str, items: impl Iterator<Item = String>) -> String {
    let items: Vec<String> = items.map(|item| format!("- {item}\n")).collect();
    if items.is_empty() {
        return String::new();
    }
    format!("\n**{title}**\n\n{}", items.concat())
}

#[cfg(test)]
mod tests;
