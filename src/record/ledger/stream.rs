//! What a server's stream shows: whether the whole prompt was computed, how tokens were counted, whether they were
//! streamed as generated, and how it ended.

use super::verdict::{Mark, Rejection};
use crate::base::json::clip;
use crate::base::number::{Size as _, ms};
use crate::inference::{CountRule, End, Inference, Request, Sampling, Stream, is_same_model};

/// Why a finished stream has no valid answer: the server reported a failure as its end, or none of its fields could be
/// read.
pub(super) fn failure(inference: &Inference) -> Option<String> {
    let stream = inference.stream.as_ref()?;
    let reason = stream.finish_reason.as_deref();
    if let Some(reason) = reason.filter(|reason| End::of(reason) == End::Failure) {
        return Some(format!(
            "the server ended the answer with the finish_reason {:?} after {} chunks with text",
            clip(reason),
            inference.tokens.len()
        ));
    }
    let unread = stream.unread.as_ref().filter(|_| inference.tokens.is_empty())?;
    Some(format!(
        "no text came in a field that is read; {} chunks held {}",
        unread.chunks,
        unread.fields.join(", ")
    ))
}

pub(super) fn judge(
    request: &Request,
    prompt_tokens: Option<u32>,
    model: &str,
    inference: &Inference,
    marks: &mut Vec<Mark>,
) -> Result<(), Rejection> {
    let Some(stream) = &inference.stream else {
        return Ok(());
    };
    let cached = stream.usage.and_then(|usage| usage.cached_tokens).unwrap_or(0);
    if cached > 0 {
        let prompt = prompt_tokens.unwrap_or(cached);
        return Err(Rejection::WarmPrefill {
            computed: i32::try_from(prompt.saturating_sub(cached)).unwrap_or(i32::MAX),
            prompt,
        });
    }
    marks.extend(ending(request, stream, inference)?);
    marks.extend(counting(stream, inference));
    if !inference.is_streamed() {
        marks.push(Mark::NotStreamed);
    }
    if inference.is_first_chunk_stale() {
        let [first, second] = [0, 1].map(|index| inference.tokens[index].at_ns);
        marks.push(Mark::StaleFirstChunk {
            first_ms: ms(first - inference.call_ns),
            gap_ms: ms(second - first),
        });
    }
    if let Some(name) = stream.model.as_ref().filter(|name| !is_same_model(name, model)) {
        marks.push(Mark::AnsweredAs { name: name.clone() });
    }
    let fields = sampling_left_out(request.sampling, &stream.left_out);
    if !fields.is_empty() {
        marks.push(Mark::LeftOut { fields });
    }
    Ok(())
}

/// Marks an odd end. `[DONE]` alone is an end. An unknown `finish_reason` is accepted if all tokens had come.
fn ending(request: &Request, stream: &Stream, inference: &Inference) -> Result<Option<Mark>, Rejection> {
    let Some(reason) = &stream.finish_reason else {
        return Ok(Some(Mark::NoFinishReason));
    };
    if End::of(reason).is_known() {
        return Ok(None);
    }
    let (reason, asked) = (clip(reason), request.max_new_tokens);
    let got = inference.token_count().tokens;
    if got.is_some_and(|got| got >= asked.size()) {
        return Ok(Some(Mark::UnknownEnd { reason }));
    }
    let got = got.unwrap_or(inference.tokens.len());
    Err(Rejection::UnknownEnd { reason, asked, got })
}

/// Marks an odd token count.
fn counting(stream: &Stream, inference: &Inference) -> Option<Mark> {
    let (rule, chunks) = (inference.token_count().rule, inference.tokens.len());
    let usage = stream.usage.and_then(|usage| usage.completion_tokens);
    match &stream.unread {
        _ if rule.is_certain() => None,
        Some(unread) if rule == CountRule::UnreadDeltas => Some(Mark::UnreadDeltas {
            chunks: unread.chunks,
            fields: unread.fields.clone(),
            with_text: chunks,
            usage,
        }),
        _ => Some(Mark::CountedBy { rule, usage, chunks }),
    }
}

/// The left-out fields whose value would have mattered. A temperature of 0 or a `top_k` of 1 makes an answer greedy,
/// and then no other field matters.
fn sampling_left_out(sampling: Sampling, left_out: &[String]) -> Vec<String> {
    let is_out = |field: &str| left_out.iter().any(|out| out == field);
    let is_greedy = sampling.top_k == 1;
    if is_greedy && !(is_out("temperature") && is_out("top_k")) {
        return Vec::new();
    }
    let fields = [
        "temperature",
        "top_k",
        "top_p",
        "repeat_penalty",
        "frequency_penalty",
        "presence_penalty",
    ];
    let fields = fields.into_iter().filter(|field| is_out(field));
    let matters = |field: &&str| match *field {
        "top_p" => sampling.top_p < 1.0,
        "repeat_penalty" => (sampling.repeat_penalty - 1.0).abs() > f32::EPSILON,
        "frequency_penalty" => sampling.frequency_penalty != 0.0,
        "presence_penalty" => sampling.presence_penalty != 0.0,
        _ => true,
    };
    fields.filter(matters).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_matters_where_it_would_have_changed_the_answer() {
        let out =
            |fields: &[&str]| -> Vec<String> { fields.iter().map(|field| (*field).to_owned()).collect() };
        let drawn = Sampling {
            top_k: 40,
            ..Sampling::GREEDY
        };
        for (sampling, left_out, expected) in [
            (Sampling::GREEDY, &["temperature"][..], &[][..]),
            (Sampling::GREEDY, &["top_k", "repeat_penalty"], &[]),
            (
                Sampling::GREEDY,
                &["top_k", "temperature", "ignore_eos"],
                &["temperature", "top_k"],
            ),
            (drawn, &["top_k", "stream_options"], &["top_k"]),
            (drawn, &[], &[]),
        ] {
            assert_eq!(
                sampling_left_out(sampling, &out(left_out)),
                out(expected),
                "{left_out:?}"
            );
        }
    }
}
