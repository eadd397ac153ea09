//! The index: a table for each group of benchmarks on the disk, also those of other bench targets.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::html::{escape, href, page};
use crate::record::phase::Phase;

/// Criterion's description of a benchmark, beside its samples (`benchmark.json`, criterion 0.8).
#[derive(Debug, Deserialize)]
struct Benchmark {
    group_id: String,
    function_id: Option<String>,
    value_str: Option<String>,
}

/// Row and column of a benchmark: its parameter and its function.
type Cell = (String, String);

/// One group of benchmarks.
#[derive(Debug)]
pub(super) struct Group {
    id: String,
    /// Below criterion's home.
    pub(super) folder: PathBuf,
    /// The page of the whole group, if it exists.
    page: Option<PathBuf>,
    /// The page of each benchmark, if it exists.
    cells: BTreeMap<Cell, Option<PathBuf>>,
}

/// All groups below `home`, in the order of their ids.
pub(super) fn groups(home: &Path) -> Vec<Group> {
    let mut groups = BTreeMap::<String, Group>::new();
    let below = |path: PathBuf| path.strip_prefix(home).map(Path::to_owned).unwrap_or_default();
    let page_of = |folder: &Path| {
        let page = folder.join("report/index.html");
        page.is_file().then(|| below(page))
    };
    for file in files(home) {
        let text = std::fs::read(&file).unwrap_or_default();
        // A foreign file of that name is no benchmark.
        let Ok(found) = serde_json::from_slice::<Benchmark>(&text) else {
            continue;
        };
        let folder = file.parent().and_then(Path::parent).unwrap_or(home);
        let group = groups.entry(found.group_id).or_insert_with_key(|id| {
            let of_group = below(folder.to_owned()).components().take(1).collect::<PathBuf>();
            Group {
                id: id.clone(),
                page: page_of(&home.join(&of_group)),
                folder: of_group,
                cells: BTreeMap::new(),
            }
        });
        let cell = (
            found.value_str.unwrap_or_default(),
            found.function_id.unwrap_or_default(),
        );
        group.cells.insert(cell, page_of(folder));
    }
    groups.into_values().collect()
}

/// Criterion's descriptions of benchmarks below a folder, as deep as criterion nests folders.
fn files(home: &Path) -> Vec<PathBuf> {
    let home = glob::Pattern::escape(&home.to_string_lossy());
    let patterns = ["*", "*/*", "*/*/*"].map(|depth| format!("{home}/{depth}/new/benchmark.json"));
    let found = patterns.iter().filter_map(|pattern| glob::glob(pattern).ok());
    found.flatten().filter_map(std::result::Result::ok).collect()
}

/// The page.
pub(super) fn html(groups: &[Group]) -> String {
    let of_group = |group: &Group| {
        let title = link(&group.id, "..", group.page.as_deref());
        format!("<h2>{title}</h2>\n{}", group.table(".."))
    };
    let body: String = groups.iter().map(of_group).collect();
    page("Benchmarks", &body)
}

impl Group {
    /// A row for each parameter, a column for each function; links are relative to `base`, the way to criterion's home.
    pub(super) fn table(&self, base: &str) -> String {
        let mut rows: Vec<&str> = self.cells.keys().map(|(row, _)| row.as_str()).collect();
        rows.sort_by(|a, b| by_numbers(a, b));
        rows.dedup();
        let mut columns: Vec<&str> = self.cells.keys().map(|(_, column)| column.as_str()).collect();
        columns.sort_by_key(|column| {
            (
                Phase::ALL.iter().position(|phase| phase.name() == *column),
                *column,
            )
        });
        columns.dedup();
        let head = columns
            .iter()
            .map(|column| format!("<th>{}</th>", escape(column)));
        let head = head.collect::<Vec<_>>().concat();
        let mut table = vec![format!("<table>\n<tr><th></th>{head}</tr>\n")];
        for row in rows {
            let cell = |column: &&str| {
                let page = self.cells.get(&(row.to_owned(), (*column).to_owned()));
                // A benchmark without function or parameter is named by the other one.
                let name = [*column, row].into_iter().filter(|part| !part.is_empty());
                let name = name.collect::<Vec<_>>().join("/");
                page.map_or_else(
                    || "<td></td>".to_owned(),
                    |page| format!("<td>{}</td>", link(&name, base, page.as_deref())),
                )
            };
            let cells: String = columns.iter().map(cell).collect();
            table.push(format!("<tr><th>{}</th>{cells}</tr>\n", escape(row)));
        }
        table.push("</table>\n".into());
        table.concat()
    }
}

fn link(name: &str, base: &str, page: Option<&Path>) -> String {
    let name = escape(name);
    page.map_or_else(
        || name.clone(),
        |page| format!("<a href=\"{}\">{name}</a>", href(base, page)),
    )
}

/// Natural order, by the numbers in names: `p64` before `p128`.
fn by_numbers(a: &str, b: &str) -> Ordering {
    fn parts(name: &str) -> Vec<(u64, &str)> {
        let is_digit = |c: char| c.is_ascii_digit();
        let mut parts = Vec::new();
        let mut rest = name;
        while !rest.is_empty() {
            let digits = rest.find(|c| !is_digit(c)).unwrap_or(rest.len());
            let text = &rest[digits..];
            let end = digits + text.find(is_digit).unwrap_or(text.len());
            parts.push((rest[..digits].parse().unwrap_or_default(), &rest[digits..end]));
            rest = &rest[end..];
        }
        parts
    }
    parts(a).cmp(&parts(b)).then_with(|| a.cmp(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A benchmark's folder as criterion leaves it, with a page or without.
    fn benchmark(home: &Path, folder: &str, json: &str, has_page: bool) {
        let folder = home.join(folder);
        std::fs::create_dir_all(folder.join("new")).expect("made");
        std::fs::write(folder.join("new/benchmark.json"), json).expect("written");
        if has_page {
            std::fs::create_dir_all(folder.join("report")).expect("made");
            std::fs::write(folder.join("report/index.html"), "").expect("written");
        }
    }

    #[test]
    fn each_cell_leads_to_what_its_row_and_column_say() {
        let home = tempfile::tempdir().expect("a folder");
        let ours = |phase: &str, prompt: &str| {
            format!(r#"{{"group_id":"m/quick","function_id":"{phase}","value_str":"{prompt}"}}"#)
        };
        for (phase, prompt) in [("decode", "p128"), ("prefill", "p64"), ("total", "p128")] {
            benchmark(
                home.path(),
                &format!("m_quick/{phase}/{prompt}"),
                &ours(phase, prompt),
                phase != "total",
            );
        }
        benchmark(
            home.path(),
            "foreign",
            r#"{"group_id":"a & b","function_id":null,"value_str":null}"#,
            true,
        );
        benchmark(home.path(), "broken", "{", true);
        let text = html(&groups(home.path()));
        let table = text.split("m/quick").nth(1).expect("the group");
        assert!(
            table.contains(
                "<tr><th></th><th>prefill</th><th>decode</th><th>total</th></tr>\n\
                 <tr><th>p64</th><td><a href=\"../m_quick/prefill/p64/report/index.html\">prefill/p64</a></td>\
                 <td></td><td></td></tr>\n\
                 <tr><th>p128</th><td></td><td><a href=\"../m_quick/decode/p128/report/index.html\">decode/p128</a></td>\
                 <td>total/p128</td></tr>"
            ),
            "{table}"
        );
        assert!(
            text.contains("<a href=\"../foreign/report/index.html\">a &amp; b</a>"),
            "{text}"
        );
        assert!(!text.contains("broken"), "{text}");
    }

    #[test]
    fn names_are_in_the_order_of_their_numbers() {
        let mut names = ["p128-n8", "p64-n16", "p64-n8", "code", "p64-n8-d48"];
        names.sort_by(|a, b| by_numbers(a, b));
        assert_eq!(names, ["code", "p64-n8", "p64-n8-d48", "p64-n16", "p128-n8"]);
    }
}
