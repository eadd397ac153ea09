//! Facts about a model and the runtime before they are used.

use std::path::Path;

use crate::inputs::model_name::NameParts;
use crate::machine::board::Soc;

/// Facts about a model before it is loaded. A field is absent if its name does not say.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ModelFacts {
    /// Its name.
    pub name: String,
    /// Size of its file, bytes.
    pub bytes: Option<u64>,
    /// SoC that it was converted for, such as `RK3588`.
    pub platform: Option<String>,
    /// NPU cores that it was converted for.
    pub npu_cores: Option<u8>,
    /// `optimization_level` of its conversion.
    pub optimization_level: Option<u8>,
}

impl ModelFacts {
    /// Reads the facts of the file at `path` without loading it: its size, and its conversion from the file name. The
    /// name of the model fills missing parts.
    pub fn of_file(name: &str, path: &Path) -> Self {
        let file_name = path.file_name().unwrap_or_default().to_string_lossy();
        let parts = NameParts::of(&file_name).or(NameParts::of(name));
        Self {
            name: name.to_owned(),
            bytes: path.metadata().ok().map(|metadata| metadata.len()),
            platform: parts.platform.map(|platform| series(&platform)),
            npu_cores: parts.npu_cores,
            optimization_level: parts.optimization_level,
        }
    }
}

/// The SoC whose models run on `platform`: an RK3588S is an RK3588 with fewer pins.
fn series(platform: &str) -> String {
    let known = Soc::named(platform).or_else(|| Soc::named(platform.strip_suffix(['S', 's'])?));
    known.map_or_else(|| platform.to_owned(), |soc| soc.name.to_owned())
}

/// Facts about the runtime before it is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RuntimeFacts {
    /// Whether it computes on the CPU, without an NPU.
    pub is_host: bool,
    /// CPU mask for the runtime, bit n for CPU n; absent: left to the runtime.
    pub cpu_mask: Option<u32>,
}
