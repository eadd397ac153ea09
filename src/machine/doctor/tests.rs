use std::path::Path;

use super::*;
use crate::machine::board::fake::Fake;

const NPU: RuntimeFacts = RuntimeFacts {
    is_host: false,
    cpu_mask: None,
};
const HOST: RuntimeFacts = RuntimeFacts {
    is_host: true,
    cpu_mask: None,
};

fn board(fake: &Fake) -> Board {
    Board::read_below(fake.written().path())
}

fn model(platform: &str, npu_cores: u8) -> ModelFacts {
    ModelFacts {
        name: "qwen3-0.6b".into(),
        bytes: Some(800_000_000),
        platform: Some(platform.into()),
        npu_cores: Some(npu_cores),
        optimization_level: Some(0),
    }
}

/// The names of the findings with that verdict.
fn named(items: &[Item], verdict: Verdict) -> Vec<&str> {
    items
        .iter()
        .filter(|item| item.verdict == verdict)
        .map(|item| &*item.name)
        .collect()
}

/// The findings for a changed RK3588, with a model that was converted for it.
fn of_changed(change: impl Fn(&mut Fake) -> &mut Fake) -> Vec<Item> {
    let mut fake = Fake::rk3588();
    change(&mut fake);
    examine(&board(&fake), &[model("rk3588", 3)], NPU)
}

const DMC: &str = "sys/class/devfreq/dmc";
const NPU_NODE: &str = "sys/class/devfreq/fdab0000.npu";
const POLICY4: &str = "sys/devices/system/cpu/cpufreq/policy4";

#[test]
fn healthy_machines_have_no_fault() {
    for (fake, model) in [
        (Fake::rk3588(), model("RK3588", 3)),
        (Fake::rk3576(), model("rk3576", 2)),
        (Fake::rk3562(), model("rk3562", 1)),
        (Fake::rv1126b(), model("rv1126b", 1)),
    ] {
        let items = examine(&board(&fake), &[model], NPU);
        assert_eq!(named(&items, Verdict::Bad), [""; 0]);
        assert_eq!(named(&items, Verdict::Unknown), [""; 0]);
        assert_eq!(Fitness::of(&items), Fitness::Fit);
    }
    let items = examine(&board(&Fake::x86()), &[], HOST);
    assert_eq!(Fitness::of(&items), Fitness::Fit, "{items:?}");
    assert_eq!(named(&items, Verdict::Unknown), [""; 0]);
    let npu = items.iter().filter(|item| item.found == "not applicable: no NPU");
    assert_eq!(npu.count(), 6, "the NPU is no fault of a machine without one");
}

/// A change to an RK3588, the only finding that it must cause, what is found, and the start of the remedy's command.
type Row = (
    fn(&mut Fake) -> &mut Fake,
    &'static str,
    &'static str,
    Option<&'static str>,
);

const FAULTS: [Row; 21] = [
    (
        |fake| fake.remove(DMC),
        "ddr_frequency",
        "DDR frequency unknown",
        None,
    ),
    (
        |fake| fake.put(&format!("{DMC}/governor"), "dmc_ondemand"),
        "ddr_frequency",
        "DDR governor dmc_ondemand",
        Some(
            "echo userspace | sudo tee /sys/class/devfreq/dmc/governor && echo 2112000000 | sudo tee \
             /sys/class/devfreq/dmc/userspace/set_freq",
        ),
    ),
    (
        |fake| fake.put(&format!("{DMC}/cur_freq"), "528000000"),
        "ddr_frequency",
        "DDR at 528 MHz of 2112 MHz",
        Some("echo userspace | sudo tee /sys/class/devfreq/dmc/governor"),
    ),
    (
        |fake| {
            fake.put(&format!("{NPU_NODE}/userspace/set_freq"), "300000000")
                .put(&format!("{NPU_NODE}/cur_freq"), "300000000")
        },
        "npu_frequency",
        "NPU held at 300 MHz of 1000 MHz",
        Some("echo userspace | sudo tee /sys/class/devfreq/fdab0000.npu/governor"),
    ),
    (
        |fake| {
            fake.put(&format!("{NPU_NODE}/max_freq"), "600000000")
                .put(&format!("{NPU_NODE}/governor"), "performance")
        },
        "npu_frequency",
        "NPU held at 600 MHz of 1000 MHz",
        Some("echo 1000000000 | sudo tee /sys/class/devfreq/fdab0000.npu/max_freq && echo userspace"),
    ),
    (
        |fake| fake.remove(NPU_NODE),
        "npu_frequency",
        "NPU frequency unknown",
        None,
    ),
    (
        |fake| fake.put(&format!("{POLICY4}/scaling_governor"), "ondemand"),
        "cpu_frequency",
        "CPU 4-5 governor ondemand",
        Some("echo performance | sudo tee /sys/devices/system/cpu/cpufreq/policy*/scaling_governor"),
    ),
    (
        |fake| fake.put(&format!("{POLICY4}/scaling_cur_freq"), "1200000"),
        "cpu_frequency",
        "CPU 4-5 at 1200 MHz of 2352 MHz",
        Some("echo performance"),
    ),
    (
        |fake| {
            fake.put(&format!("{POLICY4}/scaling_max_freq"), "816000")
                .put(&format!("{POLICY4}/scaling_governor"), "performance")
        },
        "cpu_frequency",
        "CPU 4-5 held at 816 MHz of 2352 MHz",
        Some(
            "echo 2352000 | sudo tee /sys/devices/system/cpu/cpufreq/policy4/scaling_max_freq && echo performance",
        ),
    ),
    (
        |fake| fake.put("sys/kernel/debug/rknpu/version", "RKNPU driver: v0.9.6\n"),
        "npu_driver",
        "driver 0.9.6",
        None,
    ),
    (
        |fake| fake.process(4321, "rkllm_server", "/dev/dri/renderD129"),
        "npu_users",
        "NPU in use by rkllm_server (4321)",
        Some("sudo kill 4321"),
    ),
    (
        |fake| {
            fake.put(
                "sys/kernel/debug/rknpu/load",
                "NPU load:  Core0:  0%, Core1: 40%, Core2:  0%,",
            )
        },
        "npu_users",
        "NPU busy, 40 %",
        Some("sudo rkllm-bench doctor"),
    ),
    (
        |fake| fake.memory(8_000_000, 700_000, 0),
        "memory",
        "716 MB of memory free, qwen3-0.6b has 800 MB",
        None,
    ),
    (
        |fake| fake.memory(8_000_000, 4_000_000, 500_000),
        "swap",
        "512 MB of swap in use",
        Some("sudo swapoff -a"),
    ),
    (
        |fake| fake.zone(0, "soc-thermal", 71_000, &[("passive", 75_000)]),
        "thermal",
        "soc-thermal at 71 °C, clocks fall at 75 °C",
        None,
    ),
    (
        |fake| fake.cooling(0, "cpufreq-cpu0", 2),
        "throttling",
        "throttled now (cpufreq-cpu0, step 2)",
        None,
    ),
    (
        |fake| fake.put("sys/devices/system/cpu/online", "0-5"),
        "big_cores",
        "fast CPUs 6-7 are offline",
        Some("echo 1 | sudo tee /sys/devices/system/cpu/cpu6/online"),
    ),
    (
        |fake| fake.put("proc/self/status", "Cpus_allowed_list:\t0-3,5\n"),
        "big_cores",
        "fast CPUs 4,6-7 may not be used",
        Some("taskset -pc 0-7 $$"),
    ),
    (
        |fake| fake.put("sys/fs/cgroup/user.slice/cpu.max", "250000 100000"),
        "cpu_quota",
        "CPU quota of 2.50 CPUs",
        None,
    ),
    (
        |fake| fake.put("proc/loadavg", "4.10 1 1 1/1 1"),
        "load",
        "load 4.10 on 8 CPUs",
        Some("top"),
    ),
    (
        |fake| fake.put("proc/stat", "cpu  100 0 100 770 0 0 0 30 0 0"),
        "steal",
        "3.0 % of CPU time stolen since boot",
        None,
    ),
];

#[test]
fn each_fault_is_found_by_its_name_and_no_other() {
    for (change, name, found, command) in FAULTS {
        let items = of_changed(change);
        assert_eq!(named(&items, Verdict::Bad), [name], "{found}: {items:#?}");
        assert_eq!(named(&items, Verdict::Unknown), [""; 0], "{found}");
        assert_eq!(Fitness::of(&items), Fitness::NotFit);
        let item = items.iter().find(|item| item.name == name).expect("there");
        assert_eq!(item.found, found);
        assert!(item.recommended.is_some(), "{name} says what to do");
        let starts = |command: &str| {
            item.command
                .as_deref()
                .is_some_and(|said| said.starts_with(command))
        };
        assert!(
            command.map_or(item.command.is_none(), starts),
            "{name}: {:?}",
            item.command
        );
    }
}

#[test]
fn clusters_with_different_faults_are_listed_separately() {
    const POLICIES: &str = "sys/devices/system/cpu/cpufreq";
    let items = of_changed(|fake| {
        fake.put(&format!("{POLICIES}/policy0/scaling_governor"), "ondemand")
            .put(&format!("{POLICIES}/policy4/scaling_cur_freq"), "1200000")
            .put(&format!("{POLICIES}/policy6/scaling_cur_freq"), "1200000")
    });
    let item = items.iter().find(|item| item.name == "cpu_frequency");
    assert_eq!(
        item.expect("there").found,
        "CPU 0-3 governor ondemand, CPU 4-7 at 1200 MHz of 2352 MHz"
    );
}

#[test]
fn the_oldest_driver_that_the_runtime_takes_is_no_fault() {
    for (version, verdict) in [
        ("0.8.8", Verdict::Bad),
        ("0.9.6", Verdict::Bad),
        ("0.9.7", Verdict::Note),
        ("0.9.8", Verdict::Ok),
        ("0.10.0", Verdict::Ok),
        ("1.0", Verdict::Ok),
    ] {
        let items = of_changed(|fake| fake.put("sys/kernel/debug/rknpu/version", &format!("v{version}")));
        let item = items.iter().find(|item| item.name == "npu_driver");
        assert_eq!(item.expect("there").verdict, verdict, "{version}");
    }
}

#[test]
fn a_quota_of_all_cpus_is_none() {
    let items = of_changed(|fake| fake.put("sys/fs/cgroup/user.slice/cpu.max", "800000 100000"));
    assert_eq!(named(&items, Verdict::Bad), [""; 0]);
}

#[test]
fn unseen_throttling_is_unknown_and_not_absent() {
    let verdict = |fake: &Fake| {
        let items = examine(&board(fake), &[], NPU);
        let item = items.into_iter().find(|item| item.name == "throttling");
        item.map(|item| (item.verdict, item.found)).expect("there")
    };
    let mut fake = Fake::x86();
    for cpu in 0..8 {
        fake.remove(&format!("sys/devices/system/cpu/cpu{cpu}/thermal_throttle"));
    }
    let unseen = (Verdict::Unknown, "throttling unknown".to_owned());
    assert_eq!(verdict(&fake), unseen);
    fake.cooling(0, "pwm-fan", 1);
    assert_eq!(verdict(&fake), unseen, "a fan shows nothing");
    let counter = "sys/devices/system/cpu/cpu0/thermal_throttle/core_throttle_count";
    fake.put(counter, "0");
    assert_eq!(verdict(&fake), (Verdict::Ok, "nothing is throttled".to_owned()));
    fake.put(counter, "7");
    let said = "CPUs throttled 7 times since boot";
    assert_eq!(verdict(&fake), (Verdict::Note, said.to_owned()));
}

#[test]
fn a_cpu_mask_without_the_fast_cpus_is_found() {
    let board = board(&Fake::rk3588());
    for (mask, verdict, found) in [
        (0x0F, Verdict::Bad, "the CPU mask has no fast CPU"),
        (0x1F, Verdict::Note, "the CPU mask has slow CPUs too"),
        (0xF0, Verdict::Ok, "fast CPUs 4-7 can be used"),
        (0x30, Verdict::Ok, "fast CPUs 4-7 can be used"),
    ] {
        let runtime = RuntimeFacts {
            cpu_mask: Some(mask),
            ..NPU
        };
        let items = examine(&board, &[], runtime);
        let item = items.iter().find(|item| item.name == "big_cores").expect("there");
        assert_eq!((item.verdict, &*item.found), (verdict, found), "{mask:#x}");
        let recommended = (verdict != Verdict::Ok).then_some("--cpu-mask 0xf0");
        assert_eq!(item.recommended.as_deref(), recommended);
    }
}

#[test]
fn models_for_another_board_are_found() {
    let board = board(&Fake::rk3588());
    let high = ModelFacts {
        optimization_level: Some(1),
        ..model("rk3588", 3)
    };
    for (model, name, found) in [
        (
            model("rk3588", 1),
            "npu_cores",
            "qwen3-0.6b is for 1 of 3 NPU cores",
        ),
        (
            model("rk3576", 3),
            "model_platform",
            "qwen3-0.6b is for rk3576, not RK3588",
        ),
        (high, "optimization_level", "qwen3-0.6b has optimization_level 1"),
    ] {
        let items = examine(&board, &[ModelFacts::default(), model], NPU);
        assert_eq!(named(&items, Verdict::Bad), [name]);
        assert!(items.iter().any(|item| item.found == found), "{items:#?}");
    }
    let items = examine(&board, &[ModelFacts::default()], NPU);
    assert_eq!(
        Fitness::of(&items),
        Fitness::Fit,
        "a name that says nothing is no fault"
    );
}

#[test]
fn what_root_alone_can_read_is_unknown_with_the_way_to_it() {
    let items = of_changed(|fake| fake.remove("sys/kernel/debug"));
    assert_eq!(named(&items, Verdict::Unknown), ["npu_driver"]);
    assert_eq!(Fitness::of(&items), Fitness::CannotTell);
    let driver = items
        .iter()
        .find(|item| item.name == "npu_driver")
        .expect("there");
    assert!(
        driver
            .command
            .as_deref()
            .is_some_and(|command| command.starts_with("sudo "))
    );
}

#[test]
fn another_board_of_rockchip_must_have_a_ddr_node() {
    let mut fake = Fake::rk3588();
    fake.put("proc/device-tree/compatible", "maker,board\0rockchip,rk3568\0");
    fake.remove(DMC);
    let items = examine(&board(&fake), &[], NPU);
    assert_eq!(named(&items, Verdict::Bad), ["ddr_frequency"]);
}

#[test]
fn rockchips_own_script_is_enough_on_a_chip_that_could_do_more() {
    let items = of_changed(|fake| {
        fake.put(&format!("{POLICY4}/cpuinfo_max_freq"), "2400000")
            .put(&format!("{POLICY4}/scaling_max_freq"), "2400000")
    });
    assert_eq!(named(&items, Verdict::Bad), [""; 0]);
}

#[test]
fn a_clock_that_the_chip_lacks_is_set_where_its_script_sets_it() {
    let mut fake = Fake::rk3562();
    fake.put("sys/class/devfreq/ff300000.npu/governor", "rknpu_ondemand")
        .put("sys/class/devfreq/ff300000.npu/cur_freq", "300000000");
    let items = examine(&board(&fake), &[], NPU);
    let npu = items
        .iter()
        .find(|item| item.name == "npu_frequency")
        .expect("there");
    assert_eq!(
        npu.command.as_deref(),
        Some("echo 1000000000 | sudo tee /sys/kernel/debug/rknpu/freq")
    );
}

#[test]
fn the_host_runtime_on_a_board_needs_its_memory_and_not_its_npu() {
    let mut fake = Fake::rk3588();
    fake.remove(NPU_NODE).remove(DMC);
    let items = examine(&board(&fake), &[], HOST);
    assert_eq!(named(&items, Verdict::Bad), ["ddr_frequency"]);
}

#[test]
fn a_virtual_machine_without_frequencies_is_undetermined() {
    let mut fake = Fake::x86();
    fake.remove("sys/devices/system/cpu/cpufreq");
    let items = examine(&board(&fake), &[], HOST);
    assert_eq!(named(&items, Verdict::Unknown), ["cpu_frequency", "big_cores"]);
    assert_eq!(Fitness::of(&items), Fitness::CannotTell);
}

/// What is removed from a fit RK3588, and the findings that are then unknown.
const UNSEEN: [(&[&str], &[&str]); 15] = [
    (&["sys/class/devfreq"], &["ddr_frequency", "npu_frequency"]),
    (&["sys/class/devfreq/dmc/governor"], &["ddr_frequency"]),
    (&["sys/class/devfreq/dmc/cur_freq"], &["ddr_frequency"]),
    (&["sys/class/devfreq/dmc/userspace"], &["ddr_frequency"]),
    (&["sys/class/devfreq/fdab0000.npu/cur_freq"], &["npu_frequency"]),
    (&["sys/devices/system/cpu/cpufreq"], &["cpu_frequency"]),
    (&["sys/devices/system/cpu/cpufreq/policy4"], &["cpu_frequency"]),
    (
        &["sys/devices/system/cpu/cpufreq/policy6/scaling_governor"],
        &["cpu_frequency"],
    ),
    (&["sys/kernel/debug/rknpu/version"], &["npu_driver"]),
    (&["sys/class/drm"], &["npu_users"]),
    (&["proc/meminfo"], &["memory", "swap"]),
    (&["sys/class/thermal"], &["thermal", "throttling"]),
    (&["sys/devices/system/cpu/online"], &["big_cores"]),
    (&["proc/self/cgroup"], &["cpu_quota"]),
    (&["proc/loadavg", "proc/stat"], &["load", "steal"]),
];

#[test]
fn what_cannot_be_seen_is_unknown_and_never_good() {
    for (gone, unknown) in UNSEEN {
        let items = of_changed(|fake| gone.iter().fold(fake, |fake, start| fake.remove(start)));
        assert_eq!(named(&items, Verdict::Unknown), unknown, "{gone:?}: {items:#?}");
        assert_eq!(named(&items, Verdict::Bad), [""; 0], "{gone:?}: {items:#?}");
        assert_eq!(Fitness::of(&items), Fitness::CannotTell);
        let has_a_remedy = |item: &Item| item.verdict != Verdict::Unknown || item.recommended.is_some();
        assert!(items.iter().all(has_a_remedy), "{gone:?}: {items:#?}");
    }
}

#[test]
fn a_machine_of_which_little_is_known_is_not_called_fit() {
    let nothing = Fake::default();
    let mut soc_alone = Fake::default();
    soc_alone.put("proc/device-tree/compatible", "maker,board\0rockchip,rk3588\0");
    for (fake, runtime) in [
        (&nothing, NPU),
        (&nothing, HOST),
        (&soc_alone, NPU),
        (&soc_alone, HOST),
    ] {
        for models in [&[][..], &[model("rk3588", 3)]] {
            let items = examine(&board(fake), models, runtime);
            assert_eq!(Fitness::of(&items), Fitness::CannotTell, "{items:#?}");
            // The name of a model is compared with a known SoC.
            let by_name = ["model_platform", "npu_cores", "optimization_level"];
            let good = named(&items, Verdict::Ok).into_iter();
            assert_eq!(
                good.filter(|name| !by_name.contains(name)).count(),
                0,
                "{items:#?}"
            );
        }
    }
    assert_eq!(Fitness::of(&[]), Fitness::CannotTell, "nothing was looked at");
}

#[test]
fn a_limit_that_is_garbage_is_not_no_limit() {
    for text in ["garbage", "", "max", "100000 garbage", "-1 100000"] {
        let items = of_changed(|fake| fake.put("sys/fs/cgroup/user.slice/cpu.max", text));
        assert_eq!(named(&items, Verdict::Unknown), ["cpu_quota"], "{text:?}");
    }
}

#[test]
fn garbage_gives_findings_and_no_panic() {
    let garbage = Board {
        soc: Some("RK9999".into()),
        ..Board::default()
    };
    assert!(!examine(&garbage, &[ModelFacts::default()], NPU).is_empty());
    assert!(!examine(&Board::default(), &[], NPU).is_empty());
}

#[test]
fn a_file_says_by_its_name_what_it_was_converted_for() {
    let facts = ModelFacts::of_file(
        "qwen",
        Path::new("/nowhere/Qwen2-0.5B-w8a8-rk3588s-npu2-opt-1.rkllm"),
    );
    assert_eq!(
        facts,
        ModelFacts {
            name: "qwen".into(),
            bytes: None,
            platform: Some("RK3588".into()),
            npu_cores: Some(2),
            optimization_level: Some(1)
        }
    );
    let bare = ModelFacts::of_file("m-rk3576", Path::new("/nowhere/model.rkllm"));
    assert_eq!((bare.platform.as_deref(), bare.npu_cores), (Some("RK3576"), None));
}
