//! An engine that refuses to load if the model or the library has changed since its first load.

use super::{Engine, Failure, FailureKind, LoadSpec, Loaded};
use crate::base::foreign::Shown as _;
use crate::inference::{Inference, Request};
use crate::inputs::models::Identity;

/// Checks the model's files before each load of `engine`, and the library's hash after it.
pub(crate) struct Identified<'a> {
    engine: Box<dyn Engine>,
    model: &'a mut Identity,
    /// SHA-256 of the library at the first load.
    library: Option<String>,
}

impl<'a> Identified<'a> {
    pub(crate) fn new(engine: Box<dyn Engine>, model: &'a mut Identity) -> Self {
        Self {
            engine,
            model,
            library: None,
        }
    }
}

fn changed(message: String) -> Failure {
    Failure {
        kind: FailureKind::Changed,
        ..Failure::refused(message)
    }
}

impl Engine for Identified<'_> {
    fn load(&mut self, spec: &LoadSpec) -> Result<Loaded, Failure> {
        self.model.check().map_err(changed)?;
        let loaded = self.engine.load(spec)?;
        let library = loaded.runtime.library().map(|runtime| &runtime.library);
        if let Some((path, now)) = library.and_then(|library| Some((&library.path, library.sha256.as_ref()?)))
        {
            let first = self.library.get_or_insert_with(|| now.clone());
            if first != now {
                return Err(changed(format!(
                    "{} changed during the run: SHA-256 {first} before, {now} now; measure again",
                    path.shown()
                )));
            }
        }
        Ok(loaded)
    }

    fn infer(&mut self, request: &Request) -> Result<Inference, Failure> {
        self.engine.infer(request)
    }

    fn unload(&mut self) -> Result<(), Failure> {
        self.engine.unload()
    }

    fn process_id(&self) -> Option<u32> {
        self.engine.process_id()
    }

    fn warnings(&mut self) -> Vec<String> {
        self.engine.warnings()
    }
}
