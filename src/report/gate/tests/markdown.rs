//! Markdown read by an implementation of GitHub's dialect.

use comrak::nodes::{AstNode, NodeValue};
use comrak::{Arena, Options, parse_document};

use super::*;
use crate::report::words::plain;

/// The cells of each row of each table, headers included, and the text of each list item.
struct Page {
    tables: Vec<Vec<Vec<String>>>,
    items: Vec<String>,
    /// Emphasis, links, images and headings: what a name must not turn into.
    markup: usize,
}

fn read(markdown: &str) -> Page {
    let mut options = Options::default();
    options.extension.table = true;
    options.extension.strikethrough = true;
    let arena = Arena::new();
    let root = parse_document(&arena, markdown, &options);
    let mut page = Page {
        tables: Vec::new(),
        items: Vec::new(),
        markup: 0,
    };
    for node in root.descendants() {
        match &node.data.borrow().value {
            NodeValue::Table(_) => page.tables.push(node.children().map(cells).collect()),
            NodeValue::Item(_) => page.items.push(text_of(node)),
            NodeValue::Emph | NodeValue::Link(_) | NodeValue::Image(_) | NodeValue::Strikethrough => {
                page.markup += 1;
            }
            _ => (),
        }
    }
    page
}

fn cells<'a>(row: &'a AstNode<'a>) -> Vec<String> {
    row.children().map(text_of).collect()
}

fn text_of<'a>(node: &'a AstNode<'a>) -> String {
    let text = |node: &'a AstNode<'a>| match &node.data.borrow().value {
        NodeValue::Text(text) => text.to_string(),
        NodeValue::Code(code) => code.literal.clone(),
        _ => String::new(),
    };
    node.descendants().map(text).collect()
}

#[test]
fn a_regression_is_a_heading_a_table_and_a_fold() {
    let markdown = markdown(&regression());
    assert!(
        markdown.starts_with(
            "## ❌ regression: 3 of 12 metrics got worse by more than their bound\n\n\
             4 runs of the baseline, 4 of the candidate\n"
        ),
        "{markdown}"
    );
    let page = read(&markdown);
    let [noteworthy, rest] = &page.tables[..] else {
        panic!("{markdown}");
    };
    assert_eq!(
        noteworthy[1],
        [
            "m/quick/prefill",
            "1997 → 1815 tok/s",
            "+9.98 % [+9.67, +10.29]",
            "5 %",
            "regressed"
        ]
    );
    assert_eq!((noteworthy.len(), rest.len()), (1 + 3, 1 + 9));
    let fold = markdown.find("<details>").expect("a fold");
    assert!(markdown[..fold].contains("regressed") && !markdown[..fold].contains("equivalent"));
}

#[test]
fn lists_name_what_a_reader_has_to_act_on() {
    assert_eq!(
        read(&markdown(&not_comparable())).items,
        [
            "max_context: 512 → 512, 8192 (--allow parameters)",
            "m: file: 010101010101… → abababababab…"
        ]
    );
    let absent = read(&markdown(&absent()));
    assert_eq!(
        absent.items[1],
        "m/quick/*/b: run cand-0: the prompt was given up: it died twice"
    );
}

#[test]
fn hostile_names_break_no_table_and_come_back() {
    let markdown = markdown(&hostile());
    let page = read(&markdown);
    let rows: Vec<usize> = page.tables.iter().map(Vec::len).collect();
    assert_eq!(rows, [1 + 1, 1 + 2], "{markdown}");
    for row in page.tables.iter().flatten() {
        assert_eq!(row.len(), 5, "{markdown}");
    }
    let shown = plain(HOSTILE);
    assert_eq!(page.tables[0][1][0], format!("{shown}/quick/decode/{shown}"));
    assert_eq!(page.items.len(), 4, "{markdown}");
    assert_eq!(page.markup, 0, "{markdown}");
    // Nothing but the joiner stands between a mention's sign and its name outside of code.
    let outside = |text: &str| text.contains("&#64;me");
    let prose: Vec<&str> = markdown
        .split("<code>")
        .map(|part| part.rsplit("</code>").next().unwrap_or_default())
        .collect();
    assert!(!prose.into_iter().any(outside), "{markdown}");
}

#[test]
fn every_table_parses_whole() {
    for comparison in all() {
        let page = read(&markdown(&comparison));
        let rows: usize = page.tables.iter().map(|table| table.len() - 1).sum();
        assert_eq!(rows, comparison.metrics.len());
        assert!(page.tables.iter().flatten().all(|row| row.len() == 5));
    }
}

#[test]
fn two_thousand_metrics_fit_into_a_comment() {
    for noteworthy in [0, 3, 1000, 2000] {
        let mut comparison = many(2000, noteworthy);
        comparison.absent = (0..2000)
            .map(|index| Absent {
                id: format!("m/quick/*/{index}"),
                reason: HOSTILE.repeat(3),
            })
            .collect();
        let markdown = markdown(&comparison);
        assert!(markdown.len() <= 65_000, "{noteworthy}: {}", markdown.len());
        assert!(markdown.len() > 60_000, "room is left: {}", markdown.len());
        assert!(
            markdown.contains("metrics that this comment has no room for"),
            "{noteworthy}"
        );
        let page = read(&markdown);
        assert!(page.tables.iter().flatten().all(|row| row.len() == 5));
        let rows: usize = page.tables.iter().map(|table| table.len() - 1).sum();
        assert_eq!(rows + left_out(&markdown, "metric"), 2000, "{noteworthy}");
        assert_eq!(page.items.len() + left_out(&markdown, "entr"), 2000);
    }
}

/// Adds up the lines that say what was left out.
fn left_out(markdown: &str, what: &str) -> usize {
    let lines = markdown.lines().filter(|line| line.contains("has no room for"));
    let counts = lines.filter_map(|line| {
        let (count, rest) = line.strip_prefix("and ")?.split_once(' ')?;
        rest.starts_with(what)
            .then(|| count.parse::<usize>().expect("a count"))
    });
    counts.sum()
}
