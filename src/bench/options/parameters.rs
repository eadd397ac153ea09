//! The parameters of a run from the options, and the combinations of options that are rejected.

use super::{Mode, Options};
use crate::base::IS_HOST;
use crate::base::error::{Error, Result};
use crate::machine::board;
use crate::measure::run::default_threads;
use crate::record::phase::{MIN_SAMPLES, QUICK_SAMPLES};
use crate::record::{MOST_SAMPLES, Parameters};

/// cargo-criterion sets this variable to its port. It then stores and shows the results instead of criterion.
pub(crate) const PORT_VARIABLE: &str = "CARGO_CRITERION_PORT";

impl Options {
    /// The parameters of the run, completed with the machine's defaults.
    ///
    /// # Errors
    /// [`Error::BadParameter`] for values that the machine or criterion cannot handle.
    pub(crate) fn parameters(&self) -> Result<Parameters> {
        self.refuse_meaningless()?;
        let test = self.mode() == Mode::Test;
        let samples = match (test, self.criterion.quick) {
            (true, _) => 1,
            (false, true) => QUICK_SAMPLES,
            (false, false) => self.criterion.sample_size,
        };
        Ok(Parameters {
            max_context: self.run.max_context,
            threads: self.runtime_threads()?,
            cpu_mask: self.run.cpu_mask,
            npu_cores: self.run.npu_cores,
            embed_flash: self.run.embed_flash,
            base_domain_id: self.run.base_domain_id,
            settle_s: self.run.settle.map(|bound| bound.as_secs().max(1)),
            timeout_s: self.run.timeout,
            load_timeout_s: self.run.load_timeout,
            samples,
            warm_up: usize::from(!test),
            in_process: self.run.in_process,
            strict: self.run.strict,
            server: None,
        })
    }

    fn refuse_meaningless(&self) -> Result<()> {
        self.refuse_number_of_samples()?;
        self.refuse_results_of_a_mere_record()?;
        self.refuse_what_criterion_would()?;
        if self.cargo.warm_up_time.is_some() || self.cargo.measurement_time.is_some() {
            return Err(Error::BadParameter(
                "--warm-up-time, --measurement-time: a sample is one inference here, however long it takes; their number \
                 is --sample-size, after one inference of warm-up"
                    .into(),
            ));
        }
        self.refuse_what_the_host_runtime_ignores()
    }

    /// Rejects options without effect on the host runtime, because a record must not claim them.
    fn refuse_what_the_host_runtime_ignores(&self) -> Result<()> {
        if self.server.url.is_some() {
            return Ok(());
        }
        let why = if self.run.npu_cores.is_some() {
            "--npu-cores: this program runs the host runtime, which uses no NPU; on the CPU the equal is --threads"
        } else if self.run.base_domain_id.is_some() {
            "--base-domain-id: this program runs the host runtime, which uses no memory of an NPU; leave it out"
        } else if self.run.embed_flash.is_some() {
            "--embed-flash: this program runs the host runtime, which maps the model's file in any case; leave it out"
        } else {
            return Ok(());
        };
        if IS_HOST {
            return Err(Error::BadParameter(why.into()));
        }
        Ok(())
    }

    fn refuse_number_of_samples(&self) -> Result<()> {
        let (least, whose) = if self.records_only() {
            (1, "a record")
        } else {
            (MIN_SAMPLES, "criterion")
        };
        if self.criterion.sample_size > MOST_SAMPLES {
            return Err(Error::BadParameter(format!(
                "--sample-size {}: at most {MOST_SAMPLES} are taken",
                self.criterion.sample_size
            )));
        }
        if self.criterion.sample_size >= least {
            return Ok(());
        }
        Err(Error::BadParameter(format!(
            "--sample-size {}: {whose} needs at least {least}; --quick takes {QUICK_SAMPLES}, --test 1, and --record-only \
             any number for the record alone",
            self.criterion.sample_size
        )))
    }

    /// Rejects baselines with `--record-only`, because criterion gets nothing to save or compare. clap's own conflict
    /// message would not name the variable.
    fn refuse_results_of_a_mere_record(&self) -> Result<()> {
        let baselines = [
            ("--save-baseline", &self.criterion.save_baseline),
            ("--baseline", &self.criterion.baseline),
            ("--baseline-lenient", &self.criterion.baseline_lenient),
        ];
        match baselines.iter().find(|(_, name)| name.is_some()) {
            Some((flag, _)) if self.records_only() => Err(Error::BadParameter(format!(
                "{flag} with --record-only (or RKLLM_BENCH_RECORD_ONLY): criterion keeps the baselines, and it gets nothing; \
                 leave one of the two out"
            ))),
            _ => Ok(()),
        }
    }

    /// Threads of the runtime: the requested number, else one for each core of the mask, else the default.
    fn runtime_threads(&self) -> Result<Option<u8>> {
        let cores = board::cores();
        let of_mask = self
            .run
            .cpu_mask
            .and_then(|mask| u8::try_from(mask.count_ones()).ok());
        match self.run.threads.or(of_mask) {
            Some(threads) if usize::from(threads) > cores => Err(Error::BadParameter(format!(
                "{threads} threads (--threads, --cpu-mask): this process may use {cores} cores, and threads that share \
                 one make decode many times slower"
            ))),
            Some(threads) => Ok(Some(threads)),
            None => Ok(default_threads()),
        }
    }

    /// Rejects what criterion would reject after the measurement: values that depend on each other or on the machine.
    fn refuse_what_criterion_would(&self) -> Result<()> {
        if self.criterion.plotting_backend.as_deref() == Some("gnuplot") && criterion_plot::version().is_err()
        {
            return Err(Error::BadParameter(
                "--plotting-backend gnuplot: no program gnuplot can be run; install it, or leave the option out".into(),
            ));
        }
        let saves = self
            .criterion
            .save_baseline
            .as_ref()
            .filter(|name| *name != "base");
        let baselines = [
            ("--save-baseline", saves),
            ("--baseline", self.criterion.baseline.as_ref()),
            ("--baseline-lenient", self.criterion.baseline_lenient.as_ref()),
        ];
        let measures = matches!(self.mode(), Mode::Bench | Mode::LoadBaseline);
        match baselines.iter().find(|(_, name)| name.is_some()) {
            Some((flag, _)) if measures && std::env::var_os(PORT_VARIABLE).is_some() => {
                Err(Error::BadParameter(format!(
                    "{flag} under cargo-criterion ({PORT_VARIABLE}): it keeps the results itself and knows no baselines; use cargo \
                 bench"
                )))
            }
            _ => Ok(()),
        }
    }
}
