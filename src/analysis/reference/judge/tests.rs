use super::*;
use crate::analysis::reference::CheckState;
use crate::analysis::reference::fixtures::{MODEL, run};
use crate::inference::CacheStart;
use crate::machine::board::Board;
use crate::machine::board::fake::Fake;
use crate::machine::doctor::{self, RuntimeFacts};
use crate::machine::sampler::{ClockRange, Conditions};
use crate::record::ledger::Mark;
use crate::runtime::engine::scripted;

const MS: u64 = 1_000_000;

/// The one outcome of a run.
#[track_caller]
fn outcome_of(run: &RunRecord) -> Outcome {
    let mut findings = judge(run);
    assert_eq!(findings.len(), 1, "{findings:?}");
    findings.remove(0).outcome
}

/// Doubts, figures and checks of a run that has a row.
#[track_caller]
fn compared(run: &RunRecord) -> (Vec<String>, Vec<Figure>, Vec<Check>) {
    match outcome_of(run) {
        Outcome::Compared {
            doubts,
            figures,
            checks,
            row,
            prompt,
        } => {
            assert_eq!(row.to_string(), "Qwen2 0.5B w8a8 on RK3588");
            assert_eq!(prompt, "p128-n64");
            (doubts, figures, checks)
        }
        other => panic!("{other:?}"),
    }
}

/// A row's own speed: 145.9 ms, and 41.58 tok/s to within 1e-6.
const AS_FAST: (u64, u64) = (145_900_000, 24_050_024);

#[test]
fn a_verdicts_bounds_belong_to_it() {
    for (share, verdict) in [
        (0.0, Verdict::HalfOrLess),
        (0.5, Verdict::HalfOrLess),
        (0.500_001, Verdict::Below),
        (0.799_999, Verdict::Below),
        (0.8, Verdict::Within),
        (1.2, Verdict::Within),
        (1.200_001, Verdict::Above),
    ] {
        assert_eq!(Verdict::of(share), verdict, "{share}");
    }
    let slow = [
        Verdict::Above,
        Verdict::Within,
        Verdict::Below,
        Verdict::HalfOrLess,
    ]
    .map(Verdict::is_slow);
    assert_eq!(slow, [false, false, true, true]);
}

#[test]
fn more_is_better_for_each_quantity() {
    // TTFT 291.8 ms is twice 145.9; 100 ms a token is 10 tok/s; medians of three.
    let (doubts, figures, checks) = compared(&run(&[(1, 1), (291_800_000, 100 * MS), (900 * MS, 900 * MS)]));
    assert_eq!(doubts, Vec::<String>::new());
    let [ttft, decode, memory] = figures[..] else {
        panic!("{figures:?}");
    };
    assert_eq!(
        (ttft.quantity, ttft.published, ttft.measured, ttft.share),
        (Quantity::Ttft, 145.9, Some(291.8), Some(0.5))
    );
    assert_eq!(ttft.verdict, Some(Verdict::HalfOrLess));
    assert_eq!((decode.published, decode.measured), (41.58, Some(10.0)));
    assert!(decode.share.is_some_and(|share| (share - 0.240_5).abs() < 1e-4));
    assert_eq!((memory.published, memory.measured), (669.56, Some(100.0)));
    assert!(memory.share.is_some_and(|share| (share - 6.695_6).abs() < 1e-9));
    assert_eq!(memory.verdict, Some(Verdict::Above));
    assert!(!checks.is_empty());
}

#[test]
fn only_what_is_slow_has_a_check_list() {
    let checks_at = |ttft_ns, gap_ns| !compared(&run(&[(ttft_ns, gap_ns)])).2.is_empty();
    let (ttft, gap) = AS_FAST;
    assert!(!checks_at(ttft, gap));
    assert!(checks_at(ttft * 2, gap));
    assert!(checks_at(ttft, gap * 2));
    assert!(!checks_at(ttft / 2, gap / 2));
}

#[test]
fn what_was_not_measured_has_no_verdict() {
    let mut lacking = run(&[AS_FAST]);
    let sample = &mut lacking.models[0].prompts[0].samples[0];
    sample.inference.peak_rss_bytes = None;
    sample.phases.decode_ns_per_token = None;
    sample.phases.ttft_ns = Some(0);
    let (_, figures, checks) = compared(&lacking);
    assert!(
        figures
            .iter()
            .all(|figure| figure.share.is_none() && figure.verdict.is_none())
    );
    assert_eq!(figures[0].measured, Some(0.0));
    assert_eq!((figures[1].measured, figures[2].measured), (None, None));
    assert_eq!(checks, []);
}

#[test]
fn nothing_is_said_where_nothing_can_be() {
    let changed = |change: fn(&mut RunRecord)| {
        let mut run = run(&[AS_FAST]);
        change(&mut run);
        judge(&run)
    };
    assert_eq!(changed(|run| run.suite.sweep = false), []);
    assert_eq!(changed(|run| run.models[0].loaded = None), []);
    assert_eq!(
        changed(|run| set_platform(run, Some("HOST (llama.cpp 0.6.0)"))),
        []
    );
    assert_eq!(changed(|run| run.models.clear()), []);
}

fn set_platform(run: &mut RunRecord, platform: Option<&str>) {
    let runtime = scripted::library(run.models[0].loaded.as_mut().expect("loaded"));
    runtime.version_line.as_mut().expect("printed").platform = platform.map(str::to_owned);
}

#[test]
fn the_runtimes_platform_comes_before_the_boards_name() {
    let at = |platform: Option<&str>, board: Option<&str>| {
        let mut run = run(&[AS_FAST]);
        set_platform(&mut run, platform);
        run.board.name = board.map(str::to_owned);
        outcome_of(&run)
    };
    assert_eq!(
        at(None, None),
        Outcome::Unmatched {
            why: Unmatched::NoSoc
        }
    );
    let board = Some("Rockchip RK3576 EVB");
    let (of_runtime, of_board) = (at(Some("RK3588"), board), at(None, board));
    let row = |outcome: &Outcome| match outcome {
        Outcome::Compared { row, doubts, .. } => (row.soc.clone(), doubts.len()),
        other => panic!("{other:?}"),
    };
    assert_eq!(row(&of_runtime), ("RK3588".into(), 0));
    assert_eq!(
        row(&of_board),
        ("RK3576".into(), 1),
        "the model's name contradicts it"
    );
}

#[test]
fn only_a_cold_prompt_of_the_rows_size_is_compared() {
    let changes: [fn(&mut PromptRecord); 6] = [
        |prompt| prompt.input = Input::Tokens(vec![1000; 127]),
        |prompt| prompt.input = Input::Text("text".into()),
        |prompt| prompt.max_new_tokens = 63,
        |prompt| prompt.depth = 1,
        |prompt| prompt.cache_start = CacheStart::WarmPrefix(Input::Tokens(vec![1])),
        |prompt| prompt.samples.clear(),
    ];
    for (index, change) in changes.into_iter().enumerate() {
        let mut run = run(&[AS_FAST]);
        change(&mut run.models[0].prompts[0]);
        let outcome = outcome_of(&run);
        assert!(
            matches!(outcome, Outcome::NotMeasured { row } if row.model == "Qwen2"),
            "{index}"
        );
        // Another prompt of the sweep that has the size is found.
        run.models[0]
            .prompts
            .extend(self::run(&[AS_FAST]).models[0].prompts.clone());
        assert!(matches!(outcome_of(&run), Outcome::Compared { .. }), "{index}");
    }
}

#[test]
fn answers_that_ended_early_are_doubtful() {
    let mut early = run(&[AS_FAST, AS_FAST]);
    early.models[0].prompts[0].samples[1].inference.tokens.truncate(5);
    assert_eq!(compared(&early).0, ["answers ended early, after 5 of 64 tokens"]);
}

#[test]
fn the_files_name_is_read_and_the_models_where_that_lacks_something() {
    let named = |path: &str, name: &str| {
        let mut run = run(&[AS_FAST]);
        run.models[0].path = path.into();
        run.models[0].name = name.into();
        let (doubts, _, _) = compared(&run);
        doubts
    };
    let none: [String; 0] = [];
    assert_eq!(named("models/Qwen2-0.5B_w8a8.rkllm", "Qwen2-0.5B_w8a8"), none);
    assert_eq!(named("Qwen2-0.5B_w8a8/model.rkllm", "Qwen2-0.5B_w8a8"), none);
    assert_eq!(
        named("m/Qwen2-0.5B-opt0-hybrid0-npu3-w8a8.rkllm", "cut-off-0a1b2c3d"),
        none
    );
    assert_eq!(named("", MODEL), none);
}

/// State and text of an item on the check-list of a slow run.
#[track_caller]
fn check(run: &RunRecord, item: &str) -> (CheckState, String) {
    let (_, _, checks) = compared(run);
    let found = checks.into_iter().find(|check| check.item == item);
    let found = found.unwrap_or_else(|| panic!("no {item}"));
    if found.state == CheckState::Unknown {
        let of_its_maker = ["optimisation level", "context window"].contains(&item);
        assert_eq!(found.command.is_some(), !of_its_maker, "{item}");
    }
    (found.state, found.found)
}

fn slow() -> RunRecord {
    run(&[(900 * MS, 100 * MS)])
}

fn renamed(name: &str) -> RunRecord {
    let mut run = slow();
    run.models[0].path = name.into();
    run
}

#[test]
fn the_check_list_has_every_item_in_its_order() {
    let items: Vec<String> = compared(&slow())
        .2
        .iter()
        .map(|check| check.item.to_string())
        .collect();
    assert_eq!(
        items,
        [
            "CPU frequency",
            "NPU frequency",
            "DDR frequency",
            "NPU cores",
            "optimisation level",
            "memory",
            "other NPU users",
            "thermal throttling",
            "CPU affinity",
            "context window"
        ]
    );
}

#[test]
fn npu_cores_are_those_of_the_runtime_else_of_the_name() {
    use CheckState::{Fine, Suspect, Unknown};
    let with = |loaded: Option<u8>, name: &str| {
        let mut run = renamed(name);
        run.models[0].loaded.as_mut().expect("loaded").npu_cores = loaded;
        run.parameters.npu_cores = loaded;
        check(&run, "NPU cores")
    };
    let name = "Qwen2-0.5B-w8a8-npu2";
    assert_eq!(
        with(Some(3), name),
        (
            Fine,
            "correct for each model; the runtime says 3, 3 asked for".into()
        )
    );
    assert_eq!(with(Some(1), name).0, Suspect);
    assert_eq!(
        with(None, name),
        (
            Suspect,
            format!(
                "{MODEL} is for 2 of 3 NPU cores; recommended: a model converted with num_npu_core 3; its name says 2"
            )
        )
    );
    assert_eq!(with(None, "Qwen2-0.5B-w8a8").0, Unknown);
}

#[test]
fn the_optimisation_level_is_that_of_the_name() {
    use CheckState::{Fine, Suspect, Unknown};
    let with = |name: &str| check(&renamed(name), "optimisation level");
    assert_eq!(
        with("Qwen2-0.5B-w8a8-opt-0-hybrid-ratio-0.5"),
        (
            Fine,
            "0 by the model's name, published at 0; hybrid ratio 0.5 by its name, the published one is not stated".into()
        )
    );
    assert_eq!(
        with("Qwen2-0.5B-w8a8_o1"),
        (Suspect, "1 by the model's name, published at 0".into())
    );
    assert_eq!(with("Qwen2-0.5B-w8a8").0, Unknown);
}

#[test]
fn memory_is_short_from_four_fifths_on() {
    use CheckState::{Fine, Suspect, Unknown};
    let with = |peak: Option<u64>, all: Option<u64>| {
        let mut run = slow();
        run.models[0].prompts[0].samples[0].inference.peak_rss_bytes = peak;
        run.board.memory.total_bytes = all;
        check(&run, "memory")
    };
    assert_eq!(
        with(Some(800_000_000), Some(1_000_000_000)),
        (Fine, "peak 800 MB of 1000 MB that the board has".into())
    );
    assert_eq!(with(Some(810_000_000), Some(1_000_000_000)).0, Suspect);
    assert_eq!(with(Some(u64::MAX), Some(0)).0, Suspect);
    assert_eq!(with(None, Some(1)).0, Unknown);
    assert_eq!(with(Some(1), None).0, Unknown);
}

#[test]
fn a_cpu_mask_is_left_unjudged_where_the_doctor_saw_nothing() {
    use CheckState::Unknown;
    let with = |mask: Option<u32>, threads: Option<u8>| {
        let mut run = slow();
        run.parameters.cpu_mask = mask;
        run.parameters.threads = threads;
        check(&run, "CPU affinity")
    };
    let known = "0xF0, the big cores are 0xF0, 4 threads";
    assert_eq!(with(Some(0xF0), Some(4)), (Unknown, known.into()));
    assert_eq!(
        with(None, Some(1)),
        (
            Unknown,
            "left to the runtime; --cpu-mask 0xF0 names the big cores, 1 thread".into()
        )
    );
}

/// The slow run on a fake board with a CPU mask, examined by the doctor.
fn masked(fake: &Fake, cpu_mask: Option<u32>) -> RunRecord {
    let board = Board::read_below(fake.written().path());
    let runtime = RuntimeFacts {
        is_host: false,
        cpu_mask,
    };
    let mut run = slow();
    run.doctor = doctor::examine(&board, &[], runtime);
    run.parameters.cpu_mask = cpu_mask;
    run.board = board;
    run
}

fn on(fake: &Fake) -> RunRecord {
    masked(fake, None)
}

/// The doctor's verdict on an item of a run, as a state of the check-list.
#[track_caller]
fn doctors(run: &RunRecord, name: &str) -> CheckState {
    let item = run.doctor.iter().find(|item| item.name == name);
    item.unwrap_or_else(|| panic!("no {name}")).verdict.into()
}

#[test]
fn a_clock_held_where_pin_holds_it_is_fine_to_the_doctor_and_the_check_list() {
    for (held_khz, expected) in [(2_304_000, CheckState::Fine), (408_000, CheckState::Suspect)] {
        let mut fake = Fake::rk3588();
        for policy in ["policy4", "policy6"] {
            let file = |name: &str| format!("sys/devices/system/cpu/cpufreq/{policy}/{name}");
            fake.put(&file("scaling_available_frequencies"), "408000 2304000 2400000\n");
            fake.put(&file("cpuinfo_max_freq"), "2400000\n");
            fake.put(&file("scaling_max_freq"), "2400000\n");
            fake.put(&file("scaling_governor"), "userspace\n");
            fake.put(&file("scaling_setspeed"), &format!("{held_khz}\n"));
            fake.put(&file("scaling_cur_freq"), &format!("{held_khz}\n"));
        }
        let run = on(&fake);
        let targets: Vec<_> = run
            .board
            .cpu_clusters
            .iter()
            .map(|cluster| run.board.cpu_target_hz(cluster))
            .collect();
        assert_eq!(
            targets,
            [Some(1_800_000_000), Some(2_304_000_000), Some(2_304_000_000)],
            "what pin holds"
        );
        assert_eq!(doctors(&run, "cpu_frequency"), expected, "{held_khz}");
        assert_eq!(check(&run, "CPU frequency").0, expected, "{held_khz}");
    }
}

#[test]
fn a_cpu_mask_is_judged_as_the_doctor_judges_it() {
    use CheckState::{Fine, Note, Suspect};
    for (mask, expected) in [
        (Some(0xF0), Fine),
        (Some(0xC0), Fine),
        (Some(0xFF), Note),
        (Some(0xF), Suspect),
        (None, Fine),
    ] {
        let run = masked(&Fake::rk3588(), mask);
        assert_eq!(doctors(&run, "big_cores"), expected, "{mask:x?}");
        assert_eq!(check(&run, "CPU affinity").0, expected, "{mask:x?}");
    }
}

#[test]
fn the_check_list_is_the_doctors_findings_and_those_of_the_samples() {
    let mut run = on(&Fake::rk3588());
    let items = |run: &RunRecord| -> Vec<(String, CheckState)> {
        let checks = compared(run).2.into_iter();
        checks
            .map(|check| (check.item.into_owned(), check.state))
            .collect()
    };
    let of_machine = run.doctor.len() - 3;
    // NPU cores, optimisation level, memory, thermal throttling, context window.
    assert_eq!(items(&run).len(), of_machine + 5);
    run.doctor[0].verdict = doctor::Verdict::Bad;
    let ddr = ("DDR frequency".to_owned(), CheckState::Suspect);
    assert_eq!(items(&run)[0], ddr);
}

#[test]
fn frequencies_are_those_of_the_board_and_of_the_samples() {
    use CheckState::{Fine, Suspect};
    let mut run = on(&Fake::rk3588());
    let cpu = "CPUs held, the fastest at 2352 MHz";
    assert_eq!(check(&run, "CPU frequency"), (Fine, cpu.into()));
    assert_eq!(
        check(&run, "NPU frequency"),
        (Fine, "NPU held at 1000 MHz".into())
    );
    assert_eq!(
        check(&run, "DDR frequency"),
        (Fine, "DDR held at 2112 MHz".into())
    );
    let held = ClockRange {
        clock: "npu".into(),
        held_hz: Some(1_000_000_000),
        min_hz: 1_000_000_000,
        max_hz: 1_000_000_000,
    };
    run.models[0].prompts[0].samples[0].conditions = Some(Conditions {
        clocks: vec![held],
        ..Conditions::default()
    });
    let steady = "no held clock was lower in a sample";
    assert_eq!(check(&run, "clocks during samples"), (Fine, steady.into()));
    run.models[0].prompts[0].samples[0].marks = vec![Mark::LowerFrequency {
        clock: "npu".into(),
        from_hz: 1_000_000_000,
        to_hz: 1,
    }];
    assert_eq!(
        check(&run, "clocks during samples"),
        (Suspect, "npu lower in 1 sample".into())
    );

    let mut fake = Fake::rk3588();
    fake.put("sys/class/devfreq/dmc/governor", "dmc_ondemand\n");
    fake.put("sys/class/devfreq/dmc/cur_freq", "528000000\n");
    let (state, found) = check(&on(&fake), "DDR frequency");
    assert_eq!(state, Suspect);
    assert!(
        found.starts_with("DDR governor dmc_ondemand; recommended: held at 2112 MHz"),
        "{found}"
    );
}

#[test]
fn other_users_and_heat_are_those_of_the_record() {
    use CheckState::{Fine, Suspect, Unknown};
    let mut fake = Fake::rk3588();
    let mut run = on(&fake);
    let alone = "nothing else has the NPU open";
    assert_eq!(check(&run, "other NPU users"), (Fine, alone.into()));
    fake.process(4321, "rkllm_server", "/dev/dri/renderD129");
    let users = "NPU in use by rkllm_server (4321); recommended: nothing else on the NPU";
    assert_eq!(check(&on(&fake), "other NPU users"), (Suspect, users.into()));

    assert_eq!(check(&run, "thermal throttling").0, Unknown);
    let sample = &mut run.models[0].prompts[0].samples[0];
    let mut seen = Conditions {
        throttled: Some(false),
        hottest_c: Some(61.25),
        ..Conditions::default()
    };
    sample.conditions = Some(seen.clone());
    let calm = "in 0 of 1 sample, at most 61.2 degrees";
    assert_eq!(check(&run, "thermal throttling"), (Fine, calm.into()));
    seen.throttled = Some(true);
    run.models[0].prompts[0].samples[0].conditions = Some(seen);
    assert_eq!(check(&run, "thermal throttling").0, Suspect);
}
