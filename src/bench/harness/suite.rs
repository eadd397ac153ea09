//! The suite of a bench target, as the options ask for it.

use std::path::Path;

use crate::base::console::say;
use crate::base::error::Result;
use crate::base::paths;
use crate::bench::options::{Mode, Options};
use crate::inputs::prompts::{Suite, Sweep};

/// The requested suite, with the numbers of tokens that the command line sets.
pub(super) fn suite_of(options: &Options, suite: &str, base: &Path) -> Result<Suite> {
    let mut suite = match &options.run.prompts {
        Some(file) => Suite::from_file(&paths::given(file), suite)?,
        None if suite == "table" => Suite::table(&options.sweep()),
        None => Suite::find(suite, base)?,
    };
    // A sweep sets its own numbers of tokens, except in a test.
    let own_lengths = suite.sweep && options.mode() != Mode::Test;
    if let Some(tokens) = options.new_tokens_of_all().filter(|_| !own_lengths) {
        suite.set_max_new_tokens(tokens);
    }
    if own_lengths && options.run.max_new_tokens.is_some() {
        say(format_args!(
            "{}: --max-new-tokens has no effect here; --new-tokens gives a sweep its lengths",
            suite.name
        ));
    }
    if !suite.sweep && options.sweep() != Sweep::default() {
        say(format_args!(
            "{}: --prompt-tokens, --new-tokens and --depth are for the suite table and have no effect here",
            suite.name
        ));
    }
    Ok(suite)
}
