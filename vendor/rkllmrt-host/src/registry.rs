//! Handles. A handle is a number that is given out once, not an address: whatever a client passes in, it is looked
//! up and never followed.

use std::collections::BTreeMap;
use std::ptr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::header::LLMHandle;
use crate::instance::Instance;

struct Registry {
    last: usize,
    live: BTreeMap<usize, Arc<Instance>>,
}

static REGISTRY: Mutex<Registry> = Mutex::new(Registry {
    last: 0,
    live: BTreeMap::new(),
});

fn registry() -> MutexGuard<'static, Registry> {
    // Nothing that holds the lock leaves the map half changed.
    REGISTRY.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) fn add(instance: Instance) -> LLMHandle {
    let mut registry = registry();
    registry.last += 1;
    let id = registry.last;
    registry.live.insert(id, Arc::new(instance));
    ptr::without_provenance_mut(id)
}

pub(crate) fn find(handle: LLMHandle) -> Result<Arc<Instance>, String> {
    if handle.is_null() {
        return Err("the handle is NULL".to_owned());
    }
    let found = registry().live.get(&handle.addr()).map(Arc::clone);
    found.ok_or_else(|| "the handle is not of a loaded model (destroyed already?)".to_owned())
}

pub(crate) fn remove(handle: LLMHandle) {
    registry().live.remove(&handle.addr());
}
