//! The `LoRA` adapters of a handle.

use std::ffi::{CStr, CString};
use std::path::Path;

use crate::identity::{self, Identity};
use crate::llama::{Adapter, Model};
use crate::params::path_of;

/// What `rkllm_load_lora` gave.
#[derive(Debug)]
pub(crate) struct Loaded {
    name: CString,
    pub(crate) adapter: Adapter,
    pub(crate) scale: f32,
    pub(crate) identity: Identity,
}

/// Adapters in the order they were loaded, each under a name of its own.
#[derive(Debug, Default)]
pub(crate) struct Adapters(Vec<Loaded>);

impl Adapters {
    pub(crate) fn load(
        &mut self,
        model: &Model,
        name: CString,
        path: &CStr,
        scale: f32,
    ) -> Result<(), String> {
        let shown = name.to_string_lossy();
        if !scale.is_finite() {
            return Err(format!(
                "the scale of the adapter {shown} is {scale}, must be a finite number"
            ));
        }
        if self.position(&name).is_some() {
            return Err(format!("an adapter of the name {shown} is loaded already"));
        }
        let path_shown = path.to_string_lossy();
        let file: &Path = path_of(path);
        let identity = identity::of_file(file)
            .map_err(|error| format!("cannot read the adapter {path_shown}: {error}"))?;
        let adapter = Adapter::load(model, path)
            .map_err(|error| format!("cannot use the adapter {path_shown} with this model: {error}"))?;
        self.0.push(Loaded {
            name,
            adapter,
            scale,
            identity,
        });
        Ok(())
    }

    /// The place of an adapter by its name.
    pub(crate) fn position(&self, name: &CStr) -> Option<usize> {
        self.0.iter().position(|loaded| *loaded.name == *name)
    }

    pub(crate) fn get(&self, position: usize) -> Option<&Loaded> {
        self.0.get(position)
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}
