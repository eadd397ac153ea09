//! Prints the figures in 80 columns, and whether they meet the goals.

#![expect(clippy::print_stdout, reason = "the figures are what it is for")]
#![expect(
    clippy::cast_precision_loss,
    reason = "bytes and counts fit the 52 bits of a float"
)]

use std::mem::size_of;

use rkllm_bench::inference::TokenEvent;

use crate::measure::Row;

/// Goal: most time that the harness may add to a token, ns.
const MOST_ADDED_NS: f64 = 100.0;
/// Goal: longest delay of 99 of 100 stamps, ns.
const MOST_LATE_NS: u32 = 1000;
/// Goal: most bytes for a recorded token without its text.
const MOST_BYTES: usize = 16;
/// Bytes of an inference beside its tokens: the spare places that a run reserves.
const SPARE_BYTES: usize = 16 * size_of::<TokenEvent>();

/// Prints all; whether the goals that do not depend on time are met.
pub(crate) fn print(rows: &[Row]) -> bool {
    times(rows);
    stamps(rows);
    inferences(rows);
    memory(rows);
    goals(rows)
}

impl Row {
    fn each(&self, total: f64) -> f64 {
        total / f64::from(self.tokens)
    }

    fn added_ns(&self) -> f64 {
        self.each(self.run_ns - self.bare_ns)
    }
}

fn times(rows: &[Row]) {
    println!("time of a token in ns, medians over the runs");
    println!(
        "{:>9} {:>6} {:>14} {:>14} {:>14} {:>10}",
        "tokens", "runs", "bare C loop", "harness", "added", "ratio"
    );
    for row in rows {
        println!(
            "{:>9} {:>6} {:>14.1} {:>14.1} {:>14.1} {:>10.2}",
            row.tokens,
            row.runs,
            row.each(row.bare_ns),
            row.each(row.run_ns),
            row.added_ns(),
            row.run_ns / row.bare_ns
        );
    }
}

fn stamps(rows: &[Row]) {
    println!("\nour stamp of a token less the runtime's own right before its callback, ns");
    println!(
        "{:>9} | {:>8} {:>8} {:>10} | {:>8} {:>8} {:>10}",
        "tokens", "p50", "p99", "max", "p50", "p99", "max"
    );
    println!("{:>9} | {:^28} | {:^28}", "", "in this process", "in the worker");
    for row in rows {
        let of = |errors: &[u32]| {
            format!(
                "{:>8} {:>8} {:>10}",
                percentile(errors, 50),
                percentile(errors, 99),
                percentile(errors, 100)
            )
        };
        println!(
            "{:>9} | {} | {}",
            row.tokens,
            of(&row.errors_ns),
            of(&row.worker_errors_ns)
        );
    }
}

fn inferences(rows: &[Row]) {
    println!("\nan inference in us; what the worker adds to it lies outside of its stamps");
    println!(
        "{:>9} {:>13} {:>15} {:>15} {:>23}",
        "tokens", "bare C loop", "in this process", "in the worker", "the worker adds a token"
    );
    for row in rows {
        println!(
            "{:>9} {:>13.1} {:>15.1} {:>15.1} {:>20.0} ns",
            row.tokens,
            row.bare_ns / 1e3,
            row.in_process_ns / 1e3,
            row.worker_ns / 1e3,
            row.each(row.worker_ns - row.in_process_ns)
        );
    }
}

fn memory(rows: &[Row]) {
    println!("\nmemory of an inference, bytes; allocations between call and return, all runs");
    println!(
        "{:>9} {:>10} {:>7} {:>10} {:>11} {:>13} {:>12}",
        "tokens", "kept", "a token", "its text", "from worker", "at most while", "allocations"
    );
    for row in rows {
        println!(
            "{:>9} {:>10} {:>7.2} {:>10} {:>11} {:>13} {:>12}",
            row.tokens,
            row.kept_bytes,
            row.each(row.kept_bytes as f64),
            row.text_bytes,
            row.worker_kept_bytes,
            row.peak_bytes,
            row.allocations
        );
    }
}

/// The goals; those on time are for the sizes where a run's fixed cost is spread over many tokens.
fn goals(rows: &[Row]) -> bool {
    println!();
    let many = rows.iter().filter(|row| row.tokens >= 1000);
    let added = many.map(Row::added_ns).fold(f64::NAN, f64::max);
    let late = rows.iter().filter(|row| row.tokens >= 1000);
    let late = late
        .flat_map(|row| [&row.errors_ns, &row.worker_errors_ns])
        .map(|errors| percentile(errors, 99))
        .max();
    if let Some(late) = late {
        let met = added <= MOST_ADDED_NS;
        say(
            &format!("added to a token: {added:.1} ns, at most {MOST_ADDED_NS} ns"),
            met,
        );
        let met = late < MOST_LATE_NS;
        say(
            &format!("p99 of the stamps: {late} ns late, less than {MOST_LATE_NS} ns"),
            met,
        );
    }
    let allocations: usize = rows.iter().map(|row| row.allocations).sum();
    let none = allocations == 0;
    say(
        &format!("allocations between call and return: {allocations}, none"),
        none,
    );
    let fits = |bytes: usize, row: &Row| bytes <= row.tokens as usize * MOST_BYTES + SPARE_BYTES;
    let small = rows
        .iter()
        .all(|row| fits(row.kept_bytes, row) && fits(row.worker_kept_bytes, row));
    say(
        &format!("kept of a token, text apart: at most {MOST_BYTES} bytes, and {SPARE_BYTES} a run"),
        small,
    );
    none && small
}

fn say(what: &str, met: bool) {
    println!("{what}: {}", if met { "met" } else { "missed" });
}

/// The value that `percent` of 100 do not exceed, of sorted ones.
fn percentile(sorted: &[u32], percent: usize) -> u32 {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied().unwrap_or_default()
}
