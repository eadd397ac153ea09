//! Tables that never break a cell. A table that does not fit uses another layout.

use std::ops::Range;

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use textwrap::core::display_width;

use crate::base::layout::{folded_within, unglued, whole};

/// Columns between two cells: the usual number, then a smaller one that makes more tables fit.
const GAPS: [u16; 2] = [2, 1];
/// Indentation of lines below a name.
const INDENT: usize = 2;

/// A table whose first column names its rows. Cells may have several lines.
#[derive(Debug, Clone)]
pub(crate) struct Grid {
    header: Vec<String>,
    rows: Vec<Vec<String>>,
    right: Range<usize>,
}

impl Grid {
    /// A table without rows. The columns of `right` are aligned to the right.
    pub(crate) fn new<T: Into<String>>(header: impl IntoIterator<Item = T>, right: Range<usize>) -> Self {
        Self {
            header: header.into_iter().map(Into::into).collect(),
            rows: Vec::new(),
            right,
        }
    }

    /// Adds a row.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// The first of these layouts that has at most `width` columns:
    ///
    /// 1. one line for each row;
    /// 2. the name on its own line above the other cells;
    /// 3. the name, and below it each cell with its column's name. A single word may still be wider.
    pub(crate) fn fitted(&self, width: u16) -> String {
        let layouts = [Self::beside, Self::below];
        let fitting = layouts
            .iter()
            .flat_map(|layout| GAPS.map(|gap| layout(self, gap)))
            .find(|(_, widest)| *widest <= usize::from(width));
        let text = fitting.map_or_else(|| self.stacked(width), |(text, _)| text);
        unglued(&text)
    }

    /// One line for each row, and the width of the widest.
    fn beside(&self, gap: u16) -> (String, usize) {
        let lines = drawn(&self.header, &self.rows, &self.right, gap);
        let widest = widest(lines.iter());
        (lines.join("\n") + "\n", widest)
    }

    /// The name on its own line, once for neighbouring rows with the same name; and the width of the widest other line.
    /// A longer name is not broken in any layout.
    fn below(&self, gap: u16) -> (String, usize) {
        let cells = |row: &[String]| row.get(1..).unwrap_or_default().to_vec();
        let right = self.right.start.saturating_sub(1)..self.right.end.saturating_sub(1);
        let rows: Vec<Vec<String>> = self.rows.iter().map(|row| cells(row)).collect();
        let drawn = drawn(&cells(&self.header), &rows, &right, gap);
        let mut lines = drawn.iter().map(|line| format!("{:INDENT$}{line}", ""));
        let mut text = String::new();
        let mut above = None;
        let heads = std::iter::once(&self.header).chain(&self.rows);
        for (row, cells) in heads.zip(std::iter::once(&cells(&self.header)).chain(&rows)) {
            if above != Some(name(row)) {
                text += name(row);
                text += "\n";
            }
            above = Some(name(row));
            for line in lines.by_ref().take(height(cells)) {
                text += &line;
                text += "\n";
            }
        }
        (text, INDENT + widest(drawn.iter()))
    }

    /// The name, once for neighbouring rows with the same name, and each cell with its column's name.
    fn stacked(&self, width: u16) -> String {
        let mut text = String::new();
        let mut above = None;
        for row in &self.rows {
            if above != Some(name(row)) {
                text += name(row);
                text += "\n";
            }
            above = Some(name(row));
            let cells = self.header.iter().zip(row).skip(1);
            let items: Vec<String> = cells
                .map(|(head, cell)| match on_one_line(head).as_str() {
                    "" => on_one_line(cell),
                    head => whole(&format!("{head}: ")) + &on_one_line(cell),
                })
                .collect();
            text += &folded_within(width, "  ", &items.join(", "));
        }
        text
    }
}

fn name(row: &[String]) -> &str {
    row.first().map_or("", String::as_str)
}

fn on_one_line(cell: &str) -> String {
    cell.lines().collect::<Vec<_>>().join(" ")
}

/// Number of lines of a row.
fn height(cells: &[String]) -> usize {
    let lines = cells.iter().map(|cell| cell.lines().count());
    lines.max().unwrap_or(0).max(1)
}

fn widest<'a>(lines: impl Iterator<Item = &'a String>) -> usize {
    lines.map(|line| display_width(line)).max().unwrap_or(0)
}

/// The lines of a table at its natural width.
fn drawn(header: &[String], rows: &[Vec<String>], right: &Range<usize>, gap: u16) -> Vec<String> {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_content_arrangement(ContentArrangement::Disabled);
    table.force_no_tty();
    table.set_header(header);
    table.add_rows(rows.iter().cloned());
    for (index, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, gap));
        if right.contains(&index) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let table = table.to_string();
    table.lines().map(|line| line.trim_end().to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grid(name: &str) -> Grid {
        let mut grid = Grid::new(["prompt", "tokens\nin", "decode\ntok/s"], 1..3);
        grid.row([name, "35", "611.9"].map(str::to_owned));
        grid.row([name, "105", "58.5"].map(str::to_owned));
        grid
    }

    #[test]
    fn a_table_that_fits_has_a_line_a_row() {
        assert_eq!(
            grid("code").fitted(22),
            "prompt  tokens  decode\n            in   tok/s\ncode        35   611.9\ncode       105    58.5\n"
        );
        // One column less, and there is one blank between cells.
        assert_eq!(
            grid("code").fitted(21),
            "prompt tokens decode\n           in  tok/s\ncode       35  611.9\ncode      105   58.5\n"
        );
    }

    #[test]
    fn a_name_too_long_stands_above_its_row_and_is_not_broken() {
        let name = "prefill/a-prompt-of-a-long-name";
        assert_eq!(
            grid(name).fitted(20),
            format!(
                "prompt\n  tokens  decode\n      in   tok/s\n{name}\n      35   611.9\n     105    58.5\n"
            )
        );
    }

    #[test]
    fn cells_that_do_not_fit_either_stand_below_each_other_with_the_names_of_their_columns() {
        assert_eq!(
            grid("code").fitted(14),
            "code\n  tokens in: 35,\n  decode tok/s: 611.9\n  tokens in: 105,\n  decode tok/s: 58.5\n"
        );
    }

    #[test]
    fn wide_characters_are_counted_by_the_columns_that_they_take() {
        let mut grid = Grid::new(["模型", "n"], 1..2);
        grid.row(["通义千问".to_owned(), "1".to_owned()]);
        grid.row(["a".to_owned(), "22".to_owned()]);
        assert_eq!(grid.fitted(12), "模型       n\n通义千问   1\na         22\n");
        assert_eq!(grid.fitted(10), "模型\n   n\n通义千问\n   1\na\n  22\n");
    }
}
