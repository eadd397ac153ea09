//! Lists, loads and unloads the models of a server.
//!
//! The paths are those of RKLLM's API servers: `GET /v1/models/available`, `GET /v1/models/loaded`, `POST
//! /v1/models/load`, `POST /v1/models/unload`. Other servers load their models in another way, or at the first
//! request.

use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};

use super::http::{Client, Fault};
use crate::base::foreign::Shown as _;
use crate::inference::is_same_model;
use crate::inference::{Failure, LoadSpec};

const LIST: &str = "/v1/models";
const AVAILABLE: &str = "/v1/models/available";
const LOADED: &str = "/v1/models/loaded";
const LOAD: &str = "/v1/models/load";
const UNLOAD: &str = "/v1/models/unload";

/// How long a request without an inference may take.
pub(super) const PAGE: Duration = Duration::from_secs(10);
/// How long unloading may take.
const UNLOADING: Duration = Duration::from_mins(1);
/// Time between two checks whether a model is ready.
pub(super) const LOOK: Duration = Duration::from_millis(200);

/// The models of a server, as it lists them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Models {
    /// All models that it can run, in its order.
    pub available: Vec<String>,
    /// The loaded models. Absent if the server does not list them and loads models on demand.
    pub loaded: Option<Vec<String>>,
}

pub(super) fn models(client: &Client) -> Result<Models, Failure> {
    let names = match client.get(AVAILABLE, PAGE) {
        Ok(document) => names(&document),
        Err(Fault::Status(..)) => Vec::new(),
        Err(fault) => return Err(fault.of("the list of models")),
    };
    let available = if names.is_empty() {
        match client.get(LIST, PAGE) {
            Ok(document) => self::names(&document),
            Err(Fault::Status(404 | 405, _)) => Vec::new(),
            Err(fault) => return Err(fault.of("the list of models")),
        }
    } else {
        names
    };
    Ok(Models {
        available,
        loaded: loaded(client)?,
    })
}

/// The loaded models. Absent if the server cannot list them.
pub(super) fn loaded(client: &Client) -> Result<Option<Vec<String>>, Failure> {
    match client.get(LOADED, PAGE) {
        Ok(document) => Ok(loaded_in(&document)),
        Err(Fault::Status(..)) => Ok(None),
        Err(fault) => Err(fault.of("the list of loaded models")),
    }
}

/// The loaded models in a document. Servers answer with one model, with a list, or, if they cannot list them, with
/// anything.
fn loaded_in(document: &Value) -> Option<Vec<String>> {
    let one = |key: &str| document.get(key).and_then(Value::as_str).map(str::to_owned);
    match document.get("loaded") {
        Some(Value::Bool(false) | Value::Null) => Some(Vec::new()),
        Some(Value::Bool(true)) => Some(
            ["model_name", "model", "friendly_name"]
                .iter()
                .filter_map(|key| one(key))
                .collect(),
        ),
        Some(Value::Array(list)) => Some(list.iter().filter_map(name).collect()),
        Some(Value::String(name)) => Some(vec![name.clone()]),
        _ => match document.get("loaded_model").or_else(|| document.get("models")) {
            Some(Value::Null) => Some(Vec::new()),
            Some(Value::String(name)) => Some(vec![name.clone()]),
            Some(Value::Array(list)) => Some(list.iter().filter_map(name).collect()),
            _ => None,
        },
    }
}

/// The names in a list of models. It has the form of `OpenAI` or of the RKLLM servers, is a bare list, or an object
/// by name.
fn names(document: &Value) -> Vec<String> {
    let list = ["models", "data"]
        .into_iter()
        .find_map(|key| document.get(key))
        .unwrap_or(document);
    match list {
        Value::Array(entries) => entries.iter().filter_map(name).collect(),
        Value::Object(fields) if fields.values().all(Value::is_object) => fields.keys().cloned().collect(),
        _ => Vec::new(),
    }
}

fn name(entry: &Value) -> Option<String> {
    let of = |key: &str| entry.get(key).and_then(Value::as_str);
    entry
        .as_str()
        .or_else(|| of("id"))
        .or_else(|| of("name"))
        .or_else(|| of("model"))
        .map(str::to_owned)
}

/// Asks the server to load the model, and waits until it is loaded.
pub(super) fn load(
    client: &Client,
    model: &str,
    spec: &LoadSpec,
    stopped: &dyn Fn() -> bool,
) -> Result<(), Failure> {
    let end = Instant::now() + spec.deadline;
    let mut body = Map::from_iter([
        ("model".to_owned(), json!(model)),
        ("max_context_len".to_owned(), json!(spec.max_context)),
    ]);
    if let Some(cores) = spec.npu_cores {
        body.insert("num_npu_core".into(), json!(cores));
    }
    client
        .post(LOAD, &body, spec.deadline)
        .map_err(|fault| fault.of(&format!("loading {} on the server", model.shown())))?;
    loop {
        match loaded(client)? {
            Some(names) if !names.iter().any(|name| is_same_model(name, model)) => {}
            _ => return Ok(()),
        }
        if stopped() {
            return Err(Failure::stopped());
        }
        if Instant::now() >= end {
            return Err(Failure::refused(format!(
                "{} was not loaded on the server within {} s (--load-timeout)",
                model.shown(),
                spec.deadline.as_secs()
            )));
        }
        std::thread::sleep(LOOK);
    }
}

pub(super) fn unload(client: &Client, model: &str) -> Result<(), Failure> {
    let body = Map::from_iter([("model".to_owned(), json!(model))]);
    client
        .post(UNLOAD, &body, UNLOADING)
        .map(drop)
        .map_err(|fault| fault.of(&format!("unloading {} on the server", model.shown())))
}

/// The command with which a user loads a model.
pub(super) fn command(client: &Client, model: &str) -> String {
    let body = json!({ "model": model }).to_string();
    let body = shlex::try_quote(&body).map_or_else(|_| body.clone(), std::borrow::Cow::into_owned);
    format!(
        "curl -X POST {} -H 'Content-Type: application/json' -d {body}",
        client.address.page(LOAD)
    )
}
