//! Pieces of HTML.

use std::path::Path;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::report::words::plain;

/// What a path's part keeps in a URL (RFC 3986, unreserved characters).
const NOT_IN_A_URL: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// A whole page.
pub(super) fn page(title: &str, body: &str) -> String {
    let title = escape(title);
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<title>{title}</title>\n<style>\n\
         body {{ font: 15px sans-serif; max-width: 60em; margin: 2em auto; padding: 0 1em; }}\n\
         table {{ border-collapse: collapse; }}\n\
         th, td {{ padding: 0.2em 0.8em; text-align: left; border-bottom: 1px solid #ddd; }}\n\
         img {{ max-width: 100%; }}\n\
         </style>\n</head>\n<body>\n<h1>{title}</h1>\n{body}</body>\n</html>\n"
    )
}

/// Text in HTML, also within an attribute.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::new();
    for c in plain(text).chars() {
        match c {
            '&' => escaped += "&amp;",
            '<' => escaped += "&lt;",
            '>' => escaped += "&gt;",
            '"' => escaped += "&quot;",
            '\'' => escaped += "&#39;",
            c => escaped.push(c),
        }
    }
    escaped
}

/// The address of a path below `base`, which is one already.
pub(super) fn href(base: &str, path: &Path) -> String {
    let mut address = base.to_owned();
    for part in path {
        address.push('/');
        address.extend(utf8_percent_encode(&part.to_string_lossy(), NOT_IN_A_URL));
    }
    address
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_name_is_markup() {
        assert_eq!(
            escape("<b>\"a\" & 'b'\u{1b}"),
            "&lt;b&gt;&quot;a&quot; &amp; &#39;b&#39;\u{fffd}"
        );
        assert_eq!(
            href("..", Path::new("a b/100%#1?.svg")),
            "../a%20b/100%25%231%3F.svg"
        );
    }
}
