//! Criterion's verdicts, parsed from its output (criterion 0.8). It writes them to none of its files.

use crate::report::terminal::{Change, Compared, Verdict};

/// First character of the line that names a benchmark before criterion's output about it. No other line has it.
const BEGINNING: char = '\u{1e}';

/// The line that names a benchmark.
pub(crate) fn beginning(id: &str) -> String {
    format!("{BEGINNING}{id}\n")
}

/// Whether a line names a benchmark.
pub(crate) fn is_beginning(line: &str) -> bool {
    line.starts_with(BEGINNING)
}

/// Criterion's own text.
pub(crate) fn raw(output: &str) -> String {
    let lines: Vec<&str> = output.lines().filter(|line| !is_beginning(line)).collect();
    let text = lines.join("\n");
    let text = text.trim_matches('\n');
    if text.is_empty() {
        String::new()
    } else {
        format!("{text}\n")
    }
}

/// Criterion's verdict on each benchmark in its output.
pub(crate) fn compared(output: &str) -> Vec<Compared> {
    output.split(BEGINNING).skip(1).filter_map(of_benchmark).collect()
}

/// The output about each benchmark, by its name.
fn of_benchmark(text: &str) -> Option<Compared> {
    let (id, printed) = text.split_once('\n')?;
    let (times, _) = printed.lines().find_map(bracketed)?;
    let words: Vec<&str> = times.split_whitespace().collect();
    let [_, _, time, unit, _, _] = words[..] else {
        return None;
    };
    Some(Compared {
        id: id.to_owned(),
        time: format!("{time} {unit}"),
        change: change(printed),
    })
}

/// A benchmark's change; absent if a line cannot be parsed, since no verdict is better than a wrong one.
fn change(printed: &str) -> Option<Change> {
    let (ratios, p) = printed
        .lines()
        .filter_map(bracketed)
        .find_map(|(inside, behind)| {
            let p = behind.trim().strip_prefix("(p = ")?;
            Some((inside, p.split_whitespace().next()?))
        })?;
    let percents: Vec<f64> = ratios.split_whitespace().map(percent).collect::<Option<_>>()?;
    let [lower, percent, upper] = percents[..] else {
        return None;
    };
    Some(Change {
        percent,
        interval: [lower, upper],
        p: p.parse().ok()?,
        verdict: printed.lines().find_map(Verdict::of_line)?,
    })
}

/// The text in a line's last brackets, and the text after them.
fn bracketed(line: &str) -> Option<(&str, &str)> {
    line.rsplit_once('[')?.1.split_once(']')
}

/// `+1.2345%`; criterion writes the minus sign of typographers.
fn percent(text: &str) -> Option<f64> {
    text.strip_suffix('%')?.replace('\u{2212}', "-").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As criterion 0.8.2 prints them, without colours.
    const OUTPUT: &str = "\
\u{1e}m/quick/ttft/a-long-name-here
m/quick/ttft/a-long-name-here
                        time:   [22.100 ms 23.300 ms 24.500 ms]
                        change: [+1.2000% +5.1000% +9.8000%] (p = 0.01 < 0.05)
                        Performance has regressed.
Found 1 outliers among 10 measurements (10.00%)
  1 (10.00%) high mild

\u{1e}m/quick/decode/[a]
m/quick/decode/[a]      time:   [1.0000 \u{b5}s 2.0000 \u{b5}s 3.0000 \u{b5}s]
                        thrpt:  [333.33 tok/s 500.00 tok/s 1000.00 tok/s]
                 change:
                        time:   [\u{2212}12.000% \u{2212}10.000% +0.5000%] (p = 0.20 > 0.05)
                        thrpt:  [\u{2212}0.4975% +11.111% +13.636%]
                        No change in performance detected.
\u{1e}m/quick/total/left-out
\u{1e}m/quick/total/first
m/quick/total/first     time:   [1.0000 s 2.0000 s 3.0000 s]
";

    #[test]
    fn times_and_changes_are_criterions() {
        let first = Compared {
            id: "m/quick/ttft/a-long-name-here".into(),
            time: "23.300 ms".into(),
            change: Some(Change {
                percent: 5.1,
                interval: [1.2, 9.8],
                p: 0.01,
                verdict: Verdict::Regressed,
            }),
        };
        let second = Compared {
            id: "m/quick/decode/[a]".into(),
            time: "2.0000 \u{b5}s".into(),
            change: Some(Change {
                percent: -10.0,
                interval: [-12.0, 0.5],
                p: 0.2,
                verdict: Verdict::NotDetected,
            }),
        };
        let third = Compared {
            id: "m/quick/total/first".into(),
            time: "2.0000 s".into(),
            change: None,
        };
        assert_eq!(compared(OUTPUT), [first, second, third]);
    }

    #[test]
    fn an_unknown_verdict_is_none() {
        let other = OUTPUT.replace("Performance has regressed.", "Performance has become odd.");
        assert_eq!(compared(&other)[0].change, None);
    }

    #[test]
    fn criterions_own_text_has_no_marks_of_ours() {
        let text = raw(OUTPUT);
        assert!(
            !text.contains(BEGINNING) && text.starts_with("m/quick/ttft"),
            "{text}"
        );
        assert_eq!(text.lines().count(), OUTPUT.lines().count() - 4);
        assert_eq!(raw("\u{1e}a\n\n"), "");
    }
}
