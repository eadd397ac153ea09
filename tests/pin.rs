//! `rkllm-bench pin` and `unpin`, on copies of boards' files: nothing here writes to the machine's own clocks.

#![expect(clippy::expect_used, reason = "helpers of tests")]

mod common;
#[path = "../src/machine/board/fake.rs"]
mod fake;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use common::{children, command, is_alive, run, send, text_of, wait_until};
use fake::Fake;

const DDR: &str = "sys/class/devfreq/dmc";
const CPU: &str = "sys/devices/system/cpu/cpufreq/policy4";

fn tool(words: &[&str], root: &Path) -> Command {
    let mut command = command(env!("CARGO_BIN_EXE_rkllm-bench"));
    command
        .args(&words[..1])
        .arg("--root")
        .arg(root)
        .args(&words[1..]);
    command
}

fn pin(root: &Path, more: &[&str]) -> Output {
    run(&mut tool(&[&["pin"], more].concat(), root))
}

fn unpin(root: &Path) -> Output {
    run(&mut tool(&["unpin"], root))
}

#[track_caller]
fn ends_with(output: &Output, code: i32) -> String {
    let text = text_of(output);
    assert_eq!(output.status.code(), Some(code), "{text}");
    text
}

/// A board that another than Rockchip's script holds: lower, with a lower limit. Its clock shows what the pin asks for, as
/// the files of a copy follow nothing.
fn held_low(mut fake: Fake) -> Fake {
    fake.put(&format!("{DDR}/userspace/set_freq"), "528000000\n")
        .put(&format!("{DDR}/max_freq"), "1068000000\n")
        .put(&format!("{CPU}/scaling_setspeed"), "408000\n")
        .put(&format!("{CPU}/scaling_max_freq"), "816000\n");
    fake
}

/// All files below a folder, with their bytes.
fn bytes_below(root: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("listed") {
            let path = entry.expect("listed").path();
            if path.is_dir() {
                folders.push(path);
            } else if !path.ends_with("pin.lock") {
                let bytes = fs::read(&path).unwrap_or_default();
                found.insert(path, bytes);
            }
        }
    }
    found
}

fn value(root: &Path, path: &str) -> String {
    let text = fs::read_to_string(root.join(path)).expect("read");
    text.trim().to_owned()
}

fn state(root: &Path) -> PathBuf {
    root.join("run/rkllm-bench/pin.json")
}

#[test]
fn pin_holds_each_board_and_unpin_gives_every_byte_back() {
    for (fake, ddr) in [
        (Fake::rk3588(), "2112000000"),
        (Fake::rk3576(), "2736000000"),
        (Fake::rk3562(), "2112000000"),
        (Fake::rv1126b(), "1332000000"),
    ] {
        let mut fake = fake;
        fake.put(&format!("{DDR}/userspace/set_freq"), "528000000\n")
            .put(&format!("{DDR}/max_freq"), "1068000000\n");
        for path in fake.paths() {
            if path.contains("cpufreq") && path.ends_with("scaling_setspeed") {
                fake.put(&path, "408000\n");
            }
        }
        let root = fake.written();
        let before = bytes_below(root.path());
        let text = ends_with(&pin(root.path(), &[]), 0);
        assert!(text.starts_with("experimental: "), "{text}");
        assert_eq!(value(root.path(), &format!("{DDR}/userspace/set_freq")), ddr);
        assert_eq!(value(root.path(), &format!("{DDR}/max_freq")), ddr);
        assert!(state(root.path()).exists());
        ends_with(&unpin(root.path()), 0);
        assert_eq!(bytes_below(root.path()), before);
        let text = ends_with(&unpin(root.path()), 0);
        assert!(text.contains("nothing is pinned"), "{text}");
    }
}

#[test]
fn a_dry_run_names_each_write_and_makes_none() {
    let root = held_low(Fake::rk3588()).written();
    let before = bytes_below(root.path());
    let text = ends_with(&pin(root.path(), &["--dry-run"]), 0);
    for line in [
        "CPU 4-5: 2352 MHz\n",
        "  /sys/devices/system/cpu/cpufreq/policy4/scaling_max_freq: 816000 -> 2352000\n",
        "  /sys/class/devfreq/dmc/userspace/set_freq: 528000000 -> 2112000000\n",
        "NPU: 1000 MHz\n  held already\n",
        "  /sys/class/devfreq/fb000000.gpu/governor: simple_ondemand -> userspace\n",
    ] {
        assert!(text.contains(line), "no {line:?} in {text}");
    }
    assert_eq!(bytes_below(root.path()), before);
    assert!(!root.path().join("run").exists(), "no lock and no state either");
}

#[test]
fn a_second_pin_gives_back_the_first_and_remembers_what_that_found() {
    let root = held_low(Fake::rk3588()).written();
    let before = bytes_below(root.path());
    ends_with(&pin(root.path(), &[]), 0);
    let text = ends_with(&pin(root.path(), &[]), 0);
    assert!(text.contains("restoring an earlier pin\n"), "{text}");
    assert_eq!(value(root.path(), &format!("{CPU}/scaling_setspeed")), "2352000");
    ends_with(&unpin(root.path()), 0);
    assert_eq!(bytes_below(root.path()), before);
}

#[test]
fn a_pin_of_an_earlier_boot_is_forgotten() {
    let boot = "proc/sys/kernel/random/boot_id";
    let root = held_low(Fake::rk3588()).put(boot, "first\n").written();
    ends_with(&pin(root.path(), &[]), 0);
    fs::write(root.path().join(boot), "second\n").expect("written");
    let text = ends_with(&unpin(root.path()), 0);
    assert!(
        text.contains("the machine was rebooted since an earlier pin"),
        "{text}"
    );
    assert!(!state(root.path()).exists());
    assert_eq!(value(root.path(), &format!("{CPU}/scaling_setspeed")), "2352000");
}

#[test]
fn a_machine_without_clocks_is_no_place_for_it() {
    let mut fake = Fake::x86();
    fake.remove("sys/devices/system/cpu/cpufreq");
    let root = fake.written();
    for more in [&[][..], &["--dry-run"], &["--", "true"]] {
        let text = ends_with(&pin(root.path(), more), 64);
        assert!(text.contains("there is no clock to hold"), "{text}");
    }
    let text = ends_with(&pin(&root.path().join("nowhere"), &[]), 64);
    assert!(text.contains("no folder sys in it"), "{text}");
    ends_with(&pin(root.path(), &["--dry-run", "--", "true"]), 64);
}

#[test]
fn a_board_that_does_not_scale_ddr_is_told_loudly() {
    let root = Fake::rk3588().remove(DDR).written();
    let line = "DDR: CANNOT BE HELD: there is no /sys/class/devfreq/dmc";
    assert!(ends_with(&pin(root.path(), &["--dry-run"]), 1).contains(line));
    assert!(ends_with(&pin(root.path(), &[]), 1).contains(line));
    ends_with(&unpin(root.path()), 0);
    // The command runs all the same, but its success is none.
    assert!(ends_with(&pin(root.path(), &["--", "true"]), 1).contains(line));
    ends_with(&pin(root.path(), &["--", "sh", "-c", "exit 7"]), 7);
}

#[test]
fn a_refused_write_is_named_and_the_rest_is_pinned() {
    let mut fake = Fake::rk3588();
    fake.put(&format!("{DDR}/governor"), "dmc_ondemand\n")
        .put(&format!("{CPU}/scaling_setspeed"), "408000\n");
    let root = fake.written();
    let governor = root.path().join(DDR).join("governor");
    let mut command = tool(&["pin"], root.path());
    let mut undo = tool(&["unpin"], root.path());
    // Permissions do not bind root.
    if rustix::process::geteuid().is_root() {
        for path in bytes_below(&root.path().join("sys")).keys() {
            let folders = path.ancestors().take_while(|path| path.starts_with(root.path()));
            for path in folders {
                fs::set_permissions(path, fs::Permissions::from_mode(0o777)).expect("set");
            }
        }
        for command in [&mut command, &mut undo] {
            command.uid(65534).gid(65534);
        }
    }
    fs::set_permissions(&governor, fs::Permissions::from_mode(0o444)).expect("set");
    let text = ends_with(&run(&mut command), 1);
    assert!(
        text.contains(
            "DDR: NOT HELD at 2112 MHz\n  /sys/class/devfreq/dmc/governor: userspace was refused: Permission denied"
        ),
        "{text}"
    );
    assert!(text.contains("CPU 4-5: held at 2352 MHz\n"), "{text}");
    assert_eq!(value(root.path(), &format!("{DDR}/governor")), "dmc_ondemand");
    assert_eq!(value(root.path(), &format!("{CPU}/scaling_setspeed")), "2352000");
    ends_with(&run(&mut undo), 0);
    assert_eq!(value(root.path(), &format!("{CPU}/scaling_setspeed")), "408000");
}

#[test]
fn a_state_file_that_is_garbage_stops_all() {
    let root = held_low(Fake::rk3588()).written();
    fs::create_dir_all(root.path().join("run/rkllm-bench")).expect("made");
    fs::write(state(root.path()), "{\"saved\": \u{1b}[31m").expect("written");
    let before = bytes_below(root.path());
    for output in [
        pin(root.path(), &[]),
        unpin(root.path()),
        pin(root.path(), &["--", "true"]),
    ] {
        let text = ends_with(&output, 70);
        assert!(
            text.contains("pin.json: this record of what a pin changed cannot be used"),
            "{text}"
        );
    }
    assert_eq!(bytes_below(root.path()), before);
}

#[test]
fn the_command_runs_pinned_and_its_code_and_output_are_its_own() {
    let root = held_low(Fake::rk3588()).written();
    let before = bytes_below(root.path());
    let set = root.path().join(CPU).join("scaling_setspeed");
    let output = pin(
        root.path(),
        &["--", "cat", set.to_str().expect("a path"), "--", "/missing"],
    );
    ends_with(&output, 1);
    assert_eq!(output.stdout, b"2352000\n");
    assert_eq!(bytes_below(root.path()), before);
    ends_with(&pin(root.path(), &["--", "true"]), 0);
    let text = ends_with(&pin(root.path(), &["--", "no-such-program"]), 64);
    assert!(text.contains("no-such-program: cannot be started"), "{text}");
    assert_eq!(bytes_below(root.path()), before);
}

/// A pin that runs a command of a minute, once it has begun.
fn pinned_minute(root: &Path) -> (Child, u32) {
    let mut pin = tool(&["pin", "--", "sleep", "60"], root);
    // Not in a terminal's foreground, where Ctrl-C would reach the command by itself.
    let child = pin
        .process_group(0)
        .stderr(Stdio::piped())
        .spawn()
        .expect("started");
    let mut command = None;
    wait_until(|| {
        command = children(child.id()).first().copied();
        command.is_some()
    });
    (child, command.expect("it runs"))
}

#[test]
fn signals_end_the_command_and_the_clocks_are_given_back() {
    for (signal, code) in [("INT", 130), ("TERM", 143), ("HUP", 129)] {
        let root = held_low(Fake::rk3588()).written();
        let before = bytes_below(root.path());
        let (pin, command) = pinned_minute(root.path());
        assert_ne!(bytes_below(root.path()), before);
        send(signal, pin.id());
        let text = ends_with(&pin.wait_with_output().expect("ended"), code);
        assert!(text.contains("the clocks are as they were found"), "{text}");
        assert!(!is_alive(command), "{signal}");
        assert_eq!(bytes_below(root.path()), before, "{signal}");
    }
}

#[test]
fn a_second_signal_kills_a_command_that_does_not_end() {
    let root = held_low(Fake::rk3588()).written();
    let before = bytes_below(root.path());
    let ready = root.path().join("ready");
    let script = format!(
        "trap '' TERM; touch {}; while :; do sleep 0.1; done",
        ready.display()
    );
    let mut pin = tool(&["pin", "--", "sh", "-c", &script], root.path());
    let child = pin.stderr(Stdio::piped()).spawn().expect("started");
    wait_until(|| ready.exists());
    fs::remove_file(&ready).expect("removed");
    send("TERM", child.id());
    let command = children(child.id())[0];
    // The first one is passed on, and has no effect.
    std::thread::sleep(std::time::Duration::from_millis(200));
    assert!(is_alive(command));
    send("TERM", child.id());
    ends_with(&child.wait_with_output().expect("ended"), 137);
    assert_eq!(bytes_below(root.path()), before);
}

#[test]
fn what_a_killed_pin_left_is_given_back_by_unpin_or_the_next_pin() {
    for by_unpin in [true, false] {
        let root = held_low(Fake::rk3588()).written();
        let before = bytes_below(root.path());
        let (mut child, command) = pinned_minute(root.path());
        for output in [unpin(root.path()), pin(root.path(), &[])] {
            let text = ends_with(&output, 70);
            assert!(
                text.contains(&format!("the clocks: in use by process {}", child.id())),
                "{text}"
            );
        }
        send("KILL", child.id());
        child.wait().expect("ended");
        send("KILL", command);
        assert!(state(root.path()).exists());
        let output = if by_unpin {
            unpin(root.path())
        } else {
            pin(root.path(), &["--", "true"])
        };
        let text = ends_with(&output, 0);
        assert!(text.contains("restoring an earlier pin\n"), "{text}");
        assert_eq!(bytes_below(root.path()), before);
    }
}
