//! Criterion's verdicts on changes since an earlier run.

use anstyle::{AnsiColor, Style};
use unicode_width::UnicodeWidthStr as _;

use crate::base::foreign::styled;
use crate::base::layout::{folded_to, heading};
use crate::record::RunRecord;
use crate::record::ledger::Mark;
use crate::report::words::plain;

/// One benchmark, as criterion printed it.
#[derive(Debug, Clone, PartialEq)]
pub struct Compared {
    /// Its identifier.
    pub id: String,
    /// The estimated time with its unit.
    pub time: String,
    /// Absent without an earlier run.
    pub change: Option<Change>,
}

/// How the time of a benchmark changed.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// The estimate, percent; positive is slower.
    pub percent: f64,
    /// Ends of its confidence interval.
    pub interval: [f64; 2],
    /// The probability of a difference at least this large if nothing changed.
    pub p: f64,
    /// Criterion's words.
    pub verdict: Verdict,
}

/// Criterion's verdict on a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Faster.
    Improved,
    /// Slower.
    Regressed,
    /// Different, but by less than the noise threshold.
    WithinNoise,
    /// Not distinguishable from chance.
    NotDetected,
}

impl Verdict {
    /// The verdict in a line of criterion's output (criterion 0.8).
    pub(crate) fn of_line(line: &str) -> Option<Self> {
        match line.trim() {
            "Performance has improved." => Some(Self::Improved),
            "Performance has regressed." => Some(Self::Regressed),
            "Change within noise threshold." => Some(Self::WithinNoise),
            "No change in performance detected." => Some(Self::NotDetected),
            _ => None,
        }
    }

    fn shown(self) -> String {
        let colour = |colour: AnsiColor| Style::new().fg_color(Some(colour.into()));
        match self {
            Self::Improved => styled(colour(AnsiColor::Green), "improved"),
            Self::Regressed => styled(colour(AnsiColor::Red), "regressed"),
            Self::WithinNoise => "within noise".into(),
            Self::NotDetected => "no change".into(),
        }
    }
}

/// Criterion's verdict on each benchmark, below a heading for each model and suite.
///
/// `against` names the earlier results, `level` is the confidence level of the intervals, and `caution` is why the
/// verdicts may be meaningless.
pub fn changes(
    compared: &[Compared],
    against: &str,
    level: f64,
    caution: Option<&str>,
    width: u16,
) -> String {
    if compared.iter().all(|benchmark| benchmark.change.is_none()) {
        return format!("change: unknown; criterion has no earlier results of {against}\n");
    }
    let percent = level * 100.0;
    let title = format!("change of the time since {against}, by criterion ({percent} % intervals)");
    let mut text = heading(width, &title);
    if let Some(caution) = caution {
        text += &folded_to(width, caution);
    }
    let mut group = "";
    for benchmark in compared {
        let (of, _) = parts(&benchmark.id);
        if of != group {
            group = of;
            let members: Vec<&Compared> = compared.iter().filter(|other| parts(&other.id).0 == of).collect();
            text += &plain(of);
            text.push('\n');
            text += &rows(&members, width);
        }
    }
    text
}

/// Why a change may be meaningless: how many samples of a run were disturbed.
pub fn caution(run: &RunRecord) -> Option<String> {
    let prompts = run.models.iter().flat_map(|model| &model.prompts);
    let samples: Vec<_> = prompts.flat_map(|prompt| &prompt.samples).collect();
    let is_disturbed = |marks: &[Mark]| marks.iter().any(Mark::is_disturbance);
    let disturbed = samples
        .iter()
        .filter(|sample| is_disturbed(&sample.marks))
        .count();
    let consequence = match disturbed {
        0 => return None,
        most if most * 2 >= samples.len() => "this change says nothing",
        _ => "a change may come from that",
    };
    Some(format!(
        "{disturbed} of {} samples were disturbed: {consequence}",
        samples.len()
    ))
}

/// Model and suite, and the rest of an identifier.
fn parts(id: &str) -> (&str, &str) {
    let end = id.match_indices('/').nth(1).map_or(id.len(), |(at, _)| at);
    (&id[..end], id[end..].trim_start_matches('/'))
}

/// A line for each benchmark of a group. A name that is too long for its line gets a separate one.
fn rows(members: &[&Compared], width: u16) -> String {
    let cells: Vec<[String; 5]> = members.iter().map(|member| cells(member)).collect();
    let widest = |column: usize| cells.iter().map(|row| row[column].width()).max().unwrap_or(0);
    let [time, percent, interval, p] = [1, 2, 3, 4].map(widest);
    // Two spaces separate the columns; the verdict is the last.
    let figures = time + percent + interval + p + 4 * 2 + "no earlier run".len();
    let room = usize::from(width).saturating_sub(2 + 2 + figures);
    let fitting = cells
        .iter()
        .map(|row| row[0].width())
        .filter(|name| *name <= room);
    let column = fitting.max().unwrap_or(0);
    let mut text = String::new();
    for (row, member) in cells.iter().zip(members) {
        let name = &row[0];
        let mut at = name.width();
        text += "  ";
        text += name;
        if at > column {
            text += "\n  ";
            at = 0;
        }
        let verdict = match &member.change {
            Some(change) => change.verdict.shown(),
            None => "no earlier run".into(),
        };
        let figures = format!(
            "{:blanks$}  {:>time$}  {:>percent$}  {:<interval$}  {:<p$}  {verdict}\n",
            "",
            row[1],
            row[2],
            row[3],
            row[4],
            blanks = column - at
        );
        text += &figures;
    }
    text
}

fn cells(benchmark: &Compared) -> [String; 5] {
    let name = plain(parts(&benchmark.id).1);
    let time = benchmark.time.clone();
    match &benchmark.change {
        Some(Change {
            percent,
            interval: [lower, upper],
            p,
            ..
        }) => [
            name,
            time,
            format!("{percent:+.1} %"),
            format!("[{lower:+.1}, {upper:+.1}]"),
            format!("p {p:.2}"),
        ],
        None => [name, time, "-".into(), String::new(), String::new()],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::fixtures;

    fn compared(id: &str, change: Option<(f64, Verdict)>) -> Compared {
        Compared {
            id: id.into(),
            time: "23.300 ms".into(),
            change: change.map(|(percent, verdict)| Change {
                percent,
                interval: [percent - 1.25, percent + 1.0],
                p: 0.004,
                verdict,
            }),
        }
    }

    fn shown(all: &[Compared], caution: Option<&str>, width: u16) -> String {
        let styled = changes(all, "the last run", 0.95, caution, width);
        anstream::adapter::strip_str(&styled).to_string()
    }

    #[test]
    fn each_benchmark_has_its_verdict_below_its_model() {
        let all = [
            compared("m/quick/ttft/code", Some((5.0, Verdict::Regressed))),
            compared("m/quick/prefill/question", Some((-12.5, Verdict::Improved))),
            compared("n/quick/ttft/code", Some((0.5, Verdict::WithinNoise))),
            compared("n/quick/ttft/new", None),
            compared("n/quick/decode/code", Some((0.0, Verdict::NotDetected))),
        ];
        assert_eq!(
            shown(
                &all,
                Some("3 of 4 samples were disturbed: this change says nothing"),
                80
            ),
            "\
change of the time since the last run, by criterion (95 % intervals)
3 of 4 samples were disturbed: this change says nothing
m/quick
  ttft/code         23.300 ms   +5.0 %  [+3.8, +6.0]    p 0.00  regressed
  prefill/question  23.300 ms  -12.5 %  [-13.8, -11.5]  p 0.00  improved
n/quick
  ttft/code    23.300 ms  +0.5 %  [-0.8, +1.5]  p 0.00  within noise
  ttft/new     23.300 ms       -                        no earlier run
  decode/code  23.300 ms  +0.0 %  [-1.2, +1.0]  p 0.00  no change
"
        );
    }

    #[test]
    fn no_name_is_broken_and_no_line_is_too_long() {
        let model = "m".repeat(60);
        let long = format!("{model}/performance/prefill/a-long-name-that-leaves-no-room-beside-it");
        let all = [
            compared(
                &format!("{model}/performance/ttft/a"),
                Some((123.45, Verdict::Regressed)),
            ),
            compared(&long, Some((5.0, Verdict::Regressed))),
        ];
        for width in [60, 80] {
            let text = shown(&all, None, width);
            let longest = text
                .lines()
                .map(str::len)
                .filter(|len| *len != model.len() + "/performance".len())
                .max();
            assert!(longest <= Some(usize::from(width)), "{text}");
            assert!(
                text.contains("\n  prefill/a-long-name-that-leaves-no-room-beside-it\n"),
                "{text}"
            );
        }
    }

    #[test]
    fn without_an_earlier_run_there_is_no_change() {
        let text = shown(&[compared("m/quick/ttft/code", None)], Some("unused"), 80);
        assert_eq!(
            text,
            "change: unknown; criterion has no earlier results of the last run\n"
        );
    }

    #[test]
    fn disturbed_samples_take_the_verdicts_their_meaning() {
        let mut run = fixtures::run("one", &[(20_000_000, 1_000_000), (40_000_000, 2_000_000)]);
        assert_eq!(caution(&run), None);
        run.models[0].prompts[0].samples[0].marks = vec![Mark::NoStats, Mark::Throttled];
        run.models[0].prompts[0].samples[1].marks = vec![Mark::NoStats];
        let some = "1 of 4 samples were disturbed: a change may come from that";
        assert_eq!(caution(&run).as_deref(), Some(some));
        run.models[0].prompts[1].samples[0].marks = vec![Mark::Throttled];
        let most = "2 of 4 samples were disturbed: this change says nothing";
        assert_eq!(caution(&run).as_deref(), Some(most));
    }
}
