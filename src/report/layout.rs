//! Text of 80 columns, and JSON that says what it is.
//!
//! Never of a wider terminal's width, so that a log, a pipe and a terminal show the same.

use std::ops::Range;

use anstyle::Style;
use comfy_table::{CellAlignment, ColumnConstraint, ContentArrangement, Table, Width, presets};
use serde::Serialize;

/// Columns that a line has at most.
pub const WIDTH: u16 = 80;

/// A line in bold, where it is shown on a terminal that has it.
pub(super) fn heading(line: &str) -> String {
    styled(Style::new().bold(), line)
}

/// A text in a style, where it is shown on a terminal that has it.
pub(super) fn styled(style: Style, text: &str) -> String {
    format!("{style}{text}{style:#}")
}

/// Items below their title; nothing without items.
pub(super) fn list(title: &str, items: &[String]) -> String {
    if items.is_empty() {
        return String::new();
    }
    let mut table = plain_table();
    for item in items {
        table.add_row(["-", item]);
    }
    for (column, padding) in table.column_iter_mut().zip([(2, 1), (0, 0)]) {
        column.set_padding(padding);
    }
    format!("{title}:\n{}", lines(&table))
}

/// One paragraph, folded.
pub(super) fn folded(text: &str) -> String {
    folded_to(WIDTH, text)
}

/// One paragraph, folded to so many columns.
pub(super) fn folded_to(width: u16, text: &str) -> String {
    let mut table = table_of(width);
    table.add_row([text]);
    for column in table.column_iter_mut() {
        column.set_padding((0, 0));
    }
    lines(&table)
}

/// A table of at most 80 columns without lines.
pub(super) fn plain_table() -> Table {
    table_of(WIDTH)
}

/// A table of so many columns of text without lines.
pub(super) fn table_of(width: u16) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_content_arrangement(ContentArrangement::Dynamic);
    // Not the terminal's: comfy-table would ask for it.
    table.set_width(width);
    table.force_no_tty();
    table
}

/// Has a table's first column fold, down to `narrowest` columns of text, where the others, which are as wide as what is in
/// them, leave it no room; those of `right` are aligned to the right. Below 80 columns of text all of them fold.
pub(super) fn fold_first(table: &mut Table, narrowest: u16, right: Range<usize>) {
    let all_fold = table.width().is_some_and(|width| width < WIDTH);
    for (index, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, 2));
        if all_fold {
            column.set_padding((0, 1));
        } else if index == 0 {
            column.set_constraint(ColumnConstraint::LowerBoundary(Width::Fixed(narrowest)));
        } else {
            column.set_constraint(ColumnConstraint::ContentWidth);
        }
        if right.contains(&index) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
}

/// A document with its format's `kind` and `schema_version` before what is in it; numbers that are not finite are `null`.
#[expect(
    clippy::expect_used,
    reason = "keys are text and nothing is written but memory"
)]
pub(super) fn document(kind: &'static str, schema_version: u32, content: &impl Serialize) -> String {
    #[derive(Serialize)]
    struct Document<'a, T> {
        schema_version: u32,
        kind: &'static str,
        #[serde(flatten)]
        content: &'a T,
    }
    let document = Document {
        schema_version,
        kind,
        content,
    };
    serde_json::to_string_pretty(&document).expect("a report is JSON") + "\n"
}

/// The lines of a table, without the blanks that fill its last column.
pub(super) fn lines(table: &Table) -> String {
    let trimmed = |line: &str| format!("{}\n", line.trim_end());
    table.to_string().lines().map(trimmed).collect()
}
