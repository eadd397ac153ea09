//! Hidden options: cargo passes them to every bench target, or criterion has them and they have no meaning here.

use clap::Args;

/// Accepted so that cargo's own arguments are no error.
#[derive(Debug, Clone, Args)]
#[expect(clippy::struct_excessive_bools, reason = "flags of a command line")]
pub(crate) struct CargoOptions {
    /// Passed by cargo bench
    #[arg(long, hide = true)]
    pub(crate) bench: bool,
    /// A flag of cargo test without effect here, as in criterion
    #[arg(long, hide = true)]
    pub(crate) nocapture: bool,
    /// As above
    #[arg(long, hide = true)]
    pub(crate) show_output: bool,
    /// As above
    #[arg(long, hide = true)]
    pub(crate) include_ignored: bool,
    /// As in criterion: no benchmark is ignored, so nothing is listed or run
    #[arg(long, hide = true)]
    pub(crate) ignored: bool,
    /// An option of criterion without effect here; the error names the option to use instead
    #[arg(long, hide = true)]
    pub(crate) warm_up_time: Option<String>,
    /// As above
    #[arg(long, hide = true)]
    pub(crate) measurement_time: Option<String>,
}
