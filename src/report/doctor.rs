//! Whether a machine is fit to measure on, for people and for programs.

use std::fmt::Write as _;

use serde::Serialize;

use crate::base::json::clip;
use crate::base::layout::{beside, document, folded_to};
use crate::inputs::hint;
use crate::machine::board::Board;
use crate::machine::doctor::{Fitness, Item, Verdict};

/// Version of the JSON document's shape.
const SCHEMA_VERSION: u32 = 2;
/// Identifies this kind of JSON document.
const KIND: &str = "rkllm-bench doctor";
/// Faults that one line names.
const MOST_NAMED: usize = 4;

/// Only the verdict, without a newline.
pub fn line(items: &[Item]) -> String {
    let (word, why) = match Fitness::of(items) {
        Fitness::Fit => return "board: fit to measure".to_owned(),
        Fitness::NotFit => ("not fit", Verdict::Bad),
        Fitness::CannotTell => ("cannot tell", Verdict::Unknown),
    };
    let found: Vec<String> = with(items, why).map(|item| clip(&item.found)).collect();
    if found.is_empty() {
        return format!("board: {word}: nothing was examined");
    }
    let more = match found.len().saturating_sub(MOST_NAMED) {
        0 => String::new(),
        more => format!(", and {more} more"),
    };
    let named: Vec<String> = found.into_iter().take(MOST_NAMED).collect();
    format!(
        "board: {word}: {}{more} ({})",
        named.join(", "),
        hint::tool(&["doctor"])
    )
}

/// All findings, the most serious first, and the commands that fix them. Lines have `width` columns, except commands,
/// which stay in one piece for copying.
pub fn text(board: &Board, items: &[Item], width: u16) -> String {
    let fit = Fitness::of(items).name();
    let known = [board.name.as_ref().or(board.cpu.as_ref()), board.soc.as_ref()];
    let known: Vec<String> = known.into_iter().flatten().map(|name| clip(name)).collect();
    let named = if known.is_empty() {
        "unknown machine".to_owned()
    } else {
        known.join(", ")
    };
    let mut text = folded_to(width, &format!("{named}: {fit}")) + "\n";
    let by_weight = [Verdict::Bad, Verdict::Unknown, Verdict::Note, Verdict::Ok];
    let sorted: Vec<&Item> = by_weight
        .iter()
        .flat_map(|verdict| with(items, *verdict))
        .collect();
    text += &rows(&sorted, width);
    let commands: Vec<&str> = [Verdict::Bad, Verdict::Unknown]
        .iter()
        .flat_map(|verdict| with(items, *verdict))
        .filter_map(|item| item.command.as_deref())
        .flat_map(|command| command.split(" && "))
        .collect();
    if !commands.is_empty() {
        text += "\ncommands that fix this:\n";
    }
    for (index, command) in commands.iter().enumerate() {
        if !commands[..index].contains(command) {
            let _ = writeln!(text, "  {command}");
        }
    }
    if !board.notes.is_empty() {
        text += "\nfiles that are unreadable or garbage:\n";
        text.extend(board.notes.iter().map(|note| beside(width, "-  ", &clip(note))));
    }
    text
}

/// The same as a JSON document, with the board as it was read.
///
/// # Panics
/// Never: the document has only string keys and finite numbers.
pub fn json(board: &Board, items: &[Item]) -> String {
    #[derive(Serialize)]
    struct Content<'a> {
        /// Absent if unknown.
        fit: Option<bool>,
        fitness: Fitness,
        items: &'a [Item],
        board: &'a Board,
    }
    let fitness = Fitness::of(items);
    let content = Content {
        fit: match fitness {
            Fitness::Fit => Some(true),
            Fitness::NotFit => Some(false),
            Fitness::CannotTell => None,
        },
        fitness,
        items,
        board,
    };
    document(KIND, SCHEMA_VERSION, &content)
}

fn with(items: &[Item], verdict: Verdict) -> impl Iterator<Item = &Item> {
    items.iter().filter(move |item| item.verdict == verdict)
}

/// One or more lines for each item, with the findings in their own column.
fn rows(items: &[&Item], width: u16) -> String {
    let widest = |text: fn(&Item) -> &str| items.iter().map(|item| text(item).len()).max().unwrap_or(0);
    let verdicts = widest(|item| item.verdict.name());
    let names = widest(|item| &item.name);
    let row = |item: &&Item| {
        let label = format!("{:verdicts$}  {:names$}  ", item.verdict.name(), item.name);
        let wanted = item.recommended.as_ref();
        let wanted = wanted.map_or_else(String::new, |wanted| format!("\nbetter: {}", clip(wanted)));
        beside(width, &label, &format!("{}{wanted}", clip(&item.found)))
    };
    items.iter().map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::layout::WIDTH;
    use crate::machine::board::fake::Fake;
    use crate::machine::doctor::{RuntimeFacts, examine};

    fn examined(fake: &Fake) -> (Board, Vec<Item>) {
        let board = Board::read_below(fake.written().path());
        let items = examine(&board, &[], RuntimeFacts::default());
        (board, items)
    }

    fn unfit() -> Fake {
        let mut fake = Fake::rk3588();
        fake.remove("sys/class/devfreq/dmc").put(
            "sys/devices/system/cpu/cpufreq/policy4/scaling_governor",
            "ondemand",
        );
        fake
    }

    #[test]
    fn one_line_says_it() {
        assert_eq!(line(&examined(&Fake::rk3588()).1), "board: fit to measure");
        assert_eq!(
            line(&examined(&unfit()).1),
            "board: not fit: DDR frequency unknown, CPU 4-5 governor ondemand (rkllm-bench doctor)"
        );
        let unseen = Fake::rk3588().remove("sys/kernel/debug").clone();
        assert_eq!(
            line(&examined(&unseen).1),
            "board: cannot tell: driver version unknown (rkllm-bench doctor)"
        );
        assert_eq!(line(&[]), "board: cannot tell: nothing was examined");
        let many = vec![Item::new("x", Verdict::Bad, "x"); 6];
        assert_eq!(
            line(&many),
            "board: not fit: x, x, x, x, and 2 more (rkllm-bench doctor)"
        );
    }

    #[test]
    fn text_of_an_unfit_board() {
        let (board, items) = examined(&unfit());
        let text = text(&board, &items, WIDTH);
        let expected = "\
Orange Pi 5 Plus, RK3588: not fit to measure

bad   ddr_frequency       DDR frequency unknown
";
        assert!(text.starts_with(expected), "{text}");
        let command =
            "  echo performance | sudo tee /sys/devices/system/cpu/cpufreq/policy*/scaling_governor\n";
        assert!(text.contains(command), "{text}");
        for line in text.lines().filter(|line| !line.contains("sudo")) {
            assert!(line.chars().count() <= 80, "{line}");
        }
    }

    #[test]
    fn a_narrow_terminal_has_narrow_lines() {
        let mut fake = unfit();
        fake.put("sys/class/thermal/thermal_zone0/temp", "no number at all");
        let (board, items) = examined(&fake);
        let text = text(&board, &items, 40);
        for line in text.lines().filter(|line| !line.contains("sudo")) {
            // A path is not broken.
            let is_path = line.trim_start_matches('-').trim().starts_with('/');
            assert!(line.chars().count() <= 40 || is_path, "{line}");
        }
        let note = text.split_once("or garbage:\n").expect("a note").1;
        assert!(note.starts_with("-  /sys/class/thermal/thermal_zone0/"), "{note}");
    }

    #[test]
    fn what_a_hostile_copy_holds_does_not_reach_the_terminal() {
        let mut fake = unfit();
        fake.put("proc/device-tree/model", "x\u{1b}[31m\u{7}")
            .put("sys/class/devfreq/a; reboot.npu/governor", "powersave")
            .put(
                "sys/class/devfreq/a; reboot.npu/available_frequencies",
                "1000000000",
            )
            .put("sys/class/thermal/thermal_zone0/type", "a\u{9b}b")
            .put(
                &format!("proc/device-tree/{}", "compatible"),
                "rockchip,rk3588\u{1b}\0",
            );
        fake.process(9, "\u{1b}]0;x", "/dev/dri/renderD129");
        let (board, items) = examined(&fake);
        for text in [text(&board, &items, WIDTH), line(&items)] {
            assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{text:?}");
            assert!(!text.contains("reboot"), "{text}");
        }
    }

    #[test]
    fn json_has_all_of_it() {
        let (board, items) = examined(&unfit());
        let text = json(&board, &items);
        assert_eq!(text, json(&board, &items));
        let value: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(value["fit"], false);
        assert_eq!(value["fitness"], "not_fit");
        assert_eq!(value["kind"], "rkllm-bench doctor");
        let (board, items) = examined(&Fake::default());
        let unknown: serde_json::Value = serde_json::from_str(&json(&board, &items)).expect("JSON");
        assert_eq!(unknown["fit"], serde_json::Value::Null);
        assert_eq!(unknown["fitness"], "cannot_tell");
        assert_eq!(value["items"][0]["name"], "ddr_frequency");
        assert_eq!(value["items"][0]["verdict"], "bad");
        assert_eq!(value["items"][0]["command"], serde_json::Value::Null);
        assert_eq!(value["board"]["soc"], "RK3588");
        assert_eq!(value["board"]["cpu_clusters"][1]["clock"]["governor"], "ondemand");
    }
}
