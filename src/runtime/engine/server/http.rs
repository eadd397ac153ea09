//! Requests to a server, and messages for their failures.

use std::io::{self, Read as _};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Map, Value};
use ureq::config::Config;
use ureq::http::{Response, StatusCode, Uri};
use ureq::tls::{RootCerts, TlsConfig};
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{DefaultConnector, NextTimeout};
use ureq::{Agent, Body, Timeout};

use super::complaint;
use crate::base::error::{Error, Result};
use crate::base::json::clip;
use crate::inference::Failure;

/// Environment variable with the key that is sent as bearer token. There is no flag for it, because other users of a
/// machine can read command lines.
pub const API_KEY: &str = "RKLLM_BENCH_API_KEY";

/// How long to wait for a connection.
const CONNECT: Duration = Duration::from_secs(10);
/// Limit of a document's bytes.
const MOST_BYTES: u64 = 4 << 20;
/// Limit of the bytes that are read of an error page.
const MOST_OF_AN_ERROR: u64 = 64 << 10;

/// Address of a server: scheme, host, port, and a path before `/v1`. It contains no secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    base: String,
    is_local: bool,
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.base)
    }
}

impl std::str::FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let example = "expected an address such as http://board:8080";
        let uri: Uri = text.parse().map_err(|error| format!("{error}; {example}"))?;
        let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            return Err(format!("it has no scheme or no host; {example}"));
        };
        if !["http", "https"].contains(&scheme) {
            return Err(format!("{scheme} is neither http nor https; {example}"));
        }
        if authority.as_str().contains('@') {
            return Err(format!(
                "a name and password would go into the run record; {example}, and a key in {API_KEY}"
            ));
        }
        if uri.query().is_some() {
            return Err(format!("it must not have a query; {example}"));
        }
        let path = uri.path().trim_end_matches('/');
        let path = path.strip_suffix("/v1").unwrap_or(path);
        Ok(Self {
            base: format!("{scheme}://{authority}{path}"),
            is_local: is_loopback(authority.host()),
        })
    }
}

impl Address {
    /// Whether the server is on this machine.
    pub const fn is_local(&self) -> bool {
        self.is_local
    }

    /// The URL of a path on the server.
    pub(super) fn page(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }
}

fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost") || bare.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// Connections to one server, kept open between requests.
#[derive(Debug, Clone)]
pub(super) struct Client {
    pub(super) address: Address,
    agent: Agent,
    authorization: Option<String>,
}

/// Resolves a host's addresses once. The client would do so in a separate thread before each request, even with an open
/// connection.
#[derive(Debug, Default)]
struct Remembered {
    of_hosts: Mutex<Vec<(String, Vec<SocketAddr>)>>,
    resolver: DefaultResolver,
}

impl Resolver for Remembered {
    fn resolve(
        &self,
        uri: &Uri,
        config: &Config,
        timeout: NextTimeout,
    ) -> std::result::Result<ResolvedSocketAddrs, ureq::Error> {
        let host = uri.authority().map(ToString::to_string).unwrap_or_default();
        let mut of_hosts = self.of_hosts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, addresses)) = of_hosts.iter().find(|(known, _)| *known == host) {
            let mut resolved = self.empty();
            for address in addresses {
                resolved.push(*address);
            }
            return Ok(resolved);
        }
        let resolved = self.resolver.resolve(uri, config, timeout)?;
        of_hosts.push((host, resolved.to_vec()));
        Ok(resolved)
    }
}

/// Why a request failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fault {
    /// The deadline passed.
    TimedOut,
    /// The connection was closed before any answer. Some servers close connections that they promised to keep, which
    /// shows only at the next request.
    Closed(String),
    /// The server answered with this status and message.
    Status(u16, String),
    /// Another failure, as text.
    Other(String),
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::TimedOut => f.write_str("no answer in the time allowed"),
            Self::Status(status, words) => {
                let reason = StatusCode::from_u16(*status).ok();
                let reason = reason
                    .and_then(|status| status.canonical_reason())
                    .unwrap_or_default();
                write!(f, "{status} {reason}: {words}")
            }
            Self::Closed(address) => write!(f, "{address} closed the connection without an answer"),
            Self::Other(words) => f.write_str(words),
        }
    }
}

impl Client {
    /// # Errors
    /// [`Error::BadParameter`] when the key is not text.
    pub(super) fn new(address: Address) -> Result<Self> {
        let key = match std::env::var(API_KEY) {
            Ok(key) => Some(key),
            Err(std::env::VarError::NotPresent) => None,
            Err(error) => return Err(Error::BadParameter(format!("{API_KEY}: {error}"))),
        };
        if key.as_ref().is_some_and(|key| key.chars().any(char::is_control)) {
            return Err(Error::BadParameter(format!(
                "{API_KEY}: it contains a control character"
            )));
        }
        // The time of a redirected request would include the redirect.
        let mut config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .timeout_connect(Some(CONNECT))
            .user_agent(concat!("rkllm-bench/", env!("CARGO_PKG_VERSION")))
            .tls_config(
                TlsConfig::builder()
                    .root_certs(RootCerts::PlatformVerifier)
                    .build(),
            );
        if address.is_local {
            config = config.proxy(None);
        }
        Ok(Self {
            address,
            agent: Agent::with_parts(config.build(), DefaultConnector::default(), Remembered::default()),
            authorization: key.map(|key| format!("Bearer {key}")),
        })
    }

    /// Gets a document from the server.
    pub(super) fn get(&self, path: &str, deadline: Duration) -> std::result::Result<Value, Fault> {
        match self.get_once(path, deadline) {
            Err(Fault::Closed(_)) => self.get_once(path, deadline),
            outcome => outcome,
        }
    }

    fn get_once(&self, path: &str, deadline: Duration) -> std::result::Result<Value, Fault> {
        let mut request = self.agent.get(self.address.page(path));
        if let Some(authorization) = &self.authorization {
            request = request.header("authorization", authorization);
        }
        let request = request.config().timeout_global(Some(deadline)).build();
        self.document(request.call())
    }

    /// Sends a document and returns the server's answer.
    pub(super) fn post(
        &self,
        path: &str,
        body: &Map<String, Value>,
        deadline: Duration,
    ) -> std::result::Result<Value, Fault> {
        let once = || self.document(self.send(path, body, "application/json", deadline));
        match once() {
            Err(Fault::Closed(_)) => once(),
            outcome => outcome,
        }
    }

    /// Requests a stream, and returns the response as soon as its headers have arrived. Its status is success, and
    /// its body is a stream.
    pub(super) fn stream(
        &self,
        path: &str,
        body: &Map<String, Value>,
        deadline: Duration,
    ) -> std::result::Result<Response<Body>, Fault> {
        let response = self
            .send(path, body, "text/event-stream", deadline)
            .map_err(|error| self.in_words(error))?;
        let mut response = self.successful(response)?;
        let kind = response.body().mime_type().unwrap_or("nothing").to_owned();
        if kind == "text/event-stream" {
            return Ok(response);
        }
        let text = beginning(&mut response);
        let document = serde_json::from_str::<Value>(&text).ok();
        if let Some(words) = document.as_ref().and_then(complaint::in_event) {
            return Err(Fault::Status(response.status().as_u16(), clip(&words)));
        }
        Err(Fault::Other(if kind == "application/json" {
            format!(
                "the answer came in one piece although a stream was requested, so there is no first token to time: {}",
                clip(&text)
            )
        } else {
            format!(
                "the answer is not an event stream but {}; check --url: {}",
                clip(&kind),
                clip(&text)
            )
        }))
    }

    fn send(
        &self,
        path: &str,
        body: &Map<String, Value>,
        accept: &str,
        deadline: Duration,
    ) -> std::result::Result<Response<Body>, ureq::Error> {
        let mut request = self
            .agent
            .post(self.address.page(path))
            .header("content-type", "application/json")
            .header("accept", accept);
        if let Some(authorization) = &self.authorization {
            request = request.header("authorization", authorization);
        }
        let request = request.config().timeout_global(Some(deadline)).build();
        request.send(serde_json::to_vec(body).unwrap_or_default())
    }

    fn document(
        &self,
        response: std::result::Result<Response<Body>, ureq::Error>,
    ) -> std::result::Result<Value, Fault> {
        let response = response.map_err(|error| self.in_words(error))?;
        let mut response = self.successful(response)?;
        let text = response.body_mut().with_config().limit(MOST_BYTES).read_to_vec();
        let text = text.map_err(|error| self.in_words(error))?;
        let document: Value = serde_json::from_slice(&text).map_err(|error| {
            Fault::Other(format!(
                "not JSON: {error}: {}",
                clip(&String::from_utf8_lossy(&text))
            ))
        })?;
        // Some servers refuse with a success status.
        match complaint::in_document(&document) {
            Some(words) => Err(Fault::Status(response.status().as_u16(), clip(&words))),
            None => Ok(document),
        }
    }

    fn successful(&self, mut response: Response<Body>) -> std::result::Result<Response<Body>, Fault> {
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        if status.is_redirection() {
            let to = response.headers().get("location");
            let to = to.map_or_else(|| "nowhere".into(), |to| String::from_utf8_lossy(to.as_bytes()));
            return Err(Fault::Other(format!(
                "{} redirects to {} ({status}): set --url to the final address, because the redirect would be \
                 measured too",
                self.address,
                clip(&to)
            )));
        }
        let text = beginning(&mut response);
        let document = serde_json::from_str::<Value>(&text).ok();
        let words = document.as_ref().map(complaint::of_refusal);
        Err(Fault::Status(
            status.as_u16(),
            clip(words.as_deref().unwrap_or(&text)),
        ))
    }

    /// What failed, with advice.
    fn in_words(&self, error: ureq::Error) -> Fault {
        let address = &self.address;
        Fault::Other(match error {
            ureq::Error::Timeout(Timeout::Connect | Timeout::Resolve) => {
                format!(
                    "{address} did not answer for {} s: check the address (--url)",
                    CONNECT.as_secs()
                )
            }
            ureq::Error::Timeout(_) => return Fault::TimedOut,
            ureq::Error::Io(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                format!("nothing listens at {address}: start the server, or check the port (--url)")
            }
            ureq::Error::Io(error)
                if [
                    io::ErrorKind::UnexpectedEof,
                    io::ErrorKind::ConnectionReset,
                    io::ErrorKind::BrokenPipe,
                ]
                .contains(&error.kind()) =>
            {
                return Fault::Closed(address.to_string());
            }
            ureq::Error::HostNotFound => format!("{address}: no such host (--url)"),
            error => format!("{address}: {error}"),
        })
    }
}

/// The beginning of an unexpected answer.
fn beginning(response: &mut Response<Body>) -> String {
    let mut text = Vec::new();
    let _ = response
        .body_mut()
        .as_reader()
        .take(MOST_OF_AN_ERROR)
        .read_to_end(&mut text);
    String::from_utf8_lossy(&text)
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
}

impl Fault {
    /// The failure, with `what` was tried.
    pub(super) fn of(&self, what: &str) -> Failure {
        Failure::refused(format!("{what}: {self}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_server_without_its_api() {
        let base = |text: &str| text.parse::<Address>().map(|address| address.to_string());
        for (text, expected) in [
            ("http://board:8080", "http://board:8080"),
            ("http://board:8080/", "http://board:8080"),
            ("https://board/v1/", "https://board"),
            ("http://[::1]:80/llm/v1", "http://[::1]:80/llm"),
        ] {
            assert_eq!(base(text).as_deref(), Ok(expected));
        }
        for (text, expected) in [
            ("board", "no scheme"),
            ("board:8080", "expected an address such as"),
            ("ftp://board", "neither http nor https"),
            ("http://me:secret@board", API_KEY),
            ("http://board/?key=1", "query"),
            ("", "expected an address such as"),
        ] {
            let error = base(text).expect_err(text);
            assert!(
                error.contains(expected) && !error.contains("secret"),
                "{text}: {error}"
            );
        }
    }

    #[test]
    fn loopback_is_this_machine() {
        for (host, expected) in [
            ("localhost", true),
            ("127.0.0.1", true),
            ("127.9.9.9", true),
            ("[::1]", true),
            ("board", false),
            ("10.0.0.1", false),
            ("localhost.example.org", false),
        ] {
            assert_eq!(is_loopback(host), expected, "{host}");
        }
    }
}
