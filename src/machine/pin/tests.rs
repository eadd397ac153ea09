use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io;
use std::os::unix::fs::symlink;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use super::apply::{Held, apply};
use super::knob::{Knobs, Node, Tree};
use super::plan::{Plan, plan};
use super::restore::restore;
use super::state::{self, Left, StateFile};
use crate::machine::board::Board;
use crate::machine::board::fake::Fake;

/// What the kernel does instead of accepting a value.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fault {
    Refuses,
    Drops,
    Dies,
}

/// Files below a root that behave like those of the kernel. A lower limit above the upper one is refused. A frequency
/// can be set only under `userspace` and stays within the limits, and the clock follows.
struct Kernel {
    tree: Tree,
    writes: RefCell<Vec<String>>,
    fault: Cell<Option<(usize, Fault)>>,
}

impl Kernel {
    fn below(root: &Path) -> Self {
        Self {
            tree: Tree::below(root),
            writes: RefCell::default(),
            fault: Cell::default(),
        }
    }

    /// The names of a node's files by their part: governor, min, max, set, cur.
    fn names(folder: &str) -> [String; 5] {
        let names = if folder.contains("cpufreq") {
            [
                "scaling_governor",
                "scaling_min_freq",
                "scaling_max_freq",
                "scaling_setspeed",
                "scaling_cur_freq",
            ]
        } else {
            [
                "governor",
                "min_freq",
                "max_freq",
                "userspace/set_freq",
                "cur_freq",
            ]
        };
        names.map(|name| format!("{folder}/{name}"))
    }

    fn number(&self, path: &str) -> u64 {
        let value = self.tree.read(path).expect("there");
        value.parse().expect("a number")
    }

    fn folder(path: &str) -> &str {
        let folder = path.strip_suffix("/userspace/set_freq");
        folder.unwrap_or_else(|| path.rsplit_once('/').expect("a folder").0)
    }

    fn rule(&self, path: &str, value: &str) -> io::Result<()> {
        let [governor, min, max, set, cur] = Self::names(Self::folder(path));
        let refused = || Err(io::Error::from_raw_os_error(22));
        let number: u64 = value.parse().unwrap_or_default();
        let now = self.tree.read(&governor);
        if path == min && number > self.number(&max) || path == max && number < self.number(&min) {
            return refused();
        }
        if path == set && now.as_deref() != Some("userspace") {
            return refused();
        }
        if path == governor && value == "userspace" && now.as_deref() != Some("userspace") {
            self.tree.write(&set, &self.number(&cur).to_string())?;
        }
        self.tree.write(path, value)?;
        let wanted = match self.tree.read(&governor).as_deref() {
            Some("userspace") => self.number(&set),
            Some("performance") => self.number(&max),
            _ => self.number(&cur),
        };
        let at = wanted.clamp(self.number(&min), self.number(&max));
        self.tree.write(&cur, &at.to_string())
    }
}

impl Knobs for Kernel {
    fn read(&self, path: &str) -> Option<String> {
        let [governor, .., set, _] = Self::names(Self::folder(path));
        if path == set && self.tree.read(&governor).as_deref() != Some("userspace") {
            return path.contains("cpufreq").then(|| "<unsupported>".to_owned());
        }
        self.tree.read(path)
    }

    fn write(&self, path: &str, value: &str) -> io::Result<()> {
        let count = self.writes.borrow().len();
        self.writes.borrow_mut().push(format!("{path} {value}"));
        match self.fault.get().filter(|(at, _)| *at == count) {
            Some((_, Fault::Refuses)) => return Err(io::Error::from_raw_os_error(30)),
            Some((_, Fault::Drops)) => return Ok(()),
            Some((_, Fault::Dies)) => panic!("the process dies here"),
            None => {}
        }
        if path.starts_with("sys/kernel/debug") {
            let node = "sys/class/devfreq/ff300000.npu";
            self.tree.write(&format!("{node}/cur_freq"), value)?;
            self.tree.write(path, value)
        } else {
            self.rule(path, value)
        }
    }
}

/// A board in its default state: governors that follow the load, every clock low.
fn shipped(mut fake: Fake) -> Fake {
    for path in fake.paths() {
        let value = match path.rsplit('/').next() {
            Some("scaling_governor") => "ondemand",
            Some("governor") if path.contains("ff300000.npu") => "rknpu_ondemand",
            Some("governor") => "simple_ondemand",
            Some("scaling_cur_freq") => "408000",
            Some("scaling_setspeed") => "<unsupported>",
            Some("cur_freq") if path.contains("dmc") => "528000000",
            Some("cur_freq") => "300000000",
            _ => continue,
        };
        fake.put(&path, &format!("{value}\n"));
    }
    fake
}

/// Everything that the kernel shows of its clocks.
fn shown(kernel: &Kernel, fake: &Fake) -> BTreeMap<String, Option<String>> {
    let paths = fake.paths().into_iter();
    paths
        .filter(|path| path.starts_with("sys/"))
        // The current frequency under a governor that follows the load is not restored.
        .filter(|path| !path.ends_with("cur_freq"))
        .map(|path| (path.clone(), kernel.read(&path)))
        .collect()
}

fn plan_of(kernel: &Kernel, root: &Path) -> (Plan, Board) {
    let board = Board::read_below(root);
    (plan(&board, kernel), board)
}

fn pinned(kernel: &Kernel, root: &Path) -> Vec<Held> {
    let (plan, board) = plan_of(kernel, root);
    apply(&plan, kernel, &mut StateFile::new(root, &board)).expect("the state file is written")
}

fn unpinned(kernel: &Kernel, root: &Path) -> Vec<String> {
    match StateFile::left(root, &Board::read_below(root)).expect("usable") {
        Left::Pin(state) => restore(state, kernel).expect("removed"),
        other => panic!("{other:?}"),
    }
}

fn faults(held: &[Held]) -> Vec<String> {
    held.iter().flat_map(|clock| clock.faults.clone()).collect()
}

const POLICIES: &str = "sys/devices/system/cpu/cpufreq";
const DEVFREQ: &str = "sys/class/devfreq";

#[test]
fn each_board_is_held_as_rockchips_scripts_say_and_given_back() {
    let boards: [(Fake, &[(&str, &str)]); 4] = [
        (
            Fake::rk3588(),
            &[
                (
                    "sys/devices/system/cpu/cpufreq/policy0/scaling_cur_freq",
                    "1800000",
                ),
                (
                    "sys/devices/system/cpu/cpufreq/policy4/scaling_cur_freq",
                    "2352000",
                ),
                (
                    "sys/devices/system/cpu/cpufreq/policy6/scaling_cur_freq",
                    "2352000",
                ),
                ("sys/class/devfreq/fdab0000.npu/cur_freq", "1000000000"),
                ("sys/class/devfreq/dmc/cur_freq", "2112000000"),
                ("sys/class/devfreq/fb000000.gpu/cur_freq", "1000000000"),
            ],
        ),
        (
            Fake::rk3576(),
            &[
                (
                    "sys/devices/system/cpu/cpufreq/policy0/scaling_cur_freq",
                    "2208000",
                ),
                (
                    "sys/devices/system/cpu/cpufreq/policy4/scaling_cur_freq",
                    "2304000",
                ),
                ("sys/class/devfreq/27700000.npu/cur_freq", "1000000000"),
                ("sys/class/devfreq/dmc/cur_freq", "2736000000"),
                ("sys/class/devfreq/27800000.gpu/cur_freq", "950000000"),
            ],
        ),
        (
            Fake::rk3562()
                .put("sys/kernel/debug/rknpu/freq", "300000000\n")
                .clone(),
            &[
                (
                    "sys/devices/system/cpu/cpufreq/policy0/scaling_cur_freq",
                    "2016000",
                ),
                ("sys/kernel/debug/rknpu/freq", "1000000000"),
                ("sys/class/devfreq/dmc/cur_freq", "2112000000"),
            ],
        ),
        (
            Fake::rv1126b(),
            &[
                (
                    "sys/devices/system/cpu/cpufreq/policy0/scaling_cur_freq",
                    "1608000",
                ),
                ("sys/class/devfreq/22000000.npu/cur_freq", "950000000"),
                ("sys/class/devfreq/dmc/cur_freq", "1332000000"),
            ],
        ),
    ];
    for (fake, expected) in boards {
        let fake = shipped(fake);
        let root = fake.written();
        let kernel = Kernel::below(root.path());
        let before = shown(&kernel, &fake);
        let held = pinned(&kernel, root.path());
        assert_eq!(faults(&held), [""; 0]);
        assert_eq!(held.len(), expected.len());
        for (path, value) in expected {
            assert_eq!(kernel.read(path).as_deref(), Some(*value), "{path}");
        }
        assert_ne!(shown(&kernel, &fake), before);
        assert_eq!(unpinned(&kernel, root.path()), [""; 0]);
        assert_eq!(shown(&kernel, &fake), before);
        assert!(!state::path(root.path()).exists());
        // As the doctor checks it.
        pinned(&kernel, root.path());
        let board = Board::read_below(root.path());
        let items =
            crate::machine::doctor::examine(&board, &[], crate::machine::doctor::RuntimeFacts::default());
        let bad = items
            .iter()
            .filter(|item| item.verdict == crate::machine::doctor::Verdict::Bad);
        assert_eq!(bad.map(|item| &*item.found).collect::<Vec<_>>(), [""; 0]);
    }
}

#[test]
fn limits_hold_a_clock_without_userspace_and_move_in_an_order_that_the_kernel_takes() {
    let mut fake = shipped(Fake::rk3588());
    for path in fake.paths() {
        if path.ends_with("available_governors") {
            fake.put(&path, "ondemand performance simple_ondemand\n");
        }
    }
    // From limits below the target, and to it from above.
    fake.put(&format!("{POLICIES}/policy4/scaling_max_freq"), "816000\n")
        .put(&format!("{DEVFREQ}/dmc/max_freq"), "1068000000\n")
        .put(&format!("{POLICIES}/policy0/cpuinfo_max_freq"), "2400000\n")
        .put(&format!("{POLICIES}/policy0/scaling_max_freq"), "2400000\n")
        .put(
            &format!("{POLICIES}/policy0/scaling_available_frequencies"),
            "408000 1800000 2400000\n",
        );
    let root = fake.written();
    let kernel = Kernel::below(root.path());
    let before = shown(&kernel, &fake);
    assert_eq!(faults(&pinned(&kernel, root.path())), [""; 0]);
    for (path, value) in [
        ("policy4/scaling_governor", "performance"),
        ("policy4/scaling_min_freq", "2352000"),
        ("policy4/scaling_max_freq", "2352000"),
        ("policy0/scaling_min_freq", "1800000"),
        ("policy0/scaling_max_freq", "1800000"),
    ] {
        assert_eq!(
            kernel.read(&format!("{POLICIES}/{path}")).as_deref(),
            Some(value),
            "{path}"
        );
    }
    let dmc = |name: &str| kernel.read(&format!("{DEVFREQ}/dmc/{name}"));
    assert_eq!(dmc("min_freq"), dmc("max_freq"));
    assert_eq!(dmc("max_freq").as_deref(), Some("2112000000"));
    assert_eq!(
        dmc("governor").as_deref(),
        Some("simple_ondemand"),
        "it has no choice"
    );
    assert_eq!(unpinned(&kernel, root.path()), [""; 0]);
    assert_eq!(shown(&kernel, &fake), before);
}

#[test]
fn a_clock_that_was_held_elsewhere_is_held_there_again() {
    let mut fake = Fake::rk3588();
    let dmc = format!("{DEVFREQ}/dmc");
    fake.put(&format!("{dmc}/userspace/set_freq"), "528000000\n")
        .put(&format!("{dmc}/cur_freq"), "528000000\n")
        .put(&format!("{dmc}/max_freq"), "1068000000\n");
    let root = fake.written();
    let kernel = Kernel::below(root.path());
    assert_eq!(faults(&pinned(&kernel, root.path())), [""; 0]);
    assert_eq!(kernel.number(&format!("{dmc}/cur_freq")), 2_112_000_000);
    assert_eq!(unpinned(&kernel, root.path()), [""; 0]);
    assert_eq!(kernel.number(&format!("{dmc}/userspace/set_freq")), 528_000_000);
    assert_eq!(kernel.number(&format!("{dmc}/cur_freq")), 528_000_000);
    assert_eq!(kernel.number(&format!("{dmc}/max_freq")), 1_068_000_000);
    // A value that is not restored is reported too.
    pinned(&kernel, root.path());
    kernel
        .fault
        .set(Some((kernel.writes.borrow().len(), Fault::Drops)));
    let left = unpinned(&kernel, root.path());
    assert_eq!(
        left,
        ["/sys/class/devfreq/dmc/userspace/set_freq: 528000000 was restored, but 2112000000 was read back"]
    );
}

#[test]
fn what_does_not_take_is_named_and_the_rest_is_held() {
    let fake = shipped(Fake::rk3588());
    let writes = {
        let root = fake.written();
        let kernel = Kernel::below(root.path());
        pinned(&kernel, root.path());
        kernel.writes.borrow().clone()
    };
    assert_eq!(writes.len(), 12, "governor and frequency of six clocks");
    for (index, write) in writes.iter().enumerate() {
        for fault in [Fault::Refuses, Fault::Drops] {
            let root = fake.written();
            let kernel = Kernel::below(root.path());
            kernel.fault.set(Some((index, fault)));
            let held = pinned(&kernel, root.path());
            let at_fault: Vec<&Held> = held.iter().filter(|clock| !clock.faults.is_empty()).collect();
            assert_eq!(at_fault.len(), 1, "{write}: {held:?}");
            let (path, value) = write.split_once(' ').expect("a value");
            let text = &at_fault[0].faults[0];
            assert!(text.starts_with(&format!("/{path}: ")), "{write}: {text}");
            let said = match fault {
                Fault::Refuses => format!("{value} was refused: Read-only file system"),
                Fault::Drops | Fault::Dies => format!("{value} was written, but "),
            };
            assert!(text.contains(&said), "{write}: {text}");
        }
    }
}

#[test]
fn a_frequency_that_is_not_reached_is_reported_whatever_the_files_say() {
    let fake = shipped(Fake::rk3588());
    let root = fake.written();
    // Plain files: no clock follows the written values, as on a board that is too hot.
    let held = {
        let (plan, board) = plan_of(&Kernel::below(root.path()), root.path());
        apply(
            &plan,
            &Tree::below(root.path()),
            &mut StateFile::new(root.path(), &board),
        )
        .expect("written")
    };
    let ddr = held.iter().find(|clock| clock.what == "DDR").expect("planned");
    assert_eq!(
        ddr.faults,
        ["/sys/class/devfreq/dmc/cur_freq: it runs at 528 MHz instead of 2112 MHz"]
    );
}

#[test]
fn a_death_at_any_write_can_be_undone() {
    let fake = shipped(Fake::rk3588());
    for index in 0..12 {
        let root = fake.written();
        let kernel = Kernel::below(root.path());
        let before = shown(&kernel, &fake);
        kernel.fault.set(Some((index, Fault::Dies)));
        catch_unwind(AssertUnwindSafe(|| pinned(&kernel, root.path()))).expect_err("it dies");
        kernel.fault.set(None);
        assert_eq!(unpinned(&kernel, root.path()), [""; 0], "write {index}");
        assert_eq!(shown(&kernel, &fake), before, "write {index}");
    }
}

#[test]
fn what_is_not_given_back_stays_in_the_state_file() {
    let fake = shipped(Fake::rk3588());
    let root = fake.written();
    let kernel = Kernel::below(root.path());
    let before = shown(&kernel, &fake);
    pinned(&kernel, root.path());
    let next = kernel.writes.borrow().len();
    kernel.fault.set(Some((next, Fault::Refuses)));
    let left = unpinned(&kernel, root.path());
    assert_eq!(left.len(), 1, "{left:?}");
    assert!(
        left[0].starts_with("/sys/devices/system/cpu/cpufreq/policy0/scaling_governor: ondemand was refused"),
        "{left:?}"
    );
    kernel.fault.set(None);
    let writes = kernel.writes.borrow().len();
    assert_eq!(unpinned(&kernel, root.path()), [""; 0]);
    assert_eq!(kernel.writes.borrow().len(), writes + 1, "the one that was left");
    assert_eq!(shown(&kernel, &fake), before);
}

#[test]
fn a_board_without_ddr_scaling_or_npu_says_so_and_other_machines_have_none() {
    let missing = |fake: &Fake| {
        let root = fake.written();
        let (plan, _) = plan_of(&Kernel::below(root.path()), root.path());
        let missing: Vec<String> = plan
            .missing
            .into_iter()
            .map(|clock| format!("{}: {}", clock.what, clock.why))
            .collect();
        (plan.targets.len(), missing)
    };
    let mut fake = Fake::rk3588();
    fake.remove(&format!("{DEVFREQ}/dmc"))
        .remove(&format!("{DEVFREQ}/fdab0000.npu"));
    let (targets, text) = missing(&fake);
    assert_eq!(targets, 4);
    assert!(text[0].starts_with("NPU: there is no /sys/class/devfreq/*.npu"));
    assert!(text[1].starts_with("DDR: there is no /sys/class/devfreq/dmc"));
    assert_eq!(missing(&Fake::x86()), (8, Vec::new()));
    let (targets, text) = missing(Fake::rk3588().remove("sys/devices/system/cpu/cpufreq"));
    assert_eq!(targets, 3);
    assert!(text[0].starts_with("CPU: there is no "), "{text:?}");
    let (targets, text) = missing(&Fake::default());
    assert_eq!((targets, text.len()), (0, 1));
}

#[test]
fn a_state_file_that_is_none_is_refused() {
    let root = Fake::rk3588().written();
    let board = Board::read_below(root.path());
    let whole = |saved: &str| {
        format!(
            r#"{{"schema_version":1,"board":"Orange Pi 5 Plus","soc":"RK3588","boot_id":null,"saved":[{saved}]}}"#
        )
    };
    let governor =
        |node: &str, from: &str| whole(&format!(r#"{{"node":{node},"knob":"governor","from":"{from}"}}"#));
    let path = state::path(root.path());
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
    let left = |text: &str| {
        std::fs::write(&path, text).expect("written");
        StateFile::left(root.path(), &board)
    };
    assert!(matches!(
        left(&governor(r#"{"devfreq":"dmc"}"#, "ondemand")),
        Ok(Left::Pin(_))
    ));
    let other_boot = whole("").replace("null", "\"an earlier one\"");
    assert!(matches!(left(&other_boot), Ok(Left::Outdated(_))));
    for (text, why) in [
        (String::new(), "EOF"),
        ("garbage \u{1b}[31m".into(), "expected value"),
        (
            whole("").replace("\"schema_version\":1", "\"schema_version\":2"),
            "version",
        ),
        (whole("").replace("Orange Pi 5 Plus", "Another"), "another board"),
        (whole("").replace("RK3588", "RK3576"), "another board"),
        (
            governor(r#"{"devfreq":"../../../etc"}"#, "ondemand"),
            "no pin changes",
        ),
        (governor(r#"{"devfreq":".."}"#, "ondemand"), "no pin changes"),
        (governor(r#"{"devfreq":"a/b"}"#, "ondemand"), "no pin changes"),
        (governor(r#"{"devfreq":"dmc"}"#, "a b"), "no pin changes"),
        (governor(r#"{"devfreq":"dmc"}"#, ""), "no pin changes"),
        (
            governor(r#"{"path":"/etc/passwd"}"#, "ondemand"),
            "unknown variant",
        ),
        (
            whole(r#"{"node":{"cpufreq":0},"knob":"min","from":"-1"}"#),
            "no pin changes",
        ),
        (
            whole(r#"{"node":{"cpufreq":0},"knob":"min","from":"999999999999999"}"#),
            "no pin changes",
        ),
        ("[".repeat(300_000), "an object"),
    ] {
        let error = left(&text).expect_err(&text[..text.len().min(99)]).to_string();
        assert!(error.contains(why), "{why}: {error}");
        assert!(
            error.contains("pin.json: ") && error.contains("Remove it"),
            "{error}"
        );
        assert!(!error.contains('\u{1b}'), "{error:?}");
    }
    std::fs::remove_file(&path).expect("removed");
    assert!(matches!(StateFile::left(root.path(), &board), Ok(Left::Nothing)));
    symlink("/dev/zero", &path).expect("linked");
    StateFile::left(root.path(), &board).expect_err("a link is no state file");
}

#[test]
fn nothing_outside_of_the_folder_sys_is_written() {
    let root = Fake::rk3588().written();
    let tree = Tree::below(root.path());
    let outside = root.path().join("outside");
    std::fs::write(&outside, "as it was").expect("written");
    let governor = "sys/class/devfreq/dmc/governor";
    let place = root.path().join(governor);
    for target in [&*outside, Path::new("/dev/full")] {
        std::fs::remove_file(&place).expect("removed");
        symlink(target, &place).expect("linked");
        let error = tree
            .write(governor, "userspace")
            .expect_err("refused")
            .to_string();
        assert!(
            error.starts_with("a link that leads out of the folder sys"),
            "{error}"
        );
    }
    assert_eq!(std::fs::read_to_string(&outside).expect("read"), "as it was");
    std::fs::remove_file(&place).expect("removed");
    tree.write(governor, "userspace").expect_err("nothing is made");
    assert!(!place.exists());
    std::fs::create_dir(&place).expect("made");
    tree.write(governor, "userspace").expect_err("a folder");
}

#[test]
fn only_names_that_the_kernel_uses_are_policies() {
    assert_eq!(Node::of_policy("policy4"), Some(Node::Cpufreq(4)));
    for name in [
        "policy",
        "policy04",
        "policy+4",
        "policy-1",
        "policy70000",
        "4",
        "",
    ] {
        assert_eq!(Node::of_policy(name), None, "{name}");
    }
}
