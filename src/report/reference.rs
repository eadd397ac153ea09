//! Published figures beside a run's, as text of 80 columns and as Markdown.

use comfy_table::{CellAlignment, ColumnConstraint};

use super::layout::{folded, lines, list, plain_table};
use super::markup::{code, prose};
use super::words::plain;
use crate::reference::{Check, Figure, Finding, Outcome, Row, SOURCE};

const MEMORY_NOTE: &str = "share: of the published speed, more is better in every row. Published without \
     spread, at the highest CPU and NPU frequencies and optimisation level 0; memory may not be the peak resident set \
     that is measured here.";

/// The findings as lines of at most 80 columns; nothing without findings.
pub fn text(findings: &[Finding]) -> String {
    if findings.is_empty() {
        return String::new();
    }
    let mut sections = vec![folded(&format!("published figures ({SOURCE})"))];
    sections.extend(findings.iter().map(finding_as_text));
    if findings.iter().any(is_compared) {
        sections.push(folded(MEMORY_NOTE));
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

fn finding_as_text(finding: &Finding) -> String {
    let name = plain(&finding.model);
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
                folded(&format!("{name}, {}, beside {row}", plain(prompt))),
                list("doubtful", &doubts),
                figures_as_text(figures),
                checks_as_text(checks),
            ]
            .concat()
        }
        Outcome::NotMeasured { row } => folded(&format!("{name}: {}", not_measured(row))),
        Outcome::Unmatched { why } => folded(&format!("{name}: no figures; {}", plain(&why.to_string()))),
    }
}

fn not_measured(row: &Row) -> String {
    format!(
        "{row} is published for {prompt} prompt tokens and {new} new ones, of which this run has no sample: cargo bench \
         --bench table -- --prompt-tokens {prompt} --new-tokens {new}",
        prompt = row.prompt_tokens,
        new = row.new_tokens
    )
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

fn figures_as_text(figures: &[Figure]) -> String {
    let mut table = plain_table();
    table.set_header(HEADER);
    for figure in figures {
        table.add_row(cells(figure));
    }
    for (index, column) in table.column_iter_mut().enumerate() {
        column.set_padding((if index == 0 { 2 } else { 0 }, 2));
        column.set_constraint(ColumnConstraint::ContentWidth);
        if (1..4).contains(&index) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    lines(&table)
}

fn checks_as_text(checks: &[Check]) -> String {
    let items: Vec<String> = checks.iter().map(check).collect();
    list("what may make it slower", &items)
}

fn check(check: &Check) -> String {
    let command = check
        .command
        .map_or_else(String::new, |command| format!("\n{command}"));
    format!(
        "{}: {}; {}{command}",
        check.item,
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
        Outcome::NotMeasured { row } => format!("\n{name}: {}\n", prose(&not_measured(row))),
        Outcome::Unmatched { why } => format!("\n{name}: no figures; {}\n", prose(&why.to_string())),
    }
}

fn check_as_markdown(check: &Check) -> String {
    let command = check
        .command
        .map_or_else(String::new, |command| format!(": {}", code(command)));
    format!(
        "{}: **{}**; {}{command}",
        check.item,
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
