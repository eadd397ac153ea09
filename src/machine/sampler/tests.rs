use std::fs;
use std::path::Path;

use super::*;
use crate::machine::board::fake::Fake;
use crate::record::ledger::{Mark, disturbances};

const MS: u64 = 1_000_000;
const PID: u32 = 900;

/// A board, its sampler without a thread, and the process of the model on the fast CPUs.
struct Machine {
    root: tempfile::TempDir,
    sampler: Sampler,
}

impl Machine {
    fn new(fake: &mut Fake) -> Self {
        let process = format!("proc/{PID}");
        fake.put("proc/stat", &stat(0, 0, 0))
            .put(&format!("{process}/stat"), &process_stat(0))
            .put(&format!("{process}/statm"), "9000 100 0 0 0 0 0\n")
            .put(&format!("{process}/task/{PID}/schedstat"), "5 7000000000 1\n");
        let root = fake.written();
        let board = Board::read_below(root.path());
        let sampler = Sampler::below(root.path(), &board, Some(0x30));
        Self { root, sampler }
    }

    fn put(&self, path: &str, text: &str) {
        fs::write(self.root.path().join(path), text).expect("written");
    }

    fn begin(&self, at_ms: u64) {
        lock(&self.sampler.state).begin(Some(PID), at_ms * MS);
    }

    fn tick(&self, at_ms: u64) {
        lock(&self.sampler.state).tick(at_ms * MS);
    }

    fn conditions(&self, call_ms: u64, return_ms: u64) -> Conditions {
        let state = lock(&self.sampler.state);
        let seen = state
            .series
            .conditions(&state.sources, call_ms * MS, return_ms * MS);
        seen.expect("something was seen")
    }
}

/// Clock ticks, 10 ms each, of CPU 4. CPU 5 has none; the many of CPU 0 do not concern the model.
fn stat(busy: u64, idle: u64, steal: u64) -> String {
    format!(
        "cpu  1 1 1 1 1 1 1 1 0 0\ncpu0 99999 0 0 0 0 0 0 0 0 0\ncpu4 {busy} 0 0 {idle} 0 0 0 {steal} 0 0\n\
         cpu5 0 0 0 0 0 0 0 0 0 0\nintr 1\n"
    )
}

fn process_stat(user: u64) -> String {
    format!("{PID} (a) b (c) R 1 1 1 0 -1 0 0 0 0 0 {user} 0 0 0 20 0 1 0 0 0 0\n")
}

fn clock(conditions: &Conditions, name: &str) -> ClockRange {
    let found = conditions.clocks.iter().find(|clock| clock.clock == name);
    found.expect("a clock").clone()
}

const ZONE: &str = "sys/class/thermal/thermal_zone0/temp";
const COOLING: &str = "sys/class/thermal/cooling_device0/cur_state";
const BIG: &str = "sys/devices/system/cpu/cpufreq/policy4/scaling_cur_freq";
const LITTLE: &str = "sys/devices/system/cpu/cpufreq/policy0/scaling_cur_freq";
const NPU_LOAD: &str = "sys/kernel/debug/rknpu/load";

#[test]
fn a_trip_in_mid_run_marks_the_inference_that_it_fell_into() {
    let machine = Machine::new(&mut Fake::rk3588());
    machine.begin(0);
    machine.tick(100);
    machine.begin(1_000);
    machine.put(ZONE, "85500\n");
    machine.put(COOLING, "1\n");
    machine.put(BIG, "1200000\n");
    machine.tick(1_100);
    machine.put(ZONE, "70000\n");
    machine.tick(1_200);
    let calm = machine.conditions(10, 90);
    assert_eq!(
        (calm.ticks, calm.hottest_c, calm.throttled),
        (2, Some(45.0), Some(false))
    );
    assert_eq!(disturbances(&calm), vec![]);
    let hot = machine.conditions(1_010, 1_150);
    assert_eq!(
        (hot.ticks, hot.hottest_c, hot.throttled),
        (3, Some(85.5), Some(true))
    );
    let big = clock(&hot, "policy4");
    assert_eq!((big.min_hz, big.max_hz), (1_200_000_000, 2_352_000_000));
    let lower = Mark::LowerFrequency {
        clock: "policy4".into(),
        from_hz: 2_352_000_000,
        to_hz: 1_200_000_000,
    };
    assert_eq!(disturbances(&hot), [Mark::Throttled, lower]);
}

#[test]
fn a_clock_that_the_model_does_not_run_on_or_that_follows_the_load_is_no_concern() {
    let machine = Machine::new(&mut Fake::rk3588());
    machine.begin(0);
    machine.put(LITTLE, "408000\n");
    machine.tick(100);
    let seen = machine.conditions(10, 90);
    assert_eq!(clock(&seen, "policy0").held_hz, None);
    assert_eq!(clock(&seen, "policy0").min_hz, 408_000_000);
    assert_eq!(clock(&seen, "npu").held_hz, Some(1_000_000_000));
    assert_eq!(disturbances(&seen), vec![]);

    let mut fake = Fake::rk3588();
    fake.put(
        "sys/devices/system/cpu/cpufreq/policy4/scaling_governor",
        "ondemand\n",
    );
    let machine = Machine::new(&mut fake);
    machine.begin(0);
    assert_eq!(clock(&machine.conditions(0, 0), "policy4").held_hz, None);
}

#[test]
fn only_a_rising_counter_of_throttling_marks_the_inference() {
    let counter = "sys/devices/system/cpu/cpu4/thermal_throttle/core_throttle_count";
    let mut fake = Fake::rk3588();
    fake.put(counter, "7\n");
    let machine = Machine::new(&mut fake);
    machine.begin(0);
    machine.tick(100);
    assert_eq!(machine.conditions(10, 90).throttled, Some(false));
    machine.put(counter, "8\n");
    machine.tick(200);
    assert_eq!(disturbances(&machine.conditions(110, 190)), [Mark::Throttled]);
}

#[test]
fn loads_of_the_npu_are_read_once_a_second_and_given_as_means() {
    let machine = Machine::new(&mut Fake::rk3588());
    machine.begin(0);
    machine.put(NPU_LOAD, "NPU load:  Core0: 90%, Core1: 30%, Core2:  0%,\n");
    machine.tick(999);
    assert_eq!(machine.conditions(10, 990).npu_load_percent, [0.0, 0.0, 0.0]);
    machine.tick(1_000);
    machine.tick(1_100);
    assert_eq!(machine.conditions(10, 1_090).npu_load_percent, [45.0, 15.0, 0.0]);
}

#[test]
fn cpu_time_of_others_is_separate_from_that_of_the_model() {
    let machine = Machine::new(&mut Fake::rk3588());
    machine.begin(0);
    // In a second: 900 ms busy, including 500 ms of the model; 80 ms idle; 30 ms stolen; threads waited for 300 ms and
    // 50 ms.
    machine.put("proc/stat", &stat(90, 8, 3));
    machine.put(&format!("proc/{PID}/stat"), &process_stat(50));
    machine.put(&format!("proc/{PID}/task/{PID}/schedstat"), "5 7300000000 1\n");
    let thread = machine.root.path().join(format!("proc/{PID}/task/901"));
    fs::create_dir(&thread).expect("made");
    fs::write(thread.join("schedstat"), "1 50000000 1\n").expect("written");
    machine.tick(1_000);
    let seen = machine.conditions(0, 1_000);
    assert_eq!(seen.cpus, [4, 5]);
    assert_eq!(
        (seen.others_percent, seen.waited_percent),
        (Some(40.0), Some(35.0))
    );
    assert_eq!((seen.idle_percent, seen.steal_percent), (Some(8.0), Some(3.0)));
    let taken = Mark::OtherProcess {
        percent: 38.0,
        cpus: vec![4, 5],
    };
    assert_eq!(disturbances(&seen), [taken]);
}

#[test]
fn a_short_inference_is_seen_by_the_ticks_around_it() {
    let machine = Machine::new(&mut Fake::rk3588());
    machine.tick(0);
    machine.put("proc/stat", &stat(0, 11, 0));
    machine.begin(200);
    machine.tick(220);
    let seen = machine.conditions(205, 210);
    assert_eq!(seen.ticks, 2);
    // Steps of 10 ms are too coarse for 20 ms: CPU times are those of the 220 ms until then.
    assert_eq!(seen.idle_percent, Some(50.0));
}

#[test]
fn a_process_that_vanishes_leaves_what_was_seen_of_it() {
    let machine = Machine::new(&mut Fake::rk3588());
    machine.begin(0);
    machine.put(&format!("proc/{PID}/statm"), "9000 250 0 0 0 0 0\n");
    machine.tick(100);
    fs::remove_dir_all(machine.root.path().join(format!("proc/{PID}/task"))).expect("removed");
    for file in ["stat", "statm"] {
        machine.put(&format!("proc/{PID}/{file}"), "");
    }
    machine.tick(200);
    let page = u64::try_from(rustix::param::page_size()).expect("small");
    let seen = machine.conditions(10, 190);
    assert_eq!(seen.rss_bytes, Some(250 * page));
    assert_eq!((seen.waited_percent, seen.others_percent), (Some(0.0), None));
    // It was gone before the inference; the machine is still sampled.
    let after = machine.conditions(200, 300);
    assert_eq!((after.rss_bytes, after.waited_percent), (None, None));
    assert_eq!(after.hottest_c, Some(45.0));
}

#[test]
fn garbage_in_any_file_is_absent_and_stops_nothing() {
    let mut fake = Fake::rk3588();
    let machine = Machine::new(&mut fake);
    machine.begin(0);
    for garbage in [
        &b""[..],
        b"99999999999999999999",
        b"-5",
        b"cpu4 x",
        b"\xff\xfe\x00",
        b")",
        b"NPU load: `|<b>%",
    ] {
        for path in fake.paths() {
            fs::write(machine.root.path().join(path), garbage).expect("written");
        }
        machine.tick(100);
    }
    let seen = machine.conditions(50, 90);
    assert_eq!(
        (seen.hottest_c, seen.throttled),
        (Some(45.0), Some(false)),
        "of the first tick"
    );
    assert_eq!(clock(&seen, "ddr").min_hz, 2_112_000_000);
    assert_eq!(disturbances(&seen), vec![]);
}

#[test]
fn files_that_cannot_be_opened_are_absent_and_never_block() {
    let mut fake = Fake::rk3588();
    let machine = Machine::new(&mut fake);
    let board = Board::read_below(machine.root.path());
    for (path, index) in fake.paths().into_iter().zip(0..) {
        let place = machine.root.path().join(path);
        fs::remove_file(&place).expect("removed");
        match index % 3 {
            0 => fs::create_dir(&place),
            1 => std::os::unix::fs::symlink(&place, &place),
            // A pipe without a writer.
            _ => rustix::fs::mknodat(
                rustix::fs::CWD,
                &place,
                rustix::fs::FileType::Fifo,
                rustix::fs::Mode::RUSR,
                0,
            )
            .map_err(Into::into),
        }
        .expect("spoilt");
    }
    let mut sampler = Sampler::below(machine.root.path(), &board, None);
    sampler.begins(Some(PID));
    assert_eq!(sampler.conditions(0, 1), None);
}

#[test]
fn a_machine_that_shows_nothing_has_no_conditions() {
    let root = tempfile::tempdir().expect("a folder");
    let mut sampler = Sampler::below(root.path(), &Board::default(), None);
    sampler.begins(None);
    assert_eq!(sampler.conditions(0, 1), None);
}

#[test]
fn the_sampler_keeps_off_the_measuring_cpus_where_there_are_others() {
    let below = |fake: &Fake, mask| {
        let root = fake.written();
        Sampler::below(root.path(), &Board::read_below(root.path()), mask)
            .record()
            .own_cpus
    };
    assert_eq!(below(&Fake::rk3588(), Some(0xF0)), [0, 1, 2, 3]);
    assert_eq!(below(&Fake::rk3588(), None), [0, 1, 2, 3]);
    assert_eq!(below(&Fake::rk3562(), None), Vec::<u16>::new());
}

#[test]
fn the_samplers_thread_runs_where_the_record_says() {
    let board = Board::read();
    let allowed = &board.share.allowed_cpus;
    let first = 1 << allowed.first().expect("a CPU");
    let sampler = Sampler::start(&board, Some(first));
    let tid = loop {
        if let Some(tid) = lock(&sampler.state).own_tid {
            break tid;
        }
        std::thread::yield_now();
    };
    let status = fs::read_to_string(format!("/proc/self/task/{tid}/status")).expect("it runs");
    let own_cpus = sampler.record().own_cpus;
    // A machine with one CPU has no other CPU to use.
    let expected = if own_cpus.is_empty() { allowed } else { &own_cpus };
    let line = format!(
        "Cpus_allowed_list:\t{}\n",
        crate::machine::board::ranges(expected)
    );
    assert!(status.contains(&line), "{line}{status}");
    assert!(status.starts_with("Name:\tsampler\n"), "{status}");
}

#[test]
fn this_machine_is_sampled_by_a_thread_that_ends() {
    let board = Board::read();
    let mut sampler = Sampler::start(&board, None);
    sampler.begins(Some(std::process::id()));
    let now = now_ns(ClockId::Monotonic);
    let seen = sampler.conditions(now, now).expect("Linux shows something");
    assert!(seen.rss_bytes.is_some_and(|bytes| bytes > 1_000_000), "{seen:?}");
    let record = sampler.record();
    assert!(record.ticks >= 2 && record.cpu_ns > 0, "{record:?}");
    assert_eq!(record.interval_ms, 100, "ten times a second");
    let state = Arc::downgrade(&sampler.state);
    drop(sampler);
    assert!(state.upgrade().is_none(), "its thread has let go");
}

#[test]
fn many_ticks_are_thinned_and_old_ones_forgotten() {
    let root = Fake::rk3588().written();
    let sampler = Sampler::below(Path::new(root.path()), &Board::default(), None);
    let mut state = lock(&sampler.state);
    for at_ms in 0..20_000 {
        let tick = sources::Tick {
            at_ns: at_ms * MS,
            hottest_c: Some(20.0),
            ..sources::Tick::default()
        };
        state.series.push(tick);
    }
    let seen = |state: &State, call, end| {
        let seen = state.series.conditions(&state.sources, call * MS, end * MS);
        seen.map(|seen| seen.ticks)
    };
    // 16,384 samples became 8,192, followed by 3,616.
    assert_eq!(seen(&state, 0, 20_000), Some(8_192 + 3_616));
    state.series.forget_before(20_000 * MS);
    assert_eq!(seen(&state, 0, 20_000), Some(1_000));
}
