//! Trees of files as the kernel shows them.

use std::path::Path;

use super::{assert_readable, measured};
use crate::machine::board::{Board, Clock};

/// The tree below `root` is read completely, and twice to the same board.
pub(in crate::fuzz) fn board(root: &Path) -> Board {
    // At most 64 kB of each of a hundred files, one after the other.
    let board = measured(0, 4 << 20, 0, || Board::read_below(root));
    assert_eq!(Board::read_below(root), board);
    let json = serde_json::to_string(&board).expect("serialises");
    assert!(json.len() < 100_000, "{} bytes", json.len());
    assert_eq!(serde_json::from_str::<Board>(&json).expect("reads"), board);
    assert!(board.notes.len() <= 40);
    for text in texts(&board) {
        assert_readable(text, 300);
    }
    // Notes shorten paths and escape control characters.
    for note in &board.notes {
        assert_readable(note, 2000);
    }
    board
}

/// All texts of a board: they are shown to people.
fn texts(board: &Board) -> impl Iterator<Item = &str> {
    let clocks = board.cpu_clusters.iter().map(|cluster| &cluster.clock);
    let clocks = clocks.chain(&board.npu.clock).chain(&board.ddr).chain(&board.gpu);
    let of_clocks = clocks.flat_map(|Clock { node, governor, .. }| governor.iter().chain([node]));
    let zones = board.thermal_zones.iter();
    let of_zones = zones.flat_map(|zone| zone.trips.iter().map(|trip| &trip.kind).chain([&zone.name]));
    let single = [
        &board.name,
        &board.soc,
        &board.cpu,
        &board.kernel,
        &board.architecture,
        &board.npu.driver,
    ];
    single
        .into_iter()
        .flatten()
        .chain(&board.compatible)
        .chain(board.npu.users.iter().filter_map(|user| user.name.as_ref()))
        .chain(board.cooling.iter().map(|device| &device.kind))
        .chain(of_clocks)
        .chain(of_zones)
        .map(String::as_str)
}
