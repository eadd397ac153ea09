//! Trees of files as the kernel shows them, with arbitrary contents.

use std::fs;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::edits::{ByteEdit, byte_edit};
use super::hold;
use super::properties::boards::board;
use crate::analysis::gate;
use crate::machine::board::Board;
use crate::machine::board::fake::Fake;
use crate::record::{RunRecord, fixtures};

const WORDS: &[&str] = &[
    "0",
    "-1",
    "18446744073709551615",
    "99999999999999999999999",
    "1e9",
    "nan",
    "inf",
    "max",
    "0-65535,",
    "65535",
    "3-1",
    "\u{1b}[31m",
    "\0",
    "\n",
    " ",
    ":",
    "kB",
    "%",
    "v",
    "performance",
    "userspace",
    "../..",
    "/",
    "0::/a/b/c/d/e/f/g/h/i/j/k\n",
    "4:cpu,cpuacct:/x\n",
    "model name\t: ",
    "rockchip,",
    "NPU load: 9%, ",
    "\r",
];

/// What happens to one file.
#[derive(Debug, Clone)]
enum Change {
    Edited(Vec<ByteEdit>),
    Bytes(Vec<u8>),
    Gone,
    Folder,
    /// A link to the file with the other index, or to itself.
    Link(Index),
    Pipe,
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        6 => vec(byte_edit(WORDS), 1..4).prop_map(Change::Edited),
        2 => vec(any::<u8>(), 0..300).prop_map(Change::Bytes),
        1 => (select(WORDS), 1..20_000_usize).prop_map(|(word, times)| Change::Bytes(word.repeat(times).into())),
        1 => Just(Change::Gone),
        1 => Just(Change::Folder),
        1 => any::<Index>().prop_map(Change::Link),
        1 => Just(Change::Pipe),
    ]
}

fn boards() -> impl Strategy<Value = (Fake, Vec<(Index, Change)>)> {
    let boards = prop_oneof![
        4 => Just(Fake::rk3588()),
        1 => Just(Fake::rk3576()),
        1 => Just(Fake::rk3562()),
        1 => Just(Fake::rv1126b()),
        2 => Just(Fake::x86()),
    ];
    (boards, vec((any::<Index>(), change()), 1..8))
}

/// Writes the board with these changes to a folder.
fn written(fake: &Fake, changes: &[(Index, Change)]) -> tempfile::TempDir {
    let (dir, paths) = (fake.written(), fake.paths());
    let place = |index: &Index| dir.path().join(index.get(&paths));
    for (index, change) in changes {
        let path = place(index);
        // Already changed to something that is no file.
        if !fs::symlink_metadata(&path).is_ok_and(|meta| meta.is_file()) {
            continue;
        }
        let mut bytes = fs::read(&path).expect("read");
        match change {
            Change::Edited(edits) => {
                for edit in edits {
                    edit.apply(&mut bytes);
                }
                fs::write(&path, bytes).expect("written");
            }
            Change::Bytes(bytes) => fs::write(&path, bytes).expect("written"),
            _ => {
                fs::remove_file(&path).expect("removed");
                match change {
                    Change::Folder => fs::create_dir(&path).expect("made"),
                    Change::Link(other) => std::os::unix::fs::symlink(place(other), &path).expect("linked"),
                    Change::Pipe => {
                        let mode = rustix::fs::Mode::RUSR;
                        rustix::fs::mkfifoat(rustix::fs::CWD, &path, mode).expect("made");
                    }
                    _ => {}
                }
            }
        }
    }
    dir
}

#[test]
fn any_tree_is_read_and_means_the_same_each_time() {
    hold("boards", 400, &boards(), |(fake, changes)| {
        let dir = written(&fake, &changes);
        let board = board(dir.path());
        assert_eq!(fingerprint(&board), fingerprint(&board.clone()));
    });
}

fn fingerprint(board: &Board) -> String {
    let record = RunRecord {
        board: board.clone(),
        ..fixtures::empty()
    };
    gate::fingerprint(&[&record])
}

/// State that changes from hour to hour does not make two runs incomparable.
#[test]
fn varying_state_changes_no_fingerprint() {
    let milli_c = prop_oneof![-50_000..200_000_i64, any::<i64>()];
    let states = (
        milli_c,
        any::<u32>(),
        0..8_000_000_u64,
        0..1_000_000_u64,
        0..300_u32,
        any::<bool>(),
    );
    let idle = fingerprint(&Board::read_below(Fake::rk3588().written().path()));
    hold(
        "boards, states",
        200,
        &states,
        |(milli_c, state, available_kb, swap_kb, load, npu_is_busy)| {
            let mut fake = Fake::rk3588();
            fake.zone(0, "soc-thermal", milli_c, &[("passive", 75_000)])
                .cooling(2, "pwm-fan", state)
                .memory(8_000_000, available_kb, swap_kb)
                .put("proc/loadavg", &format!("{load}.5 1 1 1/200 9\n"))
                .put("sys/kernel/debug/rknpu/load", &format!("NPU load: {load}%\n"))
                .put(
                    "sys/class/devfreq/fb000000.gpu/cur_freq",
                    &format!("{}\n", 300_000_000 + u64::from(load)),
                );
            if npu_is_busy {
                fake.process(4321, "server", "/dev/dri/renderD129");
            }
            let dir = fake.written();
            let board = Board::read_below(dir.path());
            assert_eq!(fingerprint(&board), idle);
        },
    );
}
