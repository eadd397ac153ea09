//! Loads a model, runs its own suite, and reads the results.
//!
//!     cargo run --release -- [MODEL]      a model file, or builtin:tiny

use std::path::Path;

use rkllm_bench::prompts::Suite;
use rkllm_bench::{Figures, Run, engine, models};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // This program is its own worker. The runtime runs in another process, so that a crash costs only one sample.
    if engine::serve_if_worker().is_some() {
        return Ok(());
    }
    let home = Path::new(env!("CARGO_MANIFEST_DIR"));
    let wanted = std::env::args().nth(1).unwrap_or_else(|| "builtin:tiny".into());
    let models = if Path::new(&wanted).exists() {
        models::select(Some(wanted.as_ref()), home, &[])?
    } else {
        models::select(None, home, &[wanted])?
    };
    let mut run = Run::new(Suite::from_file(&home.join("mine.json"), "mine")?, models);
    run.parameters.in_process = false;

    let record = run.record()?;
    for model in &record.models {
        if let Some(failure) = &model.load_failure {
            println!("{}: {failure}", model.name);
        }
        for prompt in &model.prompts {
            let figures = Figures::of(prompt);
            println!(
                "{} {}: first token after {:.1} ms, prefill {:.1} tok/s, decode {:.1} tok/s ({} samples)",
                model.name,
                prompt.id,
                figures.ttft_ms.unwrap_or(f64::NAN),
                figures.prefill_tok_per_s.unwrap_or(f64::NAN),
                figures.decode_tok_per_s.unwrap_or(f64::NAN),
                prompt.samples.len(),
            );
        }
    }
    println!("{}", record.faults());
    Ok(())
}
