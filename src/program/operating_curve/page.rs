//! The page: docs/operating-curve.md.

use std::fmt::Write as _;

use super::pool::Pool;
use super::real::{BOUNDS, Real};
use super::simulated::{Curve, Parts, SLOWDOWNS, Scenario, Simulated};
use super::{Rate, SEED};
use crate::analysis::gate::Design;
use crate::base::stats;

/// Index of the default bound of `ab` among [`BOUNDS`].
const DEFAULT_BOUND: usize = 1;

/// The whole page.
pub(super) fn page(pool: &Pool, pool_name: &str, real: &Real, simulated: &Simulated) -> String {
    let mut page = String::new();
    // Into a string nothing fails.
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
         How often the gate is right, on comparisons whose truth is known. Made by\n\n    \
         cargo rkllm-bench operating-curve --pool {pool_name} --output docs\n\n\
         from the pool in that file. The same pool gives the same page (seed {SEED}), but for the columns of criterion, whose \
         resampling is seeded by the clock. Shares stand with their exact 95 % \
         intervals (Clopper and Pearson).\n"
    )?;
    write_goals(page, real, simulated)?;
    write_real(page, pool, real)?;
    write_simulated(page, simulated)
}

/// What was aimed at, and what came out.
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
    let simulated_covered = simulated.curves.first().map_or(Rate::default(), |curve| {
        curve
            .points
            .iter()
            .fold(Rate::default(), |all, point| all.and(point.covered))
    });
    writeln!(
        page,
        "## Goals\n\n\
         With `ab` at its default bound of 1 %, in {:.0} s of inference a comparison:\n\n\
         | goal | reached on recorded processes |\n| --- | --- |\n\
         | a comparison of like with like is called a regression in 1 % at most | {} |\n\
         | a slowdown of 5 % is found in 99 % at least | {} |\n\
         | a slowdown of 3 % is found in 90 % at least | {} |\n\
         | the 95 % interval holds the truth in 93 to 97 % | {covered}; simulated {simulated_covered} |\n\n\
         Where a goal is missed it is for noise and time: without a change, runs of this shared machine differ by {:.0} % in decode, \
         and by {:.1} % from the other run of their pair. Five minutes have room for more pairs than were recorded; the simulation \
         below has them.\n",
        stats::float(real.pairs) * real.seconds_per_pair,
        at_default("none").false_alarm,
        slowed("5%"),
        slowed("3%"),
        simulated.noise.decode.shared.hypot(simulated.noise.decode.own) * 100.0,
        simulated.noise.decode.own * 100.0,
    )
}

fn write_real(page: &mut String, pool: &Pool, real: &Real) -> std::fmt::Result {
    writeln!(
        page,
        "## Recorded processes\n\n\
         Pool: {}. Pairs of fresh processes that took turns, recorded by `scripts/record-operating-curve`; both of a \
         pair are one program, and the host runtime's feature `slowdown` adds work to the candidate in proportion to prefill or to \
         decode alone. Inference of a pair takes {:.1} s.\n\n\
         Each comparison is of a whole suite, with {} pairs ({:.0} s) drawn from those of one condition: without putting back \
         where twice as many were recorded, which is as good as fresh pairs, and with putting back elsewhere, where the \
         chance of the recorded pairs comes on top. Comparisons share pairs, so they are not independent: what the pool \
         has by chance, all of them have, and the intervals of the shares are too narrow.\n\n\
         *Found*: a metric that was slowed is called regressed. *False*: one that was not is. A bound of 1 % is the default of \
         `ab`.\n",
        pool.made_with,
        real.seconds_per_pair,
        real.pairs,
        stats::float(real.pairs) * real.seconds_per_pair
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
        "\nThe 95 % intervals of TTFT and decode held the true change in {} of the comparisons of like with like.\n\n\
         The same pool without pairs, as `gate` has it: {} runs a side, the bound 5 % (the default of `gate`). And criterion's own \
         verdict on one run a side, by criterion, at its defaults: comparisons in which any of its benchmarks \"has \
         regressed\", and single benchmarks that did.\n",
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

/// Where nothing was slowed there is nothing to find.
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
         {} comparisons a point, with the variation of the pool's unchanged pairs: standard deviations of prefill {}; of decode \
         {}; of the worst gap {:.0} %; of loading {:.0} %. (Own: what a run does not share with the other of its pair. \
         Neighbouring runs of the pool correlate by {:.2}.)\n\n\
         *autocorrelated*: what pairs share correlates by 0.9 from pair to pair, each run's own part by 0.3 from run to run. \
         *drifting*: the machine gets slower by a tenth during the comparison.\n\n\
         ![Share of comparisons that call a slowdown of decode a regression, over its size](operating-curve.svg)\n",
        simulated.comparisons,
        parts(noise.prefill),
        parts(noise.decode),
        noise.worst_gap * 100.0,
        noise.load * 100.0,
        noise.correlation
    )?;
    write!(page, "| slowdown of decode |")?;
    for by in SLOWDOWNS {
        write!(page, " {:.0} % |", by * 100.0)?;
    }
    writeln!(page, " false, all | coverage |")?;
    writeln!(page, "| --- |{} --: | --: |", " --: |".repeat(SLOWDOWNS.len()))?;
    for curve in &simulated.curves {
        write_curve(page, curve)?;
    }
    writeln!(
        page,
        "\nIn each column the share that calls a slowed metric regressed (in the first, any metric); *false, all*: that calls \
         one regressed that was not slowed; *coverage*: of the 95 % intervals."
    )
}

fn write_curve(page: &mut String, curve: &Curve) -> std::fmt::Result {
    let (mut alarms, mut covered) = (Rate::default(), Rate::default());
    write!(page, "| {} |", name(curve.scenario))?;
    for (by, tally) in SLOWDOWNS.iter().zip(&curve.points) {
        let rate = if *by > 0.0 { tally.found } else { tally.false_alarm };
        write!(page, " {rate} |")?;
        alarms = alarms.and(tally.false_alarm);
        covered = covered.and(tally.covered);
    }
    writeln!(page, " {alarms} | {covered} |")
}

/// A scenario in words.
pub(super) fn name(scenario: Scenario) -> String {
    let design = match scenario.design {
        Design::Paired { pairs } => format!("{pairs} pairs"),
        Design::Unpaired { baseline_runs, .. } => format!("{baseline_runs} runs a side"),
    };
    format!(
        "{}, {design}, bound {:.0} %",
        scenario.kind.name(),
        scenario.bound * 100.0
    )
}
