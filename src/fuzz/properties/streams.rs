//! Streams of server-sent events.

use std::io::{self, Read};

use super::{Taken, assert_readable, measured};
use crate::inference::Finish;
use crate::runtime::engine::server::answer::{Answer, read};

/// A body that arrives in pieces of these sizes, repeatedly.
struct Pieces<'a> {
    left: &'a [u8],
    sizes: std::iter::Cycle<std::slice::Iter<'a, usize>>,
}

impl Read for Pieces<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let size = self.sizes.next().copied().unwrap_or(usize::MAX);
        let size = size.min(buffer.len()).min(self.left.len());
        let (piece, left) = self.left.split_at(size);
        buffer[..size].copy_from_slice(piece);
        self.left = left;
        Ok(size)
    }
}

/// Reads a stream that arrives in such pieces, all at one time.
pub(in crate::fuzz) fn in_pieces(bytes: &[u8], sizes: &[usize], most_bytes: u64) -> Answer {
    let body = Pieces {
        left: bytes,
        sizes: sizes.iter().cycle(),
    };
    measured(bytes.len(), 512 << 10, 400, || read(body, most_bytes, || 0))
}

/// The same bytes give the same answer in pieces and as a whole; at most `most_bytes` are read.
pub(in crate::fuzz) fn stream(bytes: &[u8], sizes: &[usize], most_bytes: u64) -> Taken {
    let whole = in_pieces(bytes, &[usize::MAX], most_bytes);
    assert_eq!(in_pieces(bytes, sizes, most_bytes), whole);
    assert!(whole.tokens.len() <= bytes.len() / 8 && whole.text.len() <= 2 * bytes.len());
    if let Some(complaint) = &whole.complaint {
        assert_readable(complaint, 1000);
    }
    if whole.finish == Finish::Finished {
        Taken::Accepted
    } else {
        Taken::Refused
    }
}
