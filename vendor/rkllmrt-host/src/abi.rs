//! Whether a client has the types of this API. Releases before 1.3.0 have other ones under the same names, and nothing
//! in the ABI carries a version: such a client would corrupt its memory in silence. Two things tell:
//!
//! - since 1.3.0 the third argument of `rkllm_init` points to a struct that begins with the address of a function; from 1.1.0
//!   to 1.2.3 it is that address;
//! - up to 1.0.2 the parameters come by value, so that what is here their address is the callback's.
//!
//! The process's own memory map says what is an address of code.

use std::fs;
use std::mem::size_of;
use std::ptr;

use crate::header::{RKLLMCallback, RKLLMParam};

const REMEDY: &str =
    "build it with the header of release 1.3.0 or 1.3.1, or give its own declarations the types of that";

/// Refuses what a client of another release passes to `rkllm_init`, and addresses of nothing. NULL is somebody else's
/// to refuse.
pub(crate) fn check(param: *const RKLLMParam, callback: *const RKLLMCallback) -> Result<(), String> {
    let Some(map) = Map::of_this_process() else {
        return Ok(()); // no /proc: nothing is known
    };
    if !param.is_null() {
        check_param(&map, param.addr())?;
    }
    if !callback.is_null() {
        check_callback(&map, callback)?;
    }
    Ok(())
}

fn check_param(map: &Map, at: usize) -> Result<(), String> {
    if map.all(at, 1, |part| part.executable && !part.writable) {
        return Err(format!(
            "rkllm_init: the second argument is a function: this client was built for release 1.0.x; {REMEDY}"
        ));
    }
    if !map.all(at, size_of::<RKLLMParam>(), |part| part.readable) {
        return Err("rkllm_init: the parameters lie where nothing can be read".to_owned());
    }
    Ok(())
}

fn check_callback(map: &Map, callback: *const RKLLMCallback) -> Result<(), String> {
    let at = callback.addr();
    let is_code = map.all(at, 1, |part| part.executable);
    if map.all(at, size_of::<RKLLMCallback>(), |part| part.readable) {
        // SAFETY: so many bytes can be read there, and a word needs no alignment here.
        let first = unsafe { ptr::read_unaligned(callback.cast::<usize>()) };
        // A stack may be executable too: what counts is where the first word leads.
        if first == 0 && !is_code || map.all(first, 1, |part| part.executable) {
            return Ok(());
        }
    }
    Err(if is_code {
        format!(
            "rkllm_init: the third argument is a function where release 1.3.0 has a struct of callbacks: this client \
             was built for release 1.2.3 or older; {REMEDY}"
        )
    } else {
        format!(
            "rkllm_init: result_callback is no address of a function: this client was built for another release, or \
             its RKLLMCallback is gone; {REMEDY}"
        )
    })
}

/// What of the address space is in use, in order.
#[derive(Debug)]
struct Map(Vec<Part>);

#[derive(Debug)]
struct Part {
    start: usize,
    end: usize,
    readable: bool,
    writable: bool,
    executable: bool,
}

impl Map {
    fn of_this_process() -> Option<Self> {
        let text = fs::read("/proc/self/maps").ok()?;
        let map = Self::read(&String::from_utf8_lossy(&text));
        (!map.0.is_empty()).then_some(map)
    }

    /// Lines such as `7f00a000-7f00b000 r-xp 00001000 fd:01 42 /usr/lib/libc.so.6`.
    fn read(text: &str) -> Self {
        let part = |line: &str| {
            let mut words = line.split_ascii_whitespace();
            let (start, end) = words.next()?.split_once('-')?;
            let access = words.next()?.as_bytes();
            Some(Part {
                start: usize::from_str_radix(start, 16).ok()?,
                end: usize::from_str_radix(end, 16).ok()?,
                readable: access.first() == Some(&b'r'),
                writable: access.get(1) == Some(&b'w'),
                executable: access.get(2) == Some(&b'x'),
            })
        };
        Self(text.lines().filter_map(part).collect())
    }

    /// Whether `length` bytes from `at` on lie in parts that are all `fit`.
    fn all(&self, at: usize, length: usize, fit: impl Fn(&Part) -> bool) -> bool {
        let Some(end) = at.checked_add(length) else {
            return false;
        };
        let mut reached = at;
        for part in self.0.iter().filter(|part| part.end > at && part.start < end) {
            if part.start > reached || !fit(part) {
                return false;
            }
            reached = part.end;
        }
        reached >= end
    }
}

#[cfg(test)]
mod tests {
    use super::Map;

    #[test]
    fn a_range_may_span_parts_and_has_no_gaps() {
        let map = Map::read(
            "1000-2000 r--p 00000000 fd:01 1 /a b\n2000-3000 rw-p 00000000 00:00 0 [heap]\nno line\n\
             5000-6000 r-xp 0 0:0 0\n",
        );
        assert!(map.all(0x1ff0, 0x20, |part| part.readable));
        assert!(!map.all(0x1ff0, 0x20, |part| part.writable));
        assert!(map.all(0x2000, 0x1000, |part| part.writable));
        assert!(!map.all(0x2ff0, 0x20, |part| part.readable), "into a gap");
        assert!(!map.all(0x4000, 1, |part| part.readable), "in a gap");
        assert!(map.all(0x5fff, 1, |part| part.executable && !part.writable));
        assert!(!map.all(usize::MAX, 2, |_| true));
    }
}
