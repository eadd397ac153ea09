//! The pages of the project: their links, the length of their lines and sentences, and what the reference says of the program.

#![allow(clippy::expect_used, reason = "a test")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use comrak::nodes::{AstNode, NodeValue};
use comrak::{Anchorizer, Arena, Options, parse_document};
use regex::Regex;
use rkllm_bench::gate::Limits;
use rkllm_bench::metrics::Measure;
use unicode_segmentation::UnicodeSegmentation as _;
use unicode_width::UnicodeWidthStr as _;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
/// Where pages are.
const PAGES: [&str; 4] = ["*.md", "docs/**/*.md", "vendor/*/*.md", "examples/*/*.md"];

/// Lines of prose, headings and code, columns.
const WIDEST_LINE: usize = 120;
/// Lines of tables, which cannot be folded. Wider ones are cells with more than a sentence: text for below the table.
const WIDEST_ROW: usize = 200;
const LONGEST_SENTENCE: usize = 35;
const LONGEST_README: usize = 150;

/// Phrases of other languages in English words, and what a native speaker would write.
const FOREIGN: [(&str, &str); 12] = [
    (r"told", "given, reported, distinguished"),
    (r"mend(s|ed|ing)?", "fix"),
    (r"but for", "except for"),
    (r"by (itself|themselves)", "itself, automatically, alone"),
    (r"none to (judge|speak of)", "not judged"),
    (r"as (it|they) (came|comes|come)", "unchanged, in order"),
    (r"(was|were|is|are) at hand", "was available"),
    (r"so (it|this) is (for|with|on)", "the same holds for"),
    (r"anew", "again"),
    (r"stands? in the way", "prevent"),
    (r"and its kin", "and similar"),
    (
        r"has (an?|the|its|[A-Z]) (\S+ ){1,2}(made|taken|written|run)",
        "makes, runs",
    ),
];

/// A text of a page, such as a paragraph, a heading, an item or a cell, as a reader sees it.
struct Prose {
    line: usize,
    text: String,
}

struct Page {
    /// From the root of the project.
    name: String,
    text: String,
    anchors: BTreeSet<String>,
    /// The line and the target of each link and image.
    links: Vec<(usize, String)>,
    prose: Vec<Prose>,
    /// Lines within tables.
    rows: BTreeSet<usize>,
}

impl Page {
    fn read(path: &Path) -> Self {
        let name = path.strip_prefix(ROOT).expect("a page of the project");
        let text = std::fs::read_to_string(path).expect("a page is text");
        Self::parse(name.to_str().expect("a name is text"), &text)
    }

    fn parse(name: &str, text: &str) -> Self {
        let mut options = Options::default();
        options.extension.table = true;
        options.extension.autolink = true;
        options.extension.strikethrough = true;
        let arena = Arena::new();
        let root = parse_document(&arena, text, &options);
        let mut page = Self {
            name: name.to_owned(),
            text: text.to_owned(),
            anchors: BTreeSet::new(),
            links: Vec::new(),
            prose: Vec::new(),
            rows: BTreeSet::new(),
        };
        let mut anchorizer = Anchorizer::new();
        for node in root.descendants() {
            let (value, place) = (&node.data().value, node.data().sourcepos);
            match value {
                NodeValue::Heading(_) => {
                    page.anchors.insert(anchorizer.anchorize(&heading(node)));
                    page.prose.push(Prose::of(node));
                }
                NodeValue::Paragraph | NodeValue::TableCell => page.prose.push(Prose::of(node)),
                NodeValue::Table(_) => page.rows.extend(place.start.line..=place.end.line),
                NodeValue::Link(link) | NodeValue::Image(link) => {
                    page.links.push((place.start.line, link.url.clone()));
                }
                _ => {}
            }
        }
        page
    }

    /// Links that lead nowhere.
    fn broken_links(&self, pages: &BTreeMap<PathBuf, Page>) -> Vec<String> {
        let here = Path::new(ROOT).join(&self.name);
        let folder = here.parent().expect("a page is in a folder");
        let mut broken = Vec::new();
        for (line, target) in &self.links {
            if target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            let (file, anchor) = match target.split_once('#') {
                Some((file, anchor)) => (file, Some(anchor)),
                None => (target.as_str(), None),
            };
            let path = if file.is_empty() {
                Ok(here.clone())
            } else {
                folder.join(file).canonicalize()
            };
            let why = match (path, anchor) {
                (Err(_), _) => "there is no such file",
                (Ok(path), _) if !path.starts_with(ROOT) => "outside of the project",
                (Ok(path), Some(anchor))
                    if !pages.get(&path).is_some_and(|page| page.anchors.contains(anchor)) =>
                {
                    "there is no such heading"
                }
                _ => continue,
            };
            broken.push(format!("{}:{line}: {target}: {why}", self.name));
        }
        broken
    }

    fn wide_lines(&self) -> Vec<String> {
        let mut wide = Vec::new();
        for (number, line) in (1..).zip(self.text.lines()) {
            let most = if self.rows.contains(&number) {
                WIDEST_ROW
            } else {
                WIDEST_LINE
            };
            // An address cannot be folded.
            let can_fold = line.split_whitespace().nth(1).is_some();
            if line.width() > most && can_fold {
                wide.push(format!(
                    "{}:{number}: {} columns of {most}",
                    self.name,
                    line.width()
                ));
            }
        }
        wide
    }

    fn long_sentences(&self) -> Vec<String> {
        let mut long = Vec::new();
        for prose in &self.prose {
            for sentence in prose.text.split_sentence_bounds() {
                let is_word = |word: &&str| word.chars().any(char::is_alphanumeric);
                let words = sentence.split_whitespace().filter(is_word).count();
                if words > LONGEST_SENTENCE {
                    long.push(format!("{}:{}: {words} words: {sentence}", self.name, prose.line));
                }
            }
        }
        long
    }

    fn foreign_phrases(&self) -> Vec<String> {
        let rules = FOREIGN.map(|(phrase, better)| {
            let pattern = format!(r"(?i)\b({phrase})(\W|$)");
            (Regex::new(&pattern).expect("a pattern"), better)
        });
        let mut found = Vec::new();
        for prose in &self.prose {
            for (pattern, better) in &rules {
                for hit in pattern.find_iter(&prose.text) {
                    let phrase = hit.as_str().trim();
                    found.push(format!(
                        "{}:{}: {phrase:?}: write {better}",
                        self.name, prose.line
                    ));
                }
            }
        }
        found
    }
}

impl Prose {
    /// The text of a block, with a word in place of each piece of code: that is a name, however many words it has.
    fn of<'a>(block: &'a AstNode<'a>) -> Self {
        let mut text = String::new();
        for node in block.descendants() {
            match &node.data().value {
                NodeValue::Text(part) => text.push_str(part),
                NodeValue::Code(_) => text.push_str("Code"),
                NodeValue::SoftBreak | NodeValue::LineBreak => text.push(' '),
                _ => {}
            }
        }
        Self {
            line: block.data().sourcepos.start.line,
            text,
        }
    }
}

/// The text of a heading, code included, of which its anchor is made.
fn heading<'a>(block: &'a AstNode<'a>) -> String {
    let mut text = String::new();
    for node in block.descendants() {
        match &node.data().value {
            NodeValue::Text(part) => text.push_str(part),
            NodeValue::Code(code) => text.push_str(&code.literal),
            _ => {}
        }
    }
    text
}

/// All pages of the project, by their paths.
fn pages() -> BTreeMap<PathBuf, Page> {
    let files = PAGES.iter().flat_map(|pattern| {
        let pattern = Path::new(ROOT).join(pattern);
        glob::glob(pattern.to_str().expect("text")).expect("a pattern")
    });
    let pages: BTreeMap<PathBuf, Page> = files
        .map(|file| file.expect("a readable folder").canonicalize().expect("a file"))
        .map(|file| (file.clone(), Page::read(&file)))
        .collect();
    for name in [
        "README.md",
        "CHANGELOG.md",
        "docs/reference.md",
        "vendor/rkllmrt-host/README.md",
    ] {
        assert!(pages.values().any(|page| page.name == name), "{name}");
    }
    pages
}

#[track_caller]
fn assert_none(faults: impl Iterator<Item = String>) {
    let faults: Vec<String> = faults.collect();
    assert!(
        faults.is_empty(),
        "{} faults:\n{}",
        faults.len(),
        faults.join("\n")
    );
}

#[test]
fn links_lead_to_files_and_headings() {
    let pages = pages();
    let links: usize = pages.values().map(|page| page.links.len()).sum();
    assert!(links > 50, "{links}");
    assert_none(pages.values().flat_map(|page| page.broken_links(&pages)));
}

#[test]
fn lines_are_not_too_wide() {
    assert_none(pages().values().flat_map(Page::wide_lines));
}

#[test]
fn sentences_are_not_too_long() {
    assert_none(pages().values().flat_map(Page::long_sentences));
}

#[test]
fn phrases_are_english() {
    assert_none(pages().values().flat_map(Page::foreign_phrases));
}

#[test]
fn the_readme_is_short() {
    let readme = Page::read(&Path::new(ROOT).join("README.md"));
    let lines = readme.text.lines().count();
    assert!(lines <= LONGEST_README, "{lines} lines of {LONGEST_README}");
}

#[test]
fn each_rule_finds_its_fault() {
    let page = |text: &str| Page::parse("docs/invented.md", text);
    let none = BTreeMap::new();

    let broken = |text: &str| {
        let page = page(text);
        let here = Path::new(ROOT).join(&page.name);
        let pages = BTreeMap::from([(here.clone(), Page::parse(&page.name, text))]);
        page.broken_links(&pages).len()
    };
    let headings = "# `a` of B, and c\n\n## Twice\n\n## Twice\n";
    assert_eq!(
        broken(&format!("{headings}[x](#a-of-b-and-c) [y](#twice-1) [z](ci.md)")),
        0
    );
    assert_eq!(
        broken(&format!("{headings}[x](#a-of-b) [y](#twice-2) [z](ci.markdown)")),
        3
    );
    assert_eq!(
        page("[x](../../other.md) ![y](none.svg)")
            .broken_links(&none)
            .len(),
        2
    );

    let words = |count: usize| "word ".repeat(count);
    let row = |columns: usize| format!("| a |\n| --- |\n| {} |\n", "x ".repeat((columns - 4) / 2));
    assert_eq!(page(&words(24)).wide_lines().len(), 0);
    assert_eq!(page(&words(25)).wide_lines().len(), 1);
    assert_eq!(page(&format!("    {}", words(24))).wide_lines().len(), 1);
    assert_eq!(page(&"x".repeat(200)).wide_lines().len(), 0);
    assert_eq!(page(&row(WIDEST_ROW)).wide_lines().len(), 0);
    assert_eq!(page(&row(WIDEST_ROW + 2)).wide_lines().len(), 1);

    let sentence = |count: usize| format!("{}end. A `code of many words` ends 1.3.0.", words(count));
    for (start, end) in [
        ("", ""),
        ("- ", ""),
        ("> ", ""),
        ("## ", ""),
        ("| a |\n| --- |\n| ", " |"),
    ] {
        let found = |count| {
            page(&format!("{start}{}{end}", sentence(count)))
                .long_sentences()
                .len()
        };
        assert_eq!((found(34), found(35)), (0, 1), "{start}");
    }
    assert_eq!(page(&format!("    {}", words(40))).long_sentences().len(), 0);

    for phrase in [
        "has N ids run",
        "has a file written",
        "is told",
        "Mended,",
        "all\nbut for one",
        "differ by themselves",
        "is none to judge.",
    ] {
        assert_eq!(page(phrase).foreign_phrases().len(), 1, "{phrase}");
    }
    assert_eq!(
        page("an amendment untold, `told`, itself")
            .foreign_phrases()
            .len(),
        0
    );
}

/// The rows of the tables of a section of the reference, each a list of cells.
fn rows(section: &str) -> Vec<Vec<String>> {
    let path = Path::new(ROOT).join("docs/reference.md");
    let text = std::fs::read_to_string(path).expect("a page");
    let start = format!("\n## {section}\n");
    let (_, rest) = text.split_once(&start).expect("a section");
    let section = rest.split("\n## ").next().unwrap_or_default();
    let cells = |line: &str| {
        line.replace("\\|", "/")
            .trim_matches('|')
            .split('|')
            .map(str::trim)
            .map(str::to_owned)
            .collect()
    };
    let tables = section.lines().filter(|line| line.starts_with("| `"));
    tables.map(cells).collect()
}

/// The pieces of code in a cell.
fn code(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

fn help(command: &[&str]) -> String {
    let mut program = Command::new(env!("CARGO_BIN_EXE_rkllm-bench"));
    let output = program.args(command).arg("--help").output().expect("it starts");
    assert!(output.status.success(), "{command:?}");
    String::from_utf8(output.stdout).expect("text")
}

/// The commands of the program that have no commands below them, by their help.
fn commands(above: &[&str]) -> BTreeMap<String, String> {
    let help = help(above);
    let listed = help
        .split_once("\nCommands:\n")
        .map(|(_, rest)| rest.split("\n\n").next().unwrap_or_default());
    let Some(listed) = listed else {
        return BTreeMap::from([(above.join(" "), help)]);
    };
    let names = listed
        .lines()
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    let names = names
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != "help");
    names
        .flat_map(|name| commands(&[above, &[name]].concat()))
        .collect()
}

/// The flags that a help describes, without those that every command has.
fn flags(help: &str) -> BTreeSet<String> {
    // Descriptions, which may name flags too, are indented further.
    let option = Regex::new(r"(?m)^ {2,6}(?:-\w, )?(--[a-z-]+)").expect("a pattern");
    let described = option.captures_iter(help).map(|found| found[1].to_owned());
    described
        .filter(|flag| !["--color", "--help"].contains(&flag.as_str()))
        .collect()
}

#[test]
fn the_reference_lists_each_command_with_its_options() {
    let commands = commands(&[]);
    assert!(commands.len() >= 20, "{commands:#?}");
    let listed = rows("The program");
    let listed: BTreeSet<&str> = listed.iter().flat_map(|row| code(&row[0])).collect();
    assert_eq!(listed, commands.keys().map(String::as_str).collect());

    let rows = rows("Options of the program");
    for (command, help) in &commands {
        let own = rows
            .iter()
            .filter(|row| code(&row[1]).any(|name| name == command));
        let documented = own
            .filter_map(|row| code(&row[0]).next())
            .filter_map(|flag| flag.split([' ', '[']).next());
        assert_eq!(
            documented.map(str::to_owned).collect::<BTreeSet<_>>(),
            flags(help),
            "{command}"
        );
    }
    let named: BTreeSet<&str> = rows.iter().flat_map(|row| code(&row[1])).collect();
    assert!(named.iter().all(|name| commands.contains_key(*name)), "{named:?}");
}

#[test]
fn the_reference_lists_each_exit_code_of_the_program() {
    let number = |text: &str| text.trim_matches('`').parse::<u8>().ok();
    let help = help(&[]);
    let (_, codes) = help.split_once("\nExit codes:\n").expect("codes");
    let codes = codes
        .lines()
        .filter_map(|line| number(line.split_whitespace().next()?));
    let codes: BTreeSet<u8> = codes.collect();
    // The first table has the verdicts; the other codes are those of bench targets.
    let own = rows("Exit codes of the program");
    let verdicts = own.iter().take_while(|row| row.len() == 3);
    let common = rows("Exit codes of bench targets");
    let common = common.iter().filter(|row| number(&row[0]) >= Some(64));
    let listed: BTreeSet<u8> = verdicts.chain(common).filter_map(|row| number(&row[0])).collect();
    assert!(codes.len() >= 8, "{codes:?}");
    assert!(codes.is_subset(&listed), "{codes:?} {listed:?}");
}

#[test]
fn the_reference_lists_each_metric_with_its_bounds() {
    let bound = |limits: &Limits, measure| {
        let ratio = limits.of(measure).expect("a bound");
        format!("{:.0} %", ratio * 100.0)
    };
    let (gate, ab) = (Limits::new(0.05), Limits::new(0.01));
    let expected = Measure::ALL.map(|measure| {
        let name = format!("`{}`", measure.name());
        (
            name,
            (
                measure.unit().to_owned(),
                bound(&gate, measure),
                bound(&ab, measure),
            ),
        )
    });
    let listed = rows("Metrics").into_iter().map(|row| {
        let unit = row[1].split(',').next().unwrap_or_default().to_owned();
        (row[0].clone(), (unit, row[2].clone(), row[3].clone()))
    });
    assert_eq!(listed.collect::<BTreeMap<_, _>>(), BTreeMap::from(expected));
}

#[test]
fn the_reference_lists_each_variable_of_ours() {
    // Between processes of one run, or what build.rs gives to the compiler.
    const INTERNAL: [&str; 7] = [
        "RKLLM_BENCH_CRITERION_PARENT",
        "RKLLM_BENCH_CRITERION_TASK",
        "RKLLM_BENCH_LIBRARY_PATH",
        "RKLLM_BENCH_LIBRARY_SHA256",
        "RKLLM_BENCH_LIBRARY_VERSION",
        "RKLLM_BENCH_OPERATING_CURVE_DURATIONS",
        "RKLLM_BENCH_TURNS",
    ];
    let literal = Regex::new(r#""(RKLLM_(?:BENCH_\w+|SDK|LIBRARY|\w+_DIR))""#).expect("a pattern");
    let sources = ["build.rs", "src/**/*.rs"].iter().flat_map(|pattern| {
        let pattern = Path::new(ROOT).join(pattern);
        glob::glob(pattern.to_str().expect("text")).expect("a pattern")
    });
    let mut used = BTreeSet::new();
    for source in sources {
        let text = std::fs::read_to_string(source.expect("a readable folder")).expect("a source is text");
        used.extend(literal.captures_iter(&text).map(|found| found[1].to_owned()));
    }
    used.retain(|name| !INTERNAL.contains(&name.as_str()));
    assert!(used.len() > 30, "{used:?}");
    let tables = [rows("Environment variables"), rows("Options of bench targets")].concat();
    let listed = tables
        .iter()
        .flat_map(|row| row[..2].iter())
        .flat_map(|cell| code(cell));
    let listed: BTreeSet<String> = listed
        .filter(|name| name.starts_with("RKLLM_"))
        .map(str::to_owned)
        .collect();
    assert_eq!(listed, used);
}
