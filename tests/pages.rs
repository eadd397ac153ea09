//! What stands in criterion's folder, as a browser shows it: charts whose numbers are read back out of the SVG, and links.

#![cfg(feature = "host")]
#![allow(clippy::expect_used, reason = "helpers of tests")]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use common::host::{MODEL, QUICK, TABLE, quick, turn};
use common::{Place, succeed};
use rkllm_bench::record::{PromptRecord, RunRecord, Sample};
use serde::Deserialize;

/// Radius of a median's point.
const MEDIAN: &str = "4";

/// An SVG read back: what is drawn, and the axes by their ticks.
struct Chart {
    texts: Vec<Text>,
    /// Pixels of the medians' points.
    medians: Vec<(f64, f64)>,
    /// Lines of more than the two points of ticks, bars and the legend.
    lines: Vec<Vec<(f64, f64)>>,
}

struct Text {
    x: f64,
    y: f64,
    anchor: String,
    shown: String,
}

impl Chart {
    fn read(path: &Path) -> Self {
        let svg = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let document = uppsala::parse(&svg).expect("XML");
        let of_tag = |tag: &str| document.get_elements_by_tag_name(tag);
        let attribute = |node, name: &str| document.get_attribute(node, name).unwrap_or_default().to_owned();
        let number = |node, name: &str| attribute(node, name).parse::<f64>().expect("a number");
        let texts = of_tag("text").into_iter().map(|node| Text {
            x: number(node, "x"),
            y: number(node, "y"),
            anchor: attribute(node, "text-anchor"),
            shown: document.text_content_deep(node).trim().to_owned(),
        });
        let circles = of_tag("circle").into_iter();
        let medians = circles.filter(|node| attribute(*node, "r") == MEDIAN);
        let points = |node| -> Vec<(f64, f64)> {
            let points = attribute(node, "points");
            let point = |text: &str| {
                text.split_once(',')
                    .map(|(x, y)| (x.parse().expect("x"), y.parse().expect("y")))
            };
            points.split_whitespace().filter_map(point).collect()
        };
        Self {
            texts: texts.collect(),
            medians: medians
                .map(|node| (number(node, "cx"), number(node, "cy")))
                .collect(),
            lines: of_tag("polyline")
                .into_iter()
                .map(points)
                .filter(|points| points.len() > 2)
                .collect(),
        }
    }

    /// The value that a pixel stands for, by two ticks of the axis on which `place` gives a tick's pixel.
    fn value(&self, pixel: f64, is_tick: impl Fn(&Text) -> bool, place: impl Fn(&Text) -> f64) -> f64 {
        let mut ticks: Vec<(f64, f64)> = self
            .texts
            .iter()
            .filter(|text| is_tick(text))
            .filter_map(|text| Some((place(text), text.shown.parse().ok()?)))
            .collect();
        ticks.sort_by(|a, b| a.0.total_cmp(&b.0));
        let (first, last) = (ticks[0], ticks[ticks.len() - 1]);
        first.1 + (pixel - first.0) * (last.1 - first.1) / (last.0 - first.0)
    }

    fn y(&self, pixel: f64) -> f64 {
        self.value(pixel, |text| text.anchor == "end", |text| text.y)
    }

    fn x(&self, pixel: f64) -> f64 {
        let bottom = self.texts.iter().map(|text| text.y).fold(0.0, f64::max);
        // The ticks' line is above that of the axis's name, if there is one.
        let is_tick = move |text: &Text| {
            text.anchor == "middle" && text.shown.parse::<f64>().is_ok() && bottom - text.y < 40.0
        };
        self.value(pixel, is_tick, |text| text.x)
    }

    /// The figures that stand at a point.
    fn labels(&self, (x, y): (f64, f64)) -> Vec<&str> {
        let is_there = |text: &&Text| (text.x - x).abs() < 2.0 && (y - text.y - 8.0).abs() < 2.0;
        self.texts
            .iter()
            .filter(is_there)
            .map(|text| text.shown.as_str())
            .collect()
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    f64::midpoint(values[(values.len() - 1) / 2], values[values.len() / 2])
}

/// A figure as the printed tables have it.
fn four_digits(value: f64) -> String {
    let decimals = [1000.0, 100.0, 10.0]
        .iter()
        .filter(|bound| value < **bound)
        .count();
    format!("{value:.decimals$}")
}

#[expect(clippy::cast_precision_loss, reason = "nanoseconds of a short run")]
fn figure(phase: &str, prompt: &PromptRecord) -> f64 {
    let of = |sample: &Sample| match phase {
        "prefill" => {
            f64::from(prompt.prompt_tokens.expect("known")) * 1e9
                / sample.phases.ttft_ns.expect("a token came") as f64
        }
        "decode" => 1e9 / sample.phases.decode_ns_per_token.expect("decoded"),
        _ => sample.phases.total_ns as f64 / 1e6,
    };
    median(prompt.samples.iter().map(of).collect())
}

/// The chart of each phase has each prompt's printed figure as its point, at its value. `x` gives a prompt's place.
fn assert_true(
    folder: &Path,
    record: &RunRecord,
    printed: &str,
    x: impl Fn(&PromptRecord) -> f64,
) -> Vec<Chart> {
    let prompts = &record.models[0].prompts;
    let of_phase = |phase: &str| {
        let chart = Chart::read(&folder.join(format!("report/{phase}.svg")));
        assert_eq!(chart.medians.len(), prompts.len(), "{phase}");
        // The lines go through these points, and through no others.
        let ordered = |mut points: Vec<(f64, f64)>| {
            points.sort_by(|a, b| a.partial_cmp(b).expect("numbers"));
            points
        };
        assert_eq!(
            ordered(chart.lines.concat()),
            ordered(chart.medians.clone()),
            "{phase}"
        );
        for prompt in prompts {
            let figure = figure(phase, prompt);
            let label = four_digits(figure);
            let at = chart
                .medians
                .iter()
                .find(|at| chart.labels(**at).contains(&&*label));
            let at = *at.unwrap_or_else(|| panic!("no point of {phase} is labelled {label}"));
            if phase != "total" {
                assert!(
                    printed.contains(&label),
                    "{phase} of {} is {label}:\n{printed}",
                    prompt.id
                );
            }
            // One pixel more or less.
            let (drawn, pixel) = (chart.y(at.1), (chart.y(at.1) - chart.y(at.1 + 1.0)).abs());
            assert!(
                (drawn - figure).abs() <= 1.5 * pixel,
                "{phase} of {}: {drawn}, is {figure}",
                prompt.id
            );
            let (place, pixel) = (chart.x(at.0), (chart.x(at.0) - chart.x(at.0 + 1.0)).abs());
            assert!(
                (place - x(prompt)).abs() <= 1.5 * pixel,
                "{phase} of {} over {place}",
                prompt.id
            );
        }
        chart
    };
    ["prefill", "decode", "total"].map(of_phase).into()
}

fn sweep(sizes: &[&str]) -> (Place, RunRecord, String) {
    let place = Place::new();
    let mut bench = place.bench(&TABLE);
    let text = succeed(
        bench
            .arg("--models")
            .arg(&*MODEL)
            .args(["--new-tokens", "6"])
            .args(sizes),
    );
    let record = place.record();
    (place, record, text)
}

/// The folder of a group.
fn group(place: &Place, record: &RunRecord) -> PathBuf {
    place
        .path("criterion")
        .join(format!("{}_{}", record.models[0].name, record.suite.name))
}

#[test]
fn a_sweep_over_one_size_is_drawn_as_it_is_printed() {
    let _turn = turn();
    let (place, record, text) = sweep(&["--prompt-tokens", "16,64,128"]);
    let folder = group(&place, &record);
    let charts = assert_true(&folder, &record, &text, |prompt| {
        f64::from(prompt.input.token_count().expect("ids"))
    });
    for chart in charts {
        assert_eq!(
            chart.lines.iter().map(Vec::len).collect::<Vec<_>>(),
            [3],
            "one line"
        );
    }
    let page = folder.join("report/index.html");
    assert!(text.contains(&format!("charts: {}", page.display())), "{text}");
    // Criterion draws none.
    let drawn: BTreeSet<_> = std::fs::read_dir(folder.join("report"))
        .expect("listed")
        .map(|entry| entry.expect("listed").file_name().into_string().expect("a name"))
        .collect();
    assert_eq!(
        drawn,
        BTreeSet::from(["decode.svg", "index.html", "prefill.svg", "total.svg"].map(String::from))
    );
}

#[test]
fn a_sweep_over_two_sizes_is_a_line_for_each_value_of_the_second() {
    let _turn = turn();
    let (place, record, text) = sweep(&["--prompt-tokens", "16,32,64", "--depth", "0,48"]);
    let charts = assert_true(&group(&place, &record), &record, &text, |prompt| {
        f64::from(prompt.input.token_count().expect("ids"))
    });
    for chart in charts {
        assert_eq!(
            chart.lines.iter().map(Vec::len).collect::<Vec<_>>(),
            [3, 3],
            "two lines"
        );
        for line in &chart.lines {
            assert!(line.is_sorted_by(|a, b| a.0 < b.0), "no zig-zag: {line:?}");
        }
        for name in ["depth 0", "depth 48"] {
            assert!(chart.texts.iter().any(|text| text.shown == name), "{name}");
        }
    }
}

#[test]
fn a_sweep_over_depths_is_drawn_over_them() {
    let _turn = turn();
    let (place, record, text) = sweep(&["--prompt-tokens", "16", "--depth", "0,64,128"]);
    assert_true(&group(&place, &record), &record, &text, |prompt| {
        f64::from(prompt.depth)
    });
}

/// A page as a browser shows it.
#[derive(Debug, Deserialize)]
struct Page {
    title: String,
    broken_images: Vec<String>,
    cells: Vec<Cell>,
}

/// A link within a table: the heading above it, its row, its column, and where it leads.
#[derive(Debug, Deserialize)]
struct Cell {
    heading: String,
    row: String,
    column: String,
    href: String,
}

/// Opens a page and follows all links from it in one browser; a page that does not open is absent.
fn browse(scratch: &Path, start: &Path) -> BTreeMap<String, Option<Page>> {
    const CRAWLER: &str = r##"<!DOCTYPE html><meta charset="utf-8"><iframe id="frame"></iframe><script>
        const frame = document.getElementById("frame");
        const text = (node) => node ? node.textContent : "";
        function read(page) {
            const cells = [...page.querySelectorAll("td a")].map((link) => {
                const cell = link.closest("td"), table = link.closest("table");
                return {
                    heading: text(table.previousElementSibling), row: text(cell.parentElement.cells[0]),
                    column: text(table.rows[0].cells[cell.cellIndex]), href: link.href,
                };
            });
            return {
                title: page.title, cells, links: [...page.querySelectorAll("a[href]")].map((link) => link.href),
                broken_images: [...page.images].filter((image) => image.naturalWidth === 0).map((image) => image.src),
            };
        }
        async function open(url) {
            await new Promise((done) => { frame.onload = done; frame.src = url; });
            const page = frame.contentDocument;
            return page && page.URL === url ? read(page) : null;
        }
        (async () => {
            const pages = {}, waiting = [START];
            while (waiting.length) {
                const url = waiting.pop().split("#")[0];
                if (url in pages || !url.startsWith("file:") || !url.endsWith(".html")) continue;
                pages[url] = await open(url);
                if (pages[url]) waiting.push(...pages[url].links);
            }
            document.body.textContent = "RESULT" + btoa(unescape(encodeURIComponent(JSON.stringify(pages)))) + "END";
        })();
    </script>"##;
    let address = format!("\"file://{}\"", start.display());
    let crawler = scratch.join("crawler.html");
    std::fs::write(&crawler, CRAWLER.replace("START", &address)).expect("written");
    let browsers = ["chromium", "chromium-browser", "google-chrome"];
    let is_there = |name: &&str| Command::new(name).arg("--version").output().is_ok();
    let browser = browsers
        .into_iter()
        .find(is_there)
        .expect("scripts/setup --chromium installs Chromium");
    let page = succeed(
        Command::new(browser)
            .args([
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--no-first-run",
                "--disable-sync",
            ])
            .args(["--disable-background-networking", "--disable-component-update"])
            .args([
                "--allow-file-access-from-files",
                "--virtual-time-budget=600000",
                "--dump-dom",
            ])
            .arg(format!("--user-data-dir={}", scratch.join("browser").display()))
            .arg(format!("file://{}", crawler.display())),
    );
    let result = page
        .split_once("RESULT")
        .and_then(|(_, rest)| rest.split_once("END"));
    let (result, _) = result.unwrap_or_else(|| panic!("the browser did not come to an end:\n{page}"));
    serde_json::from_slice(&base64(result)).expect("pages")
}

/// RFC 4648, without padding's checks.
fn base64(text: &str) -> Vec<u8> {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digit = |byte: &u8| ALPHABET.iter().position(|other| other == byte);
    let bits: Vec<usize> = text.as_bytes().iter().filter_map(digit).collect();
    let bytes = bits.chunks(4).flat_map(|chunk| {
        let all = chunk.iter().fold(0, |all, bits| (all << 6) | bits) << (6 * (4 - chunk.len()));
        all.to_be_bytes()[size_of::<usize>() - 3..][..chunk.len() * 6 / 8].to_vec()
    });
    bytes.collect()
}

#[test]
#[ignore = "needs Chromium: scripts/setup --chromium"]
fn each_link_of_the_index_leads_to_what_it_says() {
    let _turn = turn();
    let place = Place::new();
    let models = place.path("models");
    std::fs::create_dir_all(&models).expect("made");
    for name in [
        "small",
        "DeepSeek-R1-Distill-Qwen-1.5B_W8A8_G128_RK3588_ctx4096_opt1_hybrid0.5",
    ] {
        std::fs::copy(&*MODEL, models.join(format!("{name}.gguf"))).expect("copied");
    }
    let suite = place.path("odd.json");
    let test = |id: &str| format!(r#"{{"id": "{id}", "prompt": "Why?"}}"#);
    let tests = ["a & b", "100%25#1'", "report"].map(test).join(",");
    std::fs::write(&suite, format!(r#"{{"name": "odd_names", "tests": [{tests}]}}"#)).expect("written");
    let bench = |arguments: &[&str]| {
        let mut bench = place.bench(&QUICK);
        succeed(
            bench
                .args(["--max-new-tokens", "4", "--models"])
                .arg(&models)
                .args(arguments),
        )
    };
    // A group with a hole, which criterion's own index closes.
    bench(&["--model", "small", "decode/question|total/code"]);
    bench(&["--model", "small"]);
    bench(&["--prompts", suite.to_str().expect("a path")]);
    let index = place.path("criterion/report/index.html");
    let pages = browse(&place.path("."), &index.canonicalize().expect("there"));

    let broken: Vec<&String> = pages
        .iter()
        .filter(|(_, page)| page.is_none())
        .map(|(url, _)| url)
        .collect();
    assert!(broken.is_empty(), "{broken:#?}");
    let images: Vec<&String> = pages
        .values()
        .flatten()
        .flat_map(|page| &page.broken_images)
        .collect();
    assert!(images.is_empty(), "{images:#?}");
    let start = pages
        .values()
        .flatten()
        .find(|page| page.title == "Benchmarks")
        .expect("the index");
    let mut seen = BTreeSet::new();
    for cell in &start.cells {
        let page = pages[&cell.href].as_ref().expect("opened");
        let id = format!("{}/{}/{}", cell.heading, cell.column, cell.row);
        assert_eq!(page.title, format!("{id} - Criterion.rs"), "{cell:?}");
        seen.insert(id);
    }
    // Three phases of three prompts of small/quick and of odd_names on both models.
    assert_eq!(seen.len(), 27, "{seen:#?}");
    assert!(seen.contains("small/quick/decode/question"), "{seen:#?}");
    assert!(
        seen.iter().any(|id| id.ends_with("/total/100%25#1'")),
        "{seen:#?}"
    );
}

#[test]
fn a_filtered_run_leaves_holes_and_the_next_fills_them() {
    let _turn = turn();
    let place = Place::new();
    succeed(quick(&place).arg("decode/question"));
    let index = || std::fs::read_to_string(place.path("criterion/report/index.html")).expect("written");
    assert_eq!(index().matches("<td><a ").count(), 1, "{}", index());
    succeed(quick(&place).arg("quick/(decode|total)/(question|code)"));
    assert_eq!(index().matches("<td><a ").count(), 4, "{}", index());
}
