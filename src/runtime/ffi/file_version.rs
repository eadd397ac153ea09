//! Reads the release from a library's file. The build script uses it too, on the library that it links.

/// The version in a `librkllmrt.so`: after the words `RKLLM SDK`, or in the text of the version line.
pub(crate) fn find_file_version(bytes: &[u8]) -> Option<String> {
    let pattern = regex::bytes::Regex::new(
        r"(?-u)(?:RKLLM SDK[^\x00\n0-9]{0,32}|rkllm-runtime version: )(\d+\.\d+\.\d+[0-9A-Za-z]*)",
    )
    .ok()?;
    let found = pattern.captures(bytes)?.get(1)?;
    std::str::from_utf8(found.as_bytes()).ok().map(str::to_owned)
}
