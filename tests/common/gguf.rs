//! GGUF files made of others: with more metadata, in shards, without tensors.

use std::path::{Path, PathBuf};

const ALIGNMENT: usize = 32;

/// A file in its parts.
#[derive(Debug, Clone, Default)]
pub struct Gguf {
    n_tensors: u64,
    n_keys: u64,
    keys: Vec<u8>,
    infos: Vec<u8>,
    data: Vec<u8>,
}

/// A value of the metadata.
#[derive(Debug, Clone, Copy)]
pub enum Value<'a> {
    Text(&'a str),
    Short(u16),
    Int(i32),
    Flag(bool),
}

impl Gguf {
    /// A file of some metadata and one small tensor.
    pub fn small(keys: &[(&str, Value<'_>)]) -> Self {
        let mut infos = text("weight");
        infos.extend(1_u32.to_le_bytes()); // dimensions
        infos.extend(1_u64.to_le_bytes());
        infos.extend(0_u32.to_le_bytes()); // F32
        infos.extend(0_u64.to_le_bytes()); // at the data's begin
        let small = Self {
            n_tensors: 1,
            infos,
            data: vec![0; ALIGNMENT],
            ..Self::default()
        };
        keys.iter()
            .fold(small, |file, (key, value)| file.with(key, *value))
    }

    pub fn read(path: &Path) -> Self {
        let bytes = std::fs::read(path).expect("read");
        let mut at = Cursor(&bytes, 8);
        let (n_tensors, n_keys) = (at.u64(), at.u64());
        let keys_start = at.1;
        for _ in 0..n_keys {
            at.text();
            let kind = at.u32();
            at.value(kind);
        }
        let infos_start = at.1;
        for _ in 0..n_tensors {
            at.text();
            let dimensions = at.u32();
            at.1 += dimensions as usize * 8 + 4 + 8;
        }
        let data_start = at.1.next_multiple_of(ALIGNMENT);
        Self {
            n_tensors,
            n_keys,
            keys: bytes[keys_start..infos_start].to_vec(),
            infos: bytes[infos_start..at.1].to_vec(),
            data: bytes[data_start..].to_vec(),
        }
    }

    /// With one more key, which must not be there yet.
    #[must_use]
    pub fn with(mut self, key: &str, value: Value<'_>) -> Self {
        self.n_keys += 1;
        self.keys.extend(text(key));
        let (kind, bytes): (u32, Vec<u8>) = match value {
            Value::Text(value) => (8, text(value)),
            Value::Short(value) => (2, value.to_le_bytes().to_vec()),
            Value::Int(value) => (5, value.to_le_bytes().to_vec()),
            Value::Flag(value) => (7, vec![u8::from(value)]),
        };
        self.keys.extend(kind.to_le_bytes());
        self.keys.extend(bytes);
        self
    }

    pub fn write(&self, path: &Path) {
        let mut bytes = b"GGUF".to_vec();
        bytes.extend(3_u32.to_le_bytes());
        bytes.extend(self.n_tensors.to_le_bytes());
        bytes.extend(self.n_keys.to_le_bytes());
        bytes.extend(&self.keys);
        bytes.extend(&self.infos);
        bytes.resize(bytes.len().next_multiple_of(ALIGNMENT), 0);
        bytes.extend(&self.data);
        std::fs::write(path, bytes).expect("written");
    }

    /// Writes `count` shards: the metadata in the first, the tensors in the second, nothing in further ones.
    pub fn split(&self, stem: &Path, count: u16) -> Vec<PathBuf> {
        let tensors = i32::try_from(self.n_tensors).expect("few");
        let shards = (0..count).map(|number| {
            let mut part = match number {
                0 => Self {
                    n_keys: self.n_keys,
                    keys: self.keys.clone(),
                    ..Self::default()
                },
                1 => Self {
                    n_keys: 0,
                    keys: Vec::new(),
                    ..self.clone()
                },
                _ => Self::default(),
            };
            part = part
                .with("split.no", Value::Short(number))
                .with("split.count", Value::Short(count))
                .with("split.tensors.count", Value::Int(tensors));
            let path = PathBuf::from(format!("{}-{:05}-of-{count:05}.gguf", stem.display(), number + 1));
            part.write(&path);
            path
        });
        shards.collect()
    }
}

fn text(text: &str) -> Vec<u8> {
    let mut bytes = (text.len() as u64).to_le_bytes().to_vec();
    bytes.extend(text.as_bytes());
    bytes
}

struct Cursor<'a>(&'a [u8], usize);

impl Cursor<'_> {
    fn take<const N: usize>(&mut self) -> [u8; N] {
        let bytes = self.0[self.1..][..N].try_into().expect("so many");
        self.1 += N;
        bytes
    }

    fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.take())
    }

    fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.take())
    }

    fn text(&mut self) {
        let length = self.u64();
        self.1 += usize::try_from(length).expect("short");
    }

    fn value(&mut self, kind: u32) {
        match kind {
            0 | 1 | 7 => self.1 += 1,
            2 | 3 => self.1 += 2,
            4..=6 => self.1 += 4,
            10..=12 => self.1 += 8,
            8 => self.text(),
            9 => {
                let kind = self.u32();
                for _ in 0..self.u64() {
                    self.value(kind);
                }
            }
            _ => panic!("a type of value {kind}"),
        }
    }
}
