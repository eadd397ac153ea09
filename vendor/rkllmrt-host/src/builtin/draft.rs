//! Writing the file of a built-in model, on several threads.

use std::fs::File;
use std::io;
use std::num::NonZero;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::gguf::{Gguf, Place};
use super::shape::{Content, Shape, Tensor};
use super::weights::{self, BLOCK_BYTES, bias, norm, q8_0};

/// Blocks that are made and written at once: about a megabyte.
const PART_BLOCKS: usize = 1 << 15;
/// More would only wait for the disk.
const MAX_THREADS: usize = 8;

/// Writes a model of `shape`, and has it on the disk when it returns.
pub(super) fn write(shape: &Shape, draft: &Path) -> io::Result<()> {
    let mut gguf = Gguf::new();
    for (key, value) in shape.metadata() {
        gguf.set(&key, &value)?;
    }
    let mut parts = Vec::new();
    let mut length = 0;
    for tensor in shape.tensors() {
        let place = gguf.add(&tensor.name, tensor.kind(), &tensor.extents())?;
        length = place.padded_end();
        parts.extend(parts_of(shape, &tensor, place));
    }
    let head = gguf.head();
    let file = File::create(draft)?;
    // What no part covers, between tensors and behind the last one, is zero by this.
    file.set_len((head.len() + length) as u64)?;
    file.write_all_at(&head, 0)?;
    write_parts(&file, head.len() as u64, &parts)?;
    file.sync_all()
}

/// Weights that are written at once.
struct Part {
    /// Behind the end of the head, in bytes.
    offset: usize,
    length: usize,
    seed: u64,
    row: usize,
    content: PartContent,
}

enum PartContent {
    /// Of a matrix, from this block on.
    Blocks(u64),
    Norm,
    Bias,
}

/// The tensor in parts, which do not depend on each other.
fn parts_of(shape: &Shape, tensor: &Tensor, place: Place) -> Vec<Part> {
    let seed = weights::seed(shape.name, &tensor.name);
    let part = |offset, length, content| Part {
        offset: place.offset + offset,
        length,
        seed,
        row: tensor.row,
        content,
    };
    match tensor.content {
        Content::Norm => vec![part(0, place.length, PartContent::Norm)],
        Content::Bias => vec![part(0, place.length, PartContent::Bias)],
        Content::Matrix(_) => (0..place.length / BLOCK_BYTES)
            .step_by(PART_BLOCKS)
            .map(|first| {
                let offset = first * BLOCK_BYTES;
                let length = (place.length - offset).min(PART_BLOCKS * BLOCK_BYTES);
                part(offset, length, PartContent::Blocks(first as u64))
            })
            .collect(),
    }
}

impl Part {
    /// Makes the weights in `buffer`, whatever it held.
    fn make(&self, buffer: &mut Vec<u8>) {
        match self.content {
            PartContent::Blocks(first) => {
                buffer.resize(self.length, 0);
                q8_0(self.seed, self.row, first, buffer);
            }
            PartContent::Norm => *buffer = norm(self.row),
            PartContent::Bias => *buffer = bias(self.seed, self.row),
        }
    }
}

/// Makes and writes all parts; whichever thread is free takes the next.
fn write_parts(file: &File, start: u64, parts: &[Part]) -> io::Result<()> {
    let next = AtomicUsize::new(0);
    let work = || {
        let mut buffer = Vec::new();
        while let Some(part) = parts.get(next.fetch_add(1, Ordering::Relaxed)) {
            part.make(&mut buffer);
            file.write_all_at(&buffer, start + part.offset as u64)?;
        }
        Ok(())
    };
    let n_threads = thread::available_parallelism().map_or(1, NonZero::get);
    thread::scope(|scope| {
        let threads: Vec<_> = (0..n_threads.min(MAX_THREADS))
            .map(|_| scope.spawn(work))
            .collect();
        threads.into_iter().try_for_each(|thread| {
            thread
                .join()
                .unwrap_or_else(|_| Err(io::Error::other("a writing thread panicked")))
        })
    })
}
