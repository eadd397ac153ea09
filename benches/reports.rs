//! The cost of the reports of a large run: 500 answers of 4,000 tokens, in a separate process. It prints time and peak
//! memory, and their ratios to reading the record's file into a tree of JSON values.
//!
//! It also prints the cost of syncing a record against power cuts, as a ratio to a save without syncs.
//!
//! The goal is 3 s and 300 MB. Run it by name: `cargo bench --bench reports`.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use rkllm_bench::inference::TokenEvent;
use rkllm_bench::prompts::Suite;
use rkllm_bench::record::{RunRecord, Sample};
use rkllm_bench::report::{self, benchmark, terminal};
use rkllm_bench::{Run, board, models, paths};

const PROMPTS: usize = 5;
const ANSWERS_A_PROMPT: usize = 100;
const TOKENS: usize = 4000;

/// A part of the work, run in a separate process to measure its peak memory.
const PART: &str = "RKLLM_BENCH_REPORTS_PART";

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

#[expect(clippy::print_stdout, reason = "the figures are what it is for")]
fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    if let Ok(part) = std::env::var(PART) {
        let file = arguments.next().ok_or("no file")?;
        let start = Instant::now();
        match part.as_str() {
            "tree" => drop(serde_json::from_slice::<serde_json::Value>(&std::fs::read(
                &file,
            )?)?),
            _ => reports(Path::new(&file))?,
        }
        let peak = board::peak_rss_bytes().ok_or("no VmHWM")?;
        println!("{} {peak}", start.elapsed().as_secs_f64());
        return Ok(());
    }
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("run.json");
    let run = large_run()?;
    run.save(&file)?;
    let (reports_s, reports_mb) = measured("reports", &file)?;
    let (tree_s, tree_mb) = measured("tree", &file)?;
    println!(
        "{} answers of {TOKENS} tokens, a record of {} MB",
        PROMPTS * ANSWERS_A_PROMPT,
        file.metadata()?.len() / 1_000_000
    );
    println!("all reports:        {reports_s:.2} s, {reports_mb:.0} MB at most (goal: 3 s, 300 MB)");
    println!("the record as tree: {tree_s:.2} s, {tree_mb:.0} MB at most");
    println!(
        "ratio:              {:.2} of the time, {:.2} of the memory",
        reports_s / tree_s,
        reports_mb / tree_mb
    );
    let (synced_s, plain_s) = saves(&run, folder.path())?;
    println!(
        "saving the record:  {synced_s:.3} s with syncs, {plain_s:.3} s without, ratio {:.2}",
        synced_s / plain_s
    );
    Ok(())
}

/// Median seconds of a save that stays after a power cut, and of one that is whole but not synced, in turns.
fn saves(run: &RunRecord, folder: &Path) -> Result<(f64, f64)> {
    const TIMES: usize = 5;
    let (path, beside) = (folder.join("saved.json"), folder.join("beside.json"));
    let (mut synced, mut plain) = (Vec::new(), Vec::new());
    for _ in 0..TIMES {
        let start = Instant::now();
        run.save(&path)?;
        synced.push(start.elapsed().as_secs_f64());
        let start = Instant::now();
        let mut writer = BufWriter::new(File::create(&beside)?);
        serde_json::to_writer(&mut writer, run)?;
        writer.flush()?;
        std::fs::rename(&beside, &path)?;
        plain.push(start.elapsed().as_secs_f64());
    }
    let median = |mut times: Vec<f64>| {
        times.sort_by(f64::total_cmp);
        times[TIMES / 2]
    };
    Ok((median(synced), median(plain)))
}

/// Seconds and peak resident megabytes of a part.
fn measured(part: &str, file: &PathBuf) -> Result<(f64, f64)> {
    let output = Command::new(std::env::current_exe()?)
        .arg(file)
        .env(PART, part)
        .output()?;
    if !output.status.success() {
        return Err(format!("{part}: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    let text = String::from_utf8(output.stdout)?;
    let (seconds, bytes) = text.trim().split_once(' ').ok_or("no figures")?;
    Ok((seconds.parse()?, bytes.parse::<f64>()? / 1e6))
}

/// The work of `rkllm-bench report`.
fn reports(file: &Path) -> Result<()> {
    let run = RunRecord::load(file)?;
    let folder = tempfile::tempdir()?;
    let models = report::models(&run);
    let files = benchmark::write(&models, folder.path())?;
    let text = terminal::figures(&models, report::WIDTH)
        + &terminal::faults(&run)
        + &terminal::files(&files, report::WIDTH);
    std::fs::write(folder.path().join("terminal.txt"), text)?;
    Ok(())
}

/// A run of the built-in model, its samples replaced by many and long ones.
fn large_run() -> Result<RunRecord> {
    let mut run = Run::new(
        Suite::find("quality", ".".as_ref())?,
        vec![models::built_in("tiny", &paths::cache_dir())?],
    );
    run.suite.set_max_new_tokens(2);
    run.parameters.samples = 1;
    let mut record = run.record()?;
    let model = record.models.first_mut().ok_or("no model")?;
    // Checks are skipped for random weights, but their cost belongs to the figure.
    model.random_weights = false;
    model.prompts.truncate(PROMPTS);
    for prompt in &mut model.prompts {
        let first = prompt.samples.first().ok_or("no sample")?.clone();
        let long = |answer| long_sample(&first, answer);
        prompt.samples = (0..ANSWERS_A_PROMPT).map(long).collect::<Result<_>>()?;
    }
    Ok(record)
}

/// 4,000 tokens of 10 ms in about 20 kB of different words.
fn long_sample(like: &Sample, answer: usize) -> Result<Sample> {
    let mut sample = like.clone();
    let inference = &mut sample.inference;
    let token = |index: usize| -> Result<TokenEvent> {
        Ok(TokenEvent {
            at_ns: inference.call_ns + 500_000_000 + u64::try_from(index)? * 10_000_000,
            id: i32::try_from(index)?,
        })
    };
    inference.tokens = (0..TOKENS).map(token).collect::<Result<_>>()?;
    inference.return_ns = inference.tokens[TOKENS - 1].at_ns + 1_000;
    inference.text = (0..TOKENS)
        .map(|index| {
            format!(
                "w{}{}",
                (index * 7919 + answer) % 4001,
                if index % 12 == 11 { ".\n" } else { " " }
            )
        })
        .collect();
    sample.phases = inference.phases().ok_or("no phases")?;
    Ok(sample)
}
