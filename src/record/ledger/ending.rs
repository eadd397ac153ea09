//! How a run ended.

use super::stream;
use super::verdict::Rejection;
use crate::inference::{Finish, Inference, Request};

/// Rejects a run that did not finish.
pub(super) fn judge(request: &Request, inference: &Inference) -> Result<(), Rejection> {
    let tokens = inference.tokens.len();
    if inference.aborted {
        return Err(Rejection::DeadlinePassed {
            deadline_s: request.deadline.as_secs(),
            tokens,
        });
    }
    if let Some(reason) = &inference.refusal {
        return Err(Rejection::RunFailed {
            reason: reason.clone(),
        });
    }
    if let Some(reason) = stream::failure(inference) {
        return Err(Rejection::RunFailed { reason });
    }
    match inference.finish {
        Finish::Error => Err(Rejection::RunFailed {
            reason: "the runtime reported an error".into(),
        }),
        Finish::Lost if inference.stream.is_some() => Err(Rejection::StreamCut { tokens }),
        Finish::Lost => Err(Rejection::LostFinish { tokens }),
        Finish::Finished if tokens == 0 => Err(Rejection::NoTokens),
        Finish::Finished => Ok(()),
    }
}
