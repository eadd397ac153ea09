//! The cost of reading a server's stream. A scripted server on loopback records when it sends, and the client when it
//! has read.
//!
//! The goals are 20 microseconds for each token and 0.2 ms of TTFT. For comparison, the same run includes a client that
//! only reads bytes from the same kind of socket. Run it by name: `cargo bench --bench client`.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use rkllm_bench::engine::Engine;
use rkllm_bench::engine::server::{Server, Target};
use rkllm_bench::inference::Api;
use rkllm_bench::inference::LoadSpec;
use rkllm_bench::inference::{Input, Request};
use rustix::time::{ClockId, clock_gettime};

const TOKENS: usize = 256;
const RUNS: usize = 20;
/// Between two tokens of a paced stream.
const PACE: Duration = Duration::from_millis(1);
/// Tokens of the stream that comes as fast as it can be read.
const FLOOD: usize = 100_000;

const GOAL_TOKEN_US: f64 = 20.0;
const GOAL_TTFT_MS: f64 = 0.2;

const CHUNK: &str = r#"{"id":"chatcmpl-0","object":"chat.completion.chunk","created":0,"model":"m","choices":[{"index":0,"delta":{"content":" word"},"finish_reason":null}]}"#;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// When the server had read a request, and when it sent each token, ns.
struct Sent {
    request_ns: u64,
    tokens_ns: Vec<u64>,
}

fn now_ns() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    u64::try_from(now.tv_sec).unwrap_or_default() * 1_000_000_000
        + u64::try_from(now.tv_nsec).unwrap_or_default()
}

/// Answers each request with the requested number of tokens: up to [`TOKENS`] paced, more at once. Each connection has
/// a thread.
fn serve(listener: &TcpListener, sent: &Sender<Sent>) {
    for connection in listener.incoming().map_while(std::result::Result::ok) {
        let sent = sent.clone();
        std::thread::spawn(move || {
            connection
                .set_nodelay(true)
                .map_err(Into::into)
                .and_then(|()| answer(&connection, &sent))
                .map_err(|error| eprintln!("the server: {error}"))
        });
    }
}

fn answer(connection: &TcpStream, sent: &Sender<Sent>) -> Result<()> {
    let mut reader = BufReader::new(connection);
    let mut writer = connection;
    loop {
        let (mut length, mut line) = (0, String::new());
        let mut is_stream = false;
        while reader.read_line(&mut line)? > 0 && line != "\r\n" {
            is_stream |= line.starts_with("POST");
            if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse()?;
            }
            line.clear();
        }
        if line.is_empty() {
            return Ok(());
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        let request_ns = now_ns();
        if !is_stream {
            writer.write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n")?;
            continue;
        }
        let asked: serde_json::Value = serde_json::from_slice(&body)?;
        let tokens = usize::try_from(asked["max_tokens"].as_u64().unwrap_or(1))?;
        let tokens_ns = stream(&mut writer, tokens)?;
        let _ = sent.send(Sent {
            request_ns,
            tokens_ns,
        });
    }
}

fn stream(to: &mut impl std::io::Write, tokens: usize) -> Result<Vec<u64>> {
    to.write_all(
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n",
    )?;
    let event = |data: &str| format!("{:x}\r\ndata: {data}\n\n\r\n", data.len() + 8);
    let token = event(CHUNK);
    let mut tokens_ns = Vec::with_capacity(tokens);
    for _ in 0..tokens {
        if tokens <= TOKENS {
            std::thread::sleep(PACE);
        }
        tokens_ns.push(now_ns());
        to.write_all(token.as_bytes())?;
    }
    let usage = format!(
        r#"{{"choices":[],"usage":{{"prompt_tokens":50,"completion_tokens":{tokens},"prompt_tokens_details":{{"cached_tokens":0}}}}}}"#
    );
    to.write_all(event(&usage).as_bytes())?;
    to.write_all(event("[DONE]").as_bytes())?;
    to.write_all(b"0\r\n\r\n")?;
    Ok(tokens_ns)
}

#[expect(clippy::print_stdout, reason = "the figures are what it is for")]
fn main() -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let url = format!("http://{}", listener.local_addr()?);
    let (sender, sent) = channel();
    std::thread::spawn(move || serve(&listener, &sender));
    let mut engine = Server::new(Target {
        address: url.parse()?,
        api: Api::Chat,
        manages_models: false,
    })?;
    engine.load(&LoadSpec::new("m"))?;
    sent.recv()?;
    sent.recv()?;

    let (mut late_us, mut first_ms, mut bare_us) = (Vec::new(), Vec::new(), Vec::new());
    let mut bare = TcpStream::connect(url.trim_start_matches("http://"))?;
    for _ in 0..RUNS {
        let (lateness, ttft) = paced(&mut engine, &sent)?;
        late_us.extend(lateness);
        first_ms.push(ttft);
        bare_us.extend(bare_reader(&mut bare, &sent)?);
    }
    let flood_us = flood(&mut engine, &sent)?;

    println!(
        "a token of {} bytes, sent each millisecond; medians, 99th percentiles",
        CHUNK.len()
    );
    let line = |what: &str, values: &mut Vec<f64>, unit: &str| {
        println!(
            "  {what:<44} {:>8.3} {:>8.3} {unit}",
            rank(values, 0.5),
            rank(values, 0.99)
        );
    };
    line("sent to stamped, this client", &mut late_us, "us");
    line("sent to read, a bare socket", &mut bare_us, "us");
    println!(
        "  ratio of the medians {:>31.2}",
        rank(&mut late_us, 0.5) / rank(&mut bare_us, 0.5)
    );
    line(
        "call to request read, and first token stamped",
        &mut first_ms,
        "ms",
    );
    println!("  a stream of {FLOOD} tokens at once: {flood_us:>14.3} us a token");
    let report = |what: &str, value: f64, goal: f64, unit: &str| {
        println!(
            "goal {what}: at most {goal} {unit}: {}",
            if value <= goal { "met" } else { "missed" }
        );
    };
    report("reading the stream, a token", flood_us, GOAL_TOKEN_US, "us");
    report("TTFT", rank(&mut first_ms, 0.5), GOAL_TTFT_MS, "ms");
    Ok(())
}

fn ask(engine: &mut Server, tokens: usize) -> Result<rkllm_bench::inference::Inference> {
    let input = Input::Text("What does it cost to read a stream of server-sent events?".into());
    let inference = engine.infer(&Request::new(input, u32::try_from(tokens)?))?;
    if inference.tokens.len() != tokens {
        return Err(format!("{} tokens of {tokens}", inference.tokens.len()).into());
    }
    Ok(inference)
}

/// The delay of each token's stamp, us, and the client's share of TTFT, ms.
///
/// That share is the time from its call until the server has the request, and from sending the first token until its
/// stamp.
fn paced(engine: &mut Server, sent: &Receiver<Sent>) -> Result<(Vec<f64>, f64)> {
    let inference = ask(engine, TOKENS)?;
    let sent = sent.recv()?;
    let pairs = inference.tokens.iter().zip(&sent.tokens_ns);
    let late: Vec<f64> = pairs
        .map(|(token, sent)| between(*sent, token.at_ns) / 1e3)
        .collect();
    let added = between(inference.call_ns, sent.request_ns) / 1e6 + late[0] / 1e3;
    Ok((late, added))
}

/// The same delays for a client that only reads bytes.
fn bare_reader(socket: &mut TcpStream, sent: &Receiver<Sent>) -> Result<Vec<f64>> {
    let body = format!(r#"{{"max_tokens":{TOKENS}}}"#);
    write!(
        socket,
        "POST / HTTP/1.1\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )?;
    let (mut buffer, mut seen, mut reads) = (vec![0; 1 << 16], 0, Vec::new());
    let one = CHUNK.len();
    let mut all = Vec::new();
    while !all.ends_with(b"0\r\n\r\n") {
        let count = socket.read(&mut buffer)?;
        let at_ns = now_ns();
        all.extend_from_slice(&buffer[..count]);
        // Whole tokens that have come by now.
        let tokens = all
            .windows(one)
            .filter(|bytes| *bytes == CHUNK.as_bytes())
            .count();
        reads.extend(std::iter::repeat_n(at_ns, tokens.saturating_sub(seen)));
        seen = tokens;
        if count == 0 {
            return Err("the server hung up".into());
        }
    }
    let sent = sent.recv()?;
    Ok(reads
        .iter()
        .zip(&sent.tokens_ns)
        .map(|(read, sent)| between(*sent, *read) / 1e3)
        .collect())
}

/// Microseconds a token of a stream that is never waited for.
fn flood(engine: &mut Server, sent: &Receiver<Sent>) -> Result<f64> {
    let inference = ask(engine, FLOOD)?;
    sent.recv()?;
    let first = inference.stream.ok_or("of a server")?.response_ns;
    #[expect(clippy::cast_precision_loss, reason = "a count of tokens")]
    let tokens = FLOOD as f64;
    Ok(between(first, inference.return_ns) / 1e3 / tokens)
}

#[expect(clippy::cast_precision_loss, reason = "nanoseconds of a run")]
fn between(from: u64, to: u64) -> f64 {
    to.saturating_sub(from) as f64
}

fn rank(values: &mut [f64], share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a rank"
    )]
    let index = (share * (values.len() - 1) as f64) as usize;
    values[index]
}
