//! CSV (RFC 4180) whose cells no spreadsheet takes for formulas.

use std::borrow::Cow;

/// A text as a cell. A spreadsheet would compute text that begins with `=`, `+`, `-`, `@`, a tab or a carriage return.
/// Such text gets an apostrophe in front, as OWASP's page on CSV injection advises. Numbers are written with
/// `to_string` and stay unchanged.
pub(crate) fn cell(text: &str) -> Cow<'_, str> {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        format!("'{text}").into()
    } else {
        text.into()
    }
}

/// A number as a cell; empty if it is absent or not finite.
pub(crate) fn number(value: Option<f64>) -> String {
    let finite = value.filter(|value| value.is_finite());
    finite.map_or_else(String::new, |value| value.to_string())
}

/// A table with its header.
#[expect(
    clippy::expect_used,
    reason = "rows have the header's length, and nothing is written but memory"
)]
pub(crate) fn table<const N: usize>(
    header: [&str; N],
    rows: impl IntoIterator<Item = [String; N]>,
) -> String {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(header).expect("memory");
    for row in rows {
        writer.write_record(row).expect("as long as the header");
    }
    String::from_utf8_lossy(&writer.into_inner().expect("memory")).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formulas_become_text_and_all_else_comes_back() {
        let texts = [
            "=1+1",
            "+1",
            "-1",
            "@x",
            "\tx",
            "\rx",
            "a=1",
            "",
            "a,\"b\"\nc|`<b>\u{1b}",
        ];
        let text = table(["a"], texts.map(|text| [cell(text).into_owned()]));
        let read: Vec<String> = csv::Reader::from_reader(text.as_bytes())
            .records()
            .map(|row| row.expect("a row")[0].to_owned())
            .collect();
        let expected = [
            "'=1+1",
            "'+1",
            "'-1",
            "'@x",
            "'\tx",
            "'\rx",
            "a=1",
            "",
            "a,\"b\"\nc|`<b>\u{1b}",
        ];
        assert_eq!(read, expected);
    }

    #[test]
    fn absent_numbers_are_empty() {
        assert_eq!(
            [number(None), number(Some(f64::NAN)), number(Some(-0.5))],
            ["", "", "-0.5"]
        );
    }
}
