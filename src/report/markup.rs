//! Text within Markdown, whatever is in it.

use super::words::plain;
use crate::base::foreign::is_active;

/// A name as code, whatever is in it.
///
/// A plain name is a code span. Those cannot hold a pipe within a table next to a backslash, so anything but plain is
/// written in entities.
pub(super) fn code(name: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "/_-.*:, →…[]()%+=".contains(c);
    let name = plain(name);
    if !name.trim().is_empty() && name.chars().all(is_plain) {
        format!("`{}`", name.trim())
    } else {
        format!("<code>{}</code>", entities(&name))
    }
}

/// A message as text: nothing in it is markup or a mention.
pub(super) fn prose(text: &str) -> String {
    // A mention is found after entities are resolved; a joiner of no width keeps the name from being one.
    entities(&plain(text)).replace("&#64;", "&#64;&#8203;")
}

/// Text with all that Markdown or HTML may read as markup as entities.
fn entities(text: &str) -> String {
    let entity = |c: char| match c {
        '.' | ',' | ' ' | '%' | '+' | '-' | '/' | ':' | ';' | '=' | '(' | ')' => c.to_string(),
        c if c.is_ascii_punctuation() => format!("&#{};", u32::from(c)),
        c => c.to_string(),
    };
    text.chars().map(entity).collect()
}

/// A text as it is, in a block of code: nothing in it is markup, and no backticks of its own end it.
pub(super) fn fenced(text: &str) -> String {
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or_default();
    let fence = "`".repeat(longest.max(2) + 1);
    // A terminal that the page is shown on obeys none of it.
    let shown: String = text
        .replace("\r\n", "\n")
        .chars()
        .map(|c| match c {
            '\n' | '\t' => c,
            c if is_active(c) => char::REPLACEMENT_CHARACTER,
            c => c,
        })
        .collect();
    format!("{fence}text\n{}\n{fence}\n", shown.trim_end_matches('\n'))
}
