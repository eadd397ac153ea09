//! Hidden options: cargo passes them to every bench target, or criterion has them and they have no meaning here.

use clap::Args;

/// Accepted so that cargo's own arguments are no error.
#[derive(Debug, Clone, Args)]
#[expect(clippy::struct_excessive_bools, reason = "flags of a command line")]
pub(crate) struct CargoOptions {
    /// Passed by cargo bench
    #[arg(long, hide = true)]
    pub(crate) bench: bool,
    /// A flag of cargo test that has no meaning here, as criterion has it
    #[arg(long, hide = true)]
    pub(crate) nocapture: bool,
    /// As above
    #[arg(long, hide = true)]
    pub(crate) show_output: bool,
    /// As above
    #[arg(long, hide = true)]
    pub(crate) include_ignored: bool,
    /// As criterion has it: nothing is ignored here, so nothing is listed or run
    #[arg(long, hide = true)]
    pub(crate) ignored: bool,
    /// Criterion's, which have no meaning here: answered with what has one
    #[arg(long, hide = true)]
    pub(crate) warm_up_time: Option<String>,
    /// As above
    #[arg(long, hide = true)]
    pub(crate) measurement_time: Option<String>,
}
