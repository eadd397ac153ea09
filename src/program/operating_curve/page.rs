//! Writes the page docs/operating-curve.md.

use std::fmt::Write as _;

use super::pool::Pool;
use super::rate::Rate;
use super::real::{BOUNDS, Real};
use super::simulated::{Curve, Parts, SLOWDOWNS, Scenario, Simulated};
use super::tally::{SEED, Tally};
use crate::analysis::gate::Design;
use crate::base::stats;

/// Index of the default bound of `ab` among [`BOUNDS`].
const DEFAULT_BOUND: usize = 1;

/// The whole page.
pub(super) fn page(pool: &Pool, pool_name: &str, real: &Real, simulated: &Simulated) -> String {
    let mut page = String::new();
    // Writing to a string cannot fail.
    let _ = write_page(&mut page, pool, pool_name, real, simulated);
    page
}

fn write_page(
    page: &mut String,
    pool: &Pool,
    pool_name: &str,
    real: &Real,
    simulated: &Simulated,
) -> std::fmt::Result {
    writeln!(
        page,
        "# Operating curve of the gate\n\n\
         How often the gate is right, on comparisons whose truth is known. This page is written by\n\n    \
         cargo rkllm-bench operating-curve --pool {pool_name} --output docs\n\n\
         from the pool in that file. The same pool gives the same page (seed {SEED}), except for the columns of criterion.\n\
         Criterion seeds its resampling by the clock. Shares are given with their exact 95 % intervals (Clopper and Pearson).\n"
    )?;
    write_goals(page, real, simulated)?;
    write_real(page, pool, real)?;
    write_simulated(page, simulated)
}

/// The goals and the results.
fn write_goals(page: &mut String, real: &Real, simulated: &Simulated) -> std::fmt::Result {
    let at_default = |condition: &str| {
        let row = real.rows.iter().find(|row| row.condition == condition);
        row.map(|row| row.paired[DEFAULT_BOUND]).unwrap_or_default()
    };
    let slowed = |by: &str| {
        let of = |phase: &str| at_default(&format!("{phase}={by}")).found;
        format!("{} in prefill, {} in decode", of("prefill"), of("decode"))
    };
    let covered = real
        .rows
        .first()
        .map_or(Rate::default(), |row| row.paired[0].covered);
    let simulated_covered = simulated
        .curves
        .first()
        .map_or(Rate::default(), |curve| over_all(curve, |point| point.covered));
    writeln!(
        page,
        "## Goals\n\n\
         With `ab` at its default bound of 1 %, and {:.0} s of inference a comparison:\n\n\
         | goal | reached on recorded processes |\n| --- | --- |\n\
         | at most 1 % of comparisons without a change find a regression | {} |\n\
         | at least 99 % of slowdowns of 5 % are found | {} |\n\
         | at least 90 % of slowdowns of 3 % are found | {} |\n\
         | 93 to 97 % of the 95 % intervals contain the truth | {covered}; simulated {simulated_covered} |\n\n\
         Goals are missed because of noise and limited time. Without a change, runs of this shared machine differ by {:.0} %\n\
         in decode, and by {:.1} % from the other run of their pair. Five minutes allow more pairs than were recorded.\n\
         The simulation below has more pairs.\n",
        stats::float(real.pairs) * real.seconds_per_pair,
        at_default("none").false_alarm,
        slowed("5%"),
        slowed("3%"),
        simulated.noise.decode.shared.hypot(simulated.noise.decode.own) * 100.0,
        simulated.noise.decode.own * 100.0,
    )
}

fn write_real(page: &mut String, pool: &Pool, real: &Real) -> std::fmt::Result {
    writeln!(page, "## Recorded processes\n\nThe pool:\n")?;
    for part in pool.made_with.split(", ") {
        writeln!(page, "- {part}")?;
    }
    let seconds = stats::float(real.pairs) * real.seconds_per_pair;
    writeln!(
        page,
        "\n\
         A pair is two fresh processes that take turns, recorded by `scripts/record-operating-curve`. Both run the same\n\
         program. The host runtime's feature `slowdown` adds work to the candidate, in proportion to prefill alone or to\n\
         decode alone. The inference of a pair takes {:.1} s.\n\n\
         Each comparison covers a whole suite, with {} pairs ({seconds:.0} s) drawn from those of one condition:\n\n\
         - If twice as many pairs were recorded, they are drawn without replacement. This is as good as fresh pairs.\n\
         - Otherwise they are drawn with replacement. This adds the chance of the recorded pairs.\n\n\
         Comparisons share pairs, so they are not independent. What the pool has by chance affects all of them, and the\n\
         intervals of the shares are too narrow.\n\n\
         - *bound*: the default of `ab` is 1 %\n\
         - *found*: a metric that was slowed is called regressed\n\
         - *false*: a metric that was not slowed is called regressed\n\
         - *cannot tell*: the verdict on the whole comparison\n",
        real.seconds_per_pair, real.pairs,
    )?;
    writeln!(
        page,
        "| slowdown | pairs recorded | comparisons | bound | found | false | cannot tell |"
    )?;
    writeln!(page, "| --- | --: | --: | --: | --: | --: | --: |")?;
    for row in &real.rows {
        for (bound, tally) in BOUNDS.iter().zip(&row.paired) {
            writeln!(
                page,
                "| {} | {} | {} | {:.0} % | {} | {} | {} |",
                row.condition,
                row.recorded,
                tally.found.trials,
                bound * 100.0,
                found(row.condition, tally.found),
                tally.false_alarm,
                tally.cannot_tell
            )?;
        }
    }
    writeln!(
        page,
        "\nIn comparisons without a change, {} of the 95 % intervals of TTFT and decode contained the true change.\n\n\
         The next table is from the same pool without pairs, as `gate` compares: {} runs a side, with the bound of 5 % that\n\
         is the default of `gate`. It also has criterion's verdict on one run a side, made by criterion at its defaults:\n\n\
         - *any regressed*: comparisons in which at least one benchmark \"has regressed\"\n\
         - *each*: single benchmarks that did\n",
        real.rows
            .first()
            .map_or(Rate::default(), |row| row.paired[0].covered),
        real.runs
    )?;
    writeln!(
        page,
        "| slowdown | `gate`: found | `gate`: false | `gate`: cannot tell | criterion: any regressed | criterion: each |"
    )?;
    writeln!(page, "| --- | --: | --: | --: | --: | --: |")?;
    for row in &real.rows {
        writeln!(
            page,
            "| {} | {} | {} | {} | {} | {} |",
            row.condition,
            found(row.condition, row.unpaired.found),
            row.unpaired.false_alarm,
            row.unpaired.cannot_tell,
            row.criterion_any,
            row.criterion_each
        )?;
    }
    writeln!(page)
}

/// A rate, or "-" for comparisons without a slowdown.
fn found(condition: &str, rate: Rate) -> String {
    if condition == "none" {
        "-".into()
    } else {
        rate.to_string()
    }
}

fn write_simulated(page: &mut String, simulated: &Simulated) -> std::fmt::Result {
    let noise = &simulated.noise;
    let parts = |parts: Parts| {
        format!(
            "{:.1} % shared, {:.1} % own",
            parts.shared * 100.0,
            parts.own * 100.0
        )
    };
    writeln!(
        page,
        "## Simulated processes\n\n\
         Each point has {} comparisons, with the variation of the pool's unchanged pairs. The standard deviations are:\n\n\
         - prefill: {}\n\
         - decode: {}\n\
         - worst gap: {:.0} %\n\
         - loading: {:.0} %\n\n\
         The part *own* is what a run does not share with the other run of its pair. Neighbouring runs of the pool correlate\n\
         by {:.2}. Two kinds of noise change with time:\n\n\
         - *autocorrelated*: the shared part correlates by 0.9 from pair to pair, each run's own part by 0.3 from run to run\n\
         - *drifting*: the machine gets slower by a tenth during the comparison\n\n\
         ![Share of comparisons that call a slowdown of decode a regression, over its size](operating-curve.svg)\n\n\
         The rows of the tables:\n\n\
         - a slowdown of decode: comparisons that call a slowed metric regressed; in the row 0 %, any metric\n\
         - *false, all*: comparisons, over all slowdowns, that call a metric regressed that was not slowed\n\
         - *coverage*: 95 % intervals that contain the truth",
        simulated.comparisons,
        parts(noise.prefill),
        parts(noise.decode),
        noise.worst_gap * 100.0,
        noise.load * 100.0,
        noise.correlation
    )?;
    for curves in simulated
        .curves
        .chunk_by(|a, b| belong_together(a.scenario, b.scenario))
    {
        write_curves(page, curves)?;
    }
    Ok(())
}

/// Whether two scenarios differ only in their noise or only in their number of pairs.
fn belong_together(one: Scenario, other: Scenario) -> bool {
    let is_same = |a: &Design, b: &Design| std::mem::discriminant(a) == std::mem::discriminant(b);
    one.design == other.design || (one.kind == other.kind && is_same(&one.design, &other.design))
}

/// A table with a column for each curve. With a row for each, it would be too wide.
fn write_curves(page: &mut String, curves: &[Curve]) -> std::fmt::Result {
    let Some(first) = curves.first().map(|curve| curve.scenario) else {
        return Ok(());
    };
    let is_of_kinds = curves.iter().all(|curve| curve.scenario.design == first.design);
    let of_all = if is_of_kinds {
        design_name(first.design)
    } else {
        first.kind.name().to_owned()
    };
    writeln!(page, "\n{of_all}, bound {:.0} %:\n", first.bound * 100.0)?;
    write_row(page, "slowdown", curves, |curve| {
        if is_of_kinds {
            curve.scenario.kind.name().to_owned()
        } else {
            design_name(curve.scenario.design)
        }
    })?;
    writeln!(page, "| --- |{}", " --: |".repeat(curves.len()))?;
    for (index, by) in SLOWDOWNS.iter().enumerate() {
        write_row(page, &format!("{:.0} %", by * 100.0), curves, |curve| {
            let tally = &curve.points[index];
            let rate = if *by > 0.0 { tally.found } else { tally.false_alarm };
            rate.to_string()
        })?;
    }
    write_row(page, "false, all", curves, |curve| {
        over_all(curve, |point| point.false_alarm).to_string()
    })?;
    write_row(page, "coverage", curves, |curve| {
        over_all(curve, |point| point.covered).to_string()
    })
}

fn write_row(
    page: &mut String,
    name: &str,
    curves: &[Curve],
    cell: impl Fn(&Curve) -> String,
) -> std::fmt::Result {
    write!(page, "| {name} |")?;
    for curve in curves {
        write!(page, " {} |", cell(curve))?;
    }
    writeln!(page)
}

/// A rate over all slowdowns of a curve.
fn over_all(curve: &Curve, rate: impl Fn(&Tally) -> Rate) -> Rate {
    let rates = curve.points.iter().map(rate);
    rates.fold(Rate::default(), Rate::and)
}

fn design_name(design: Design) -> String {
    match design {
        Design::Paired { pairs } => format!("{pairs} pairs"),
        Design::Unpaired { baseline_runs, .. } => format!("{baseline_runs} runs a side"),
    }
}

/// A scenario's name.
pub(super) fn name(scenario: Scenario) -> String {
    let design = design_name(scenario.design);
    format!(
        "{}, {design}, bound {:.0} %",
        scenario.kind.name(),
        scenario.bound * 100.0
    )
}
