//! A scripted HTTP server on loopback: what it sends is written out by each test, to the byte.

use std::io::{self, BufReader};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

/// What a client asked.
#[derive(Debug, Clone)]
pub struct Asked {
    /// Such as `POST /v1/completions`.
    pub page: String,
    /// Header lines, in lower case.
    pub headers: Vec<String>,
    /// The body; `null` without one.
    pub body: Value,
}

impl Asked {
    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }
}

/// Where a scripted server writes.
pub type Reply<'a> = dyn io::Write + 'a;

/// A server, until the test ends.
pub struct Scripted {
    pub url: String,
    asked: Arc<Mutex<Vec<Asked>>>,
    connections: Arc<AtomicUsize>,
}

impl Scripted {
    /// One whose `handler` writes each reply, headers included, and keeps the connection for the next request when it returns
    /// true. Each connection has a thread.
    pub fn start(
        handler: impl Fn(&Asked, &mut TcpStream) -> io::Result<bool> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("bound"));
        let (asked, connections) = (Arc::default(), Arc::default());
        let server = Self {
            url,
            asked: Arc::clone(&asked),
            connections: Arc::clone(&connections),
        };
        let handler = Arc::new(handler);
        std::thread::spawn(move || {
            for connection in listener.incoming().map_while(Result::ok) {
                connections.fetch_add(1, Ordering::SeqCst);
                let (handler, asked) = (Arc::clone(&handler), Arc::clone(&asked));
                std::thread::spawn(move || serve(connection, &*handler, &asked));
            }
        });
        server
    }

    /// What was asked until now, in order.
    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().expect("no test panics with it").clone()
    }

    /// The bodies of the requests for a page.
    pub fn bodies(&self, page: &str) -> Vec<Value> {
        let asked = self.asked().into_iter().filter(|asked| asked.page == page);
        asked.map(|asked| asked.body).collect()
    }

    /// Connections that were made until now.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

fn serve(
    mut connection: TcpStream,
    handler: &(impl Fn(&Asked, &mut TcpStream) -> io::Result<bool> + ?Sized),
    asked: &Mutex<Vec<Asked>>,
) {
    let _ = connection.set_nodelay(true);
    let mut reader = BufReader::new(connection.try_clone().expect("a socket"));
    while let Ok(Some(request)) = read(&mut reader) {
        asked
            .lock()
            .expect("no test panics with it")
            .push(request.clone());
        // A client that has gone is no concern of the script's.
        if !handler(&request, &mut connection).unwrap_or(false) {
            break;
        }
    }
    let _ = connection.shutdown(std::net::Shutdown::Both);
}

fn read(reader: &mut impl io::BufRead) -> io::Result<Option<Asked>> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        let line = line.trim_end();
        if line.is_empty() {
            break;
        }
        lines.push(line.to_owned());
    }
    let page = lines.first().cloned().unwrap_or_default();
    let page = page.trim_end_matches(" HTTP/1.1").to_owned();
    let headers: Vec<String> = lines
        .iter()
        .skip(1)
        .map(|line| match line.split_once(':') {
            Some((name, value)) => format!("{}: {}", name.to_lowercase(), value.trim()),
            None => line.clone(),
        })
        .collect();
    let length = headers
        .iter()
        .find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    reader.read_exact(&mut body)?;
    Ok(Some(Asked {
        page,
        headers,
        body: serde_json::from_slice(&body).unwrap_or_default(),
    }))
}

/// A whole reply of a kind of content.
pub fn page(to: &mut Reply<'_>, status: &str, kind: &str, body: &[u8]) -> io::Result<bool> {
    write!(
        to,
        "HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n\r\n",
        body.len()
    )?;
    to.write_all(body)?;
    Ok(true)
}

/// A JSON document.
pub fn document(to: &mut Reply<'_>, status: &str, body: &Value) -> io::Result<bool> {
    page(to, status, "application/json", body.to_string().as_bytes())
}

/// The headers of a stream in chunks.
pub fn begin_stream(to: &mut Reply<'_>) -> io::Result<()> {
    to.write_all(
        b"HTTP/1.1 200 OK\r\nserver: scripted\r\ncontent-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n",
    )
}

/// One chunk of HTTP, which need not be one event.
pub fn chunk(to: &mut Reply<'_>, bytes: &[u8]) -> io::Result<()> {
    write!(to, "{:x}\r\n", bytes.len())?;
    to.write_all(bytes)?;
    to.write_all(b"\r\n")?;
    to.flush()
}

/// The end of a stream in chunks.
pub fn end_stream(to: &mut Reply<'_>) -> io::Result<bool> {
    to.write_all(b"0\r\n\r\n")?;
    Ok(true)
}

/// An event as bytes.
pub fn event(document: &Value) -> Vec<u8> {
    format!("data: {document}\n\n").into_bytes()
}

/// A chunk of a chat's answer.
pub fn said(text: &str) -> Vec<u8> {
    event(&json!({"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": null}]}))
}

/// The events of a chat's answer with one chunk for each of `texts`, between the first one, which tells a role, and the last one,
/// with `usage`.
pub fn answer(texts: &[&str], usage: &Value) -> Vec<Vec<u8>> {
    let role = event(&json!({"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]}));
    let end = event(&json!({"choices": [{"index": 0, "delta": {}, "finish_reason": "length"}]}));
    let usage = event(&json!({"choices": [], "usage": usage}));
    let texts = texts.iter().map(|text| said(text));
    let ending = [end, usage, b"data: [DONE]\n\n".to_vec()];
    std::iter::once(role).chain(texts).chain(ending).collect()
}

/// Between two events of a stream: long enough that a client on a busy machine does not find several in one read.
pub const PACE: Duration = Duration::from_millis(5);

/// Sends an answer as a stream, an event a chunk, some time apart: as a model that streams.
pub fn send(to: &mut Reply<'_>, events: &[Vec<u8>]) -> io::Result<bool> {
    begin_stream(to)?;
    for event in events {
        chunk(to, event)?;
        std::thread::sleep(PACE);
    }
    end_stream(to)
}
