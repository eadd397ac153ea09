//! Each law of the ledger at its border: the last value that passes, and the first that does not.

use super::{Ledger, Mark, Rejection};
use crate::inference::{
    CacheSetUp, CacheStart, CountRule, Inference, Input, LoadSpec, PrefixSource, Request, RuntimeStats,
    Sampling, Stream, Unread, Usage,
};
use crate::runtime::engine::scripted;

const MS: u64 = 1_000_000;

/// `count` tokens: the first after 100 ms, one each 10 ms then. The runtime's statistics agree with these stamps.
fn run_of(count: u64) -> Inference {
    let stamps: Vec<u64> = (0..count).map(|token| (100 + 10 * token) * MS).collect();
    let mut run = scripted::inference(0, &stamps, (90 + 10 * count) * MS + MS / 10);
    run.stats = Some(RuntimeStats {
        prefill_time_ms: 99.5,
        prefill_tokens: 12,
        generate_time_ms: 10.0 * f32::from(u8::try_from(count - 1).expect("few tokens")),
        generate_tokens: i32::try_from(count).expect("few tokens") - 1,
        memory_usage_mb: 1.0,
    });
    run
}

fn with_stats(change: impl FnOnce(&mut RuntimeStats)) -> Inference {
    let mut run = run_of(8);
    change(run.stats.as_mut().expect("statistics"));
    run
}

/// What the ledger says: the names of the marks, or the law that was broken with its values.
fn said(
    ledger: &mut Ledger,
    request: &Request,
    known: Option<u32>,
    run: &Inference,
) -> Result<Vec<Mark>, Rejection> {
    ledger.judge(request, known, run).map(|accepted| accepted.marks)
}

fn ledger() -> Ledger {
    Ledger::new(scripted::ABILITIES, &scripted::spec(8))
}

fn judged(run: &Inference) -> Result<Vec<Mark>, Rejection> {
    said(&mut ledger(), &scripted::request(8), Some(12), run)
}

#[test]
fn statistics_may_exceed_our_clock_by_the_tolerance_and_no_more() {
    // TTFT is 100 ms, so 5 % are 5 ms. The numbers are exact in binary.
    let prefill = judged(&with_stats(|stats| {
        stats.prefill_time_ms = 105.25;
        stats.generate_time_ms = 1.0;
    }));
    assert_eq!(prefill, Err(overrun("prefill", 105.25, 100.0)));
    let at_border = judged(&with_stats(|stats| {
        stats.prefill_time_ms = 105.0;
        stats.generate_time_ms = 66.0;
    }));
    assert_eq!(at_border, Ok(vec![]));
}

fn overrun(what: &str, reported_ms: f64, measured_ms: f64) -> Rejection {
    Rejection::TimeOverrun {
        what: what.into(),
        reported_ms,
        measured_ms,
    }
}

#[test]
fn time_that_no_statistics_explain_is_marked_beyond_the_tolerance() {
    // Call to return is 256 ms, and 5 % of that are 12.8 ms.
    let with = |unexplained: f32| {
        let mut run = with_stats(|stats| stats.prefill_time_ms = 186.0 - unexplained);
        run.return_ns = 256 * MS;
        for token in &mut run.tokens {
            token.at_ns += 86 * MS;
        }
        judged(&run)
    };
    assert_eq!(with(12.75), Ok(vec![]));
    assert_eq!(with(13.0), Ok(vec![Mark::UnexplainedTime { ms: 13.0 }]));
}

#[test]
fn zero_is_a_time_where_nothing_was_decoded_only() {
    let impossible = |field: &str, value: &str, tokens| {
        Err(Rejection::ImpossibleTime {
            field: field.into(),
            value: value.into(),
            tokens,
        })
    };
    // Two tokens came, whatever the runtime counts.
    let mut two = run_of(2);
    let stats = two.stats.as_mut().expect("statistics");
    stats.generate_time_ms = 0.0;
    let asked = scripted::request(2);
    assert_eq!(
        said(&mut ledger(), &asked, Some(12), &two),
        impossible("generate_time_ms", "0", 1)
    );
    // One token came, and the runtime counts two, or one.
    for (counted, expected) in [(2, impossible("generate_time_ms", "0", 2)), (1, Ok(vec![]))] {
        let mut one = run_of(1);
        one.stats.as_mut().expect("statistics").generate_tokens = counted;
        assert_eq!(
            said(&mut ledger(), &scripted::request(1), Some(12), &one),
            expected
        );
    }
    assert_eq!(
        judged(&with_stats(|stats| stats.generate_time_ms = -0.5)),
        impossible("generate_time_ms", "-0.5", 7)
    );
    assert_eq!(
        judged(&with_stats(|stats| stats.prefill_time_ms = 0.0)),
        impossible("prefill_time_ms", "0", 12)
    );
}

#[test]
fn statistics_of_the_run_before_are_those_with_both_times_equal() {
    let after = |change: fn(&mut RuntimeStats)| {
        let mut ledger = ledger();
        let request = scripted::request(8);
        said(&mut ledger, &request, Some(12), &run_of(8)).expect("clean");
        said(&mut ledger, &request, Some(12), &with_stats(change))
    };
    assert_eq!(after(|_| ()), Err(Rejection::StaleStats));
    assert_eq!(after(|stats| stats.prefill_time_ms += 0.5), Ok(vec![]));
    assert_eq!(after(|stats| stats.generate_time_ms -= 0.5), Ok(vec![]));
}

#[test]
fn a_prefill_of_ids_behind_a_turn_may_have_one_token_more() {
    let ids = Input::Tokens((0..12).collect());
    let computed = |depth: u32, computed: i32| {
        let mut run = with_stats(|stats| stats.prefill_tokens = computed);
        run.kv_cache_before = Some(depth);
        let request = Request {
            depth,
            ..Request::new(ids.clone(), 8)
        };
        said(&mut ledger(), &request, None, &run)
    };
    let warm = |computed| Err(Rejection::WarmPrefill { computed, prompt: 12 });
    assert_eq!(computed(0, 12), Ok(vec![]));
    assert_eq!(computed(0, 11), warm(11));
    assert_eq!(computed(0, 13), warm(13));
    assert_eq!(computed(5, 11), warm(11));
    assert_eq!(computed(5, 12), Ok(vec![]));
    assert_eq!(computed(5, 13), Ok(vec![]));
    assert_eq!(computed(5, 14), warm(14));
}

#[test]
fn the_cache_holds_the_depth_or_one_position_more() {
    let held = |held: Option<u32>| {
        let mut run = run_of(8);
        run.kv_cache_before = held;
        let request = Request {
            depth: 20,
            ..scripted::request(8)
        };
        said(&mut ledger(), &request, Some(12), &run)
    };
    let other = |held| Err(Rejection::Depth { depth: 20, held });
    assert_eq!(held(Some(19)), other(19));
    assert_eq!(held(Some(20)), Ok(vec![]));
    assert_eq!(held(Some(21)), Ok(vec![]));
    assert_eq!(held(Some(22)), other(22));
    assert_eq!(held(None), Ok(vec![Mark::DepthUnproven]));
}

#[test]
fn the_context_is_full_with_one_place_left() {
    // A context of 64: depth, 12 tokens of the prompt and 5 of the answer.
    let at = |depth: u32| {
        let mut run = run_of(5);
        run.kv_cache_before = Some(depth);
        let request = Request {
            depth,
            ..scripted::request(8)
        };
        said(&mut ledger(), &request, Some(12), &run)
    };
    assert_eq!(at(45), Err(Rejection::TokenCount { asked: 8, got: 5 }));
    assert_eq!(
        at(46),
        Err(Rejection::ContextFull {
            asked: 8,
            got: 5,
            context: 64,
            held: 63
        })
    );
}

#[test]
fn each_way_of_counting_stays_the_same_whether_the_limit_or_the_model_ended_the_run() {
    let spec = LoadSpec {
        ignore_eos: false,
        ..scripted::spec(8)
    };
    let mut ledger = Ledger::new(scripted::ABILITIES, &spec);
    let mut counted = |tokens: u64, reported: i32| {
        let mut run = run_of(tokens);
        let stats = run.stats.as_mut().expect("statistics");
        stats.generate_tokens = reported;
        // Another time for each run, so that none is stale.
        stats.prefill_time_ms -= f32::from(u8::try_from(reported).expect("few")) / 4.0;
        let marks = said(&mut ledger, &scripted::request(8), Some(12), &run).expect("accepted");
        marks
            .iter()
            .any(|mark| matches!(mark, Mark::GenerateTokens { .. }))
    };
    // Runs up to the limit count one less, runs that the model ended count all: neither disturbs the other.
    assert!(!counted(8, 7));
    assert!(!counted(5, 5));
    assert!(counted(8, 8));
    assert!(counted(5, 4));
    assert!(!counted(4, 4));
}

#[test]
fn what_is_odd_about_callbacks_is_counted_from_one_on() {
    let mut run = run_of(8);
    run.split_characters = 1;
    run.other_thread = 1;
    assert_eq!(
        judged(&run),
        Ok(vec![
            Mark::SplitText { tokens: 1 },
            Mark::OtherThread { callbacks: 1 }
        ])
    );
}

#[test]
fn a_repeated_callback_has_the_id_before_within_a_fiftieth_of_the_median_gap() {
    // Each token has an id of its own except the third, whose gap is set; the median of the others is 10 ms, a fiftieth of it 200 us.
    let with_gap = |gap_ns: u64| {
        let mut run = run_of(8);
        for (index, token) in run.tokens.iter_mut().enumerate() {
            token.id = i32::try_from(index).expect("few");
        }
        run.tokens[2].id = run.tokens[1].id;
        run.tokens[2].at_ns = run.tokens[1].at_ns + gap_ns;
        judged(&run)
    };
    assert_eq!(
        with_gap(199_999),
        Ok(vec![Mark::RepeatedCallback { callbacks: 1 }])
    );
    assert_eq!(with_gap(200_000), Ok(vec![]));
    // With two gaps the median is the longer one.
    let mut few = run_of(3);
    few.tokens[1].at_ns = few.tokens[0].at_ns + MS / 10;
    let marks = said(&mut ledger(), &scripted::request(3), Some(12), &few);
    assert_eq!(marks, Ok(vec![Mark::RepeatedCallback { callbacks: 1 }]));
}

// Starts that are not cold.

const PREFIX: u32 = 8;

/// A prompt of 12 ids behind a prefix of 8, and a run that computes 4.
fn behind(source: PrefixSource) -> (Request, Inference) {
    let prefix = Input::Tokens((0..8).collect());
    let request = Request {
        cache_start: match source {
            PrefixSource::Run => CacheStart::WarmPrefix(prefix),
            PrefixSource::File => CacheStart::RestoredCache(prefix),
        },
        ..Request::new(Input::Tokens((0..12).collect()), 8)
    };
    let mut run = with_stats(|stats| stats.prefill_tokens = 4);
    run.kv_cache_before = Some(PREFIX);
    run.set_up = Some(CacheSetUp {
        source,
        prompt_tokens: 12,
        prefix_tokens: PREFIX,
        cleared_to: Some(0),
    });
    (request, run)
}

fn started(
    source: PrefixSource,
    change: impl FnOnce(&mut Request, &mut Inference),
) -> Result<Vec<Mark>, Rejection> {
    let (mut request, mut run) = behind(source);
    change(&mut request, &mut run);
    said(&mut ledger(), &request, None, &run)
}

fn set_up(run: &mut Inference) -> &mut CacheSetUp {
    run.set_up.as_mut().expect("set up")
}

#[test]
fn a_start_is_what_its_label_says() {
    use PrefixSource::{File, Run};
    assert_eq!(started(Run, |_, _| ()), Ok(vec![]));
    assert_eq!(started(File, |_, _| ()), Ok(vec![]));
    assert_eq!(
        started(Run, |_, run| set_up(run).source = File),
        Err(Rejection::OtherStart {
            label: "warm_prefix".into(),
            was: "restored_cache".into()
        })
    );
    assert_eq!(
        started(Run, |_, run| run.set_up = None),
        Err(Rejection::OtherStart {
            label: "warm_prefix".into(),
            was: "cold".into()
        })
    );
    assert_eq!(
        started(Run, |request, _| request.input = Input::Tokens((1..13).collect())),
        Err(Rejection::NoPrefix {
            label: "warm_prefix".into()
        })
    );
}

#[test]
fn the_runs_before_a_start_were_cold_themselves() {
    use PrefixSource::Run;
    let label = || "warm_prefix".to_owned();
    assert_eq!(
        started(Run, |_, run| set_up(run).cleared_to = Some(3)),
        Err(Rejection::HeldOther {
            label: label(),
            held: 3,
            expected: 0
        })
    );
    assert_eq!(
        started(Run, |_, run| set_up(run).cleared_to = None),
        Err(Rejection::UnprovenStart { label: label() })
    );
    assert_eq!(
        started(Run, |_, run| set_up(run).prompt_tokens = 11),
        Err(Rejection::WarmPrefill {
            computed: 11,
            prompt: 12
        })
    );
    assert_eq!(
        started(Run, |_, run| set_up(run).prefix_tokens = 7),
        Err(Rejection::WarmPrefill {
            computed: 7,
            prompt: 8
        })
    );
}

#[test]
fn the_cache_holds_the_prefix_before_the_run() {
    use PrefixSource::{File, Run};
    let held = |source, held: Option<u32>| started(source, |_, run| run.kv_cache_before = held);
    let other = |label: &str, held, expected| {
        Err(Rejection::HeldOther {
            label: label.into(),
            held,
            expected,
        })
    };
    assert_eq!(held(Run, Some(7)), other("warm_prefix", 7, 8));
    assert_eq!(held(Run, Some(9)), Ok(vec![]));
    assert_eq!(held(Run, Some(10)), other("warm_prefix", 10, 8));
    assert_eq!(held(Run, Some(0)), other("warm_prefix", 0, 8));
    assert_eq!(held(File, Some(0)), Ok(vec![]));
    assert_eq!(held(File, Some(3)), other("restored_cache", 3, 8));
    assert_eq!(
        held(Run, None),
        Err(Rejection::UnprovenStart {
            label: "warm_prefix".into()
        })
    );
}

#[test]
fn a_runtime_restores_a_file_at_one_time_and_keeps_to_it() {
    let after = |first: u32, second: u32| {
        let mut ledger = ledger();
        let (request, mut run) = behind(PrefixSource::File);
        run.kv_cache_before = Some(first);
        said(&mut ledger, &request, None, &run).expect("the first shows the way");
        run.kv_cache_before = Some(second);
        run.stats.as_mut().expect("statistics").prefill_time_ms -= 1.0;
        said(&mut ledger, &request, None, &run)
    };
    let other = |held, expected| {
        Err(Rejection::HeldOther {
            label: "restored_cache".into(),
            held,
            expected,
        })
    };
    assert_eq!(after(8, 9), Ok(vec![]));
    assert_eq!(after(8, 0), other(0, 8));
    assert_eq!(after(0, 0), Ok(vec![]));
    assert_eq!(after(0, 8), other(8, 0));
}

#[test]
fn a_start_leaves_the_rest_of_the_prompt_to_compute() {
    use PrefixSource::Run;
    let other = |computed| {
        Err(Rejection::ComputedOther {
            label: "warm_prefix".into(),
            computed,
            expected: 4,
            prompt: 12,
            prefix: 8,
        })
    };
    let computed = |computed: i32| {
        started(Run, |_, run| {
            run.stats.as_mut().expect("statistics").prefill_tokens = computed;
        })
    };
    assert_eq!(computed(3), other(3));
    assert_eq!(computed(5), other(5));
    let unproven = Err(Rejection::UnprovenStart {
        label: "warm_prefix".into(),
    });
    assert_eq!(started(Run, |_, run| run.stats = None), unproven);
    let zeroes = |stats: &mut RuntimeStats| {
        *stats = RuntimeStats {
            prefill_time_ms: 0.0,
            prefill_tokens: 0,
            generate_time_ms: 0.0,
            generate_tokens: 0,
            memory_usage_mb: 0.0,
        };
    };
    assert_eq!(
        started(Run, |_, run| zeroes(run.stats.as_mut().expect("statistics"))),
        unproven
    );
}

#[test]
fn a_cold_text_of_unknown_length_needs_an_empty_cache() {
    let held = |held: u32, known: Option<u32>, depth: u32| {
        let mut run = run_of(8);
        run.kv_cache_before = Some(held);
        let request = Request {
            depth,
            ..scripted::request(8)
        };
        said(&mut ledger(), &request, known, &run)
    };
    assert_eq!(held(0, None, 0), Ok(vec![]));
    assert_eq!(
        held(1, None, 0),
        Err(Rejection::HeldOther {
            label: "cold".into(),
            held: 1,
            expected: 0
        })
    );
    assert_eq!(
        held(1, Some(12), 0),
        Ok(vec![Mark::CacheNotEmpty { positions: 1 }])
    );
    assert_eq!(held(5, None, 5), Ok(vec![]));
}

// Servers.

/// A request, and an answer of 8 chunks in a stream that says all it can.
fn answered() -> (Request, Inference) {
    let mut run = run_of(8);
    run.stats = None;
    run.stream = Some(Stream {
        usage: Some(Usage {
            prompt_tokens: Some(12),
            completion_tokens: Some(8),
            cached_tokens: Some(0),
        }),
        finish_reason: Some("length".into()),
        model: Some("m".into()),
        ..Stream::default()
    });
    (scripted::request(8), run)
}

fn streamed(change: impl FnOnce(&mut Request, &mut Inference)) -> Result<Vec<Mark>, Rejection> {
    let (mut request, mut run) = answered();
    change(&mut request, &mut run);
    said(&mut ledger(), &request, None, &run)
}

fn stream(run: &mut Inference) -> &mut Stream {
    run.stream.as_mut().expect("a stream")
}

fn usage(run: &mut Inference) -> &mut Usage {
    stream(run).usage.as_mut().expect("usage")
}

#[test]
fn a_stream_that_says_all_it_can_has_no_mark() {
    assert_eq!(streamed(|_, _| ()), Ok(vec![]));
    // That nothing was cached is what stands in for statistics.
    assert_eq!(
        streamed(|_, run| usage(run).cached_tokens = None),
        Ok(vec![Mark::NoStats])
    );
    assert_eq!(
        streamed(|_, run| usage(run).cached_tokens = Some(1)),
        Err(Rejection::WarmPrefill {
            computed: 11,
            prompt: 12
        })
    );
}

#[test]
fn the_end_of_a_stream_is_a_known_word_or_is_marked() {
    let reason = |word: Option<&str>| streamed(|_, run| stream(run).finish_reason = word.map(str::to_owned));
    assert_eq!(reason(None), Ok(vec![Mark::NoFinishReason]));
    assert_eq!(
        reason(Some("full moon")),
        Ok(vec![Mark::UnknownEnd {
            reason: "full moon".into()
        }])
    );
    assert!(matches!(
        reason(Some("content_filter")),
        Err(Rejection::RunFailed { .. })
    ));
    let (mut request, mut run) = answered();
    request.max_new_tokens = 9;
    stream(&mut run).finish_reason = Some("full moon".into());
    // Where the model may end an answer before the limit, its word has to be known.
    let may_end = LoadSpec {
        ignore_eos: false,
        ..scripted::spec(9)
    };
    let early = said(
        &mut Ledger::new(scripted::ABILITIES, &may_end),
        &request,
        None,
        &run,
    );
    assert_eq!(
        early,
        Err(Rejection::UnknownEnd {
            reason: "full moon".into(),
            asked: 9,
            got: 8
        })
    );
    let cut = streamed(|_, run| run.finish = crate::inference::Finish::Lost);
    assert_eq!(cut, Err(Rejection::StreamCut { tokens: 8 }));
}

#[test]
fn a_longer_answer_is_marked_for_a_server_and_refused_of_a_runtime() {
    let longer = streamed(|request, _| request.max_new_tokens = 7);
    assert_eq!(longer, Ok(vec![Mark::LongerThanAsked { asked: 7, got: 8 }]));
    let of_runtime = said(&mut ledger(), &scripted::request(7), Some(12), &run_of(8));
    assert_eq!(of_runtime, Err(Rejection::TokenCount { asked: 7, got: 8 }));
}

#[test]
fn how_tokens_were_counted_is_marked_where_two_counts_do_not_agree() {
    let uncertain = streamed(|_, run| usage(run).completion_tokens = None);
    assert_eq!(
        uncertain,
        Ok(vec![Mark::CountedBy {
            rule: CountRule::ChunksNoUsage,
            usage: None,
            chunks: 8
        }])
    );
    let unread = Unread {
        chunks: 2,
        fields: vec!["thinking".into()],
    };
    let with_unread = streamed(|_, run| {
        usage(run).completion_tokens = Some(3);
        stream(run).unread = Some(unread.clone());
    });
    assert_eq!(
        with_unread,
        Ok(vec![Mark::UnreadDeltas {
            chunks: 2,
            fields: vec!["thinking".into()],
            with_text: 8,
            usage: Some(3)
        }])
    );
    // Unread fields matter no more where both counts agree.
    assert_eq!(
        streamed(|_, run| stream(run).unread = Some(unread.clone())),
        Ok(vec![])
    );
    // The runtime's own count decides that all tokens had text.
    let counted_by_runtime = streamed(|_, run| {
        run.stats = run_of(8).stats;
        usage(run).completion_tokens = None;
        stream(run).unread = Some(unread.clone());
    });
    assert_eq!(
        counted_by_runtime,
        Ok(vec![Mark::CountedBy {
            rule: CountRule::ChunksNoUsage,
            usage: None,
            chunks: 8
        }])
    );
    let none_read = streamed(|_, run| {
        run.tokens.clear();
        stream(run).unread = Some(unread);
    });
    assert_eq!(
        none_read,
        Err(Rejection::RunFailed {
            reason: "no text came in a field that is read; 2 chunks held thinking".into()
        })
    );
}

#[test]
fn what_a_server_did_otherwise_than_asked_is_marked() {
    let at_once = streamed(|_, run| {
        for (index, token) in run.tokens.iter_mut().enumerate() {
            token.at_ns = 170 * MS + u64::try_from(index).expect("few");
        }
    });
    assert_eq!(at_once, Ok(vec![Mark::NotStreamed]));
    assert_eq!(
        streamed(|_, run| stream(run).model = Some("other".into())),
        Ok(vec![Mark::AnsweredAs { name: "other".into() }])
    );
    let left_out = streamed(|request, run| {
        request.sampling = Sampling {
            top_k: 40,
            ..Sampling::GREEDY
        };
        stream(run).left_out = vec!["top_k".into(), "seed".into()];
    });
    assert_eq!(
        left_out,
        Ok(vec![Mark::LeftOut {
            fields: vec!["top_k".into()]
        }])
    );
}

#[test]
fn a_field_that_was_left_out_matters_where_its_value_differs_from_the_neutral_one() {
    let fields = ["top_p", "repeat_penalty", "frequency_penalty", "presence_penalty"];
    let neutral = Sampling {
        top_k: 40,
        ..Sampling::GREEDY
    };
    let marked = |sampling: Sampling| {
        let marks = streamed(|request, run| {
            request.sampling = sampling;
            stream(run).left_out = fields.map(str::to_owned).to_vec();
        });
        match marks.expect("accepted").as_slice() {
            [] => Vec::new(),
            [Mark::LeftOut { fields }] => fields.clone(),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(marked(neutral), Vec::<String>::new());
    for (field, sampling) in [
        (
            "top_p",
            Sampling {
                top_p: 0.9,
                ..neutral
            },
        ),
        (
            "repeat_penalty",
            Sampling {
                repeat_penalty: 1.1,
                ..neutral
            },
        ),
        (
            "repeat_penalty",
            Sampling {
                repeat_penalty: 0.9,
                ..neutral
            },
        ),
        (
            "frequency_penalty",
            Sampling {
                frequency_penalty: 0.1,
                ..neutral
            },
        ),
        (
            "presence_penalty",
            Sampling {
                presence_penalty: -0.1,
                ..neutral
            },
        ),
    ] {
        assert_eq!(marked(sampling), [field], "{sampling:?}");
    }
}

#[test]
fn a_first_chunk_of_the_answer_before_is_marked_with_its_times() {
    // The first chunk at once, the second after a wait as long as a prefill.
    let stale = streamed(|_, run| {
        run.call_ns = MS / 2;
        run.tokens[0].at_ns = MS;
    });
    let marks = stale.expect("accepted");
    assert!(
        marks.contains(&Mark::StaleFirstChunk {
            first_ms: 0.5,
            gap_ms: 109.0
        }),
        "{marks:?}"
    );
}

#[test]
fn each_mark_that_changes_what_a_figure_means_says_so() {
    let counted = |rule, usage| Mark::CountedBy {
        rule,
        usage,
        chunks: 8,
    };
    let unread = |usage| Mark::UnreadDeltas {
        chunks: 2,
        fields: vec!["thinking".into()],
        with_text: 8,
        usage,
    };
    for (mark, words) in [
        (
            counted(CountRule::ChunksAreCharacters, Some(3)),
            &["one character", "3", "8"][..],
        ),
        (counted(CountRule::ChunksAreWords, Some(1)), &["a word", "1"]),
        (
            counted(CountRule::ChunksArePieces, Some(0)),
            &["same length", "no usage"],
        ),
        (counted(CountRule::ChunksArePieces, None), &["no usage"]),
        (unread(Some(9)), &["thinking", "9", "2", "8"]),
        (unread(None), &["no usage"]),
        (Mark::NotStreamed, &["no decode"]),
        (Mark::AnsweredAs { name: "other".into() }, &["other"]),
        (
            Mark::LeftOut {
                fields: vec!["top_k".into()],
            },
            &["top_k"],
        ),
        (
            Mark::LongerThanAsked { asked: 7, got: 9 },
            &["7", "9", "--max-new-tokens"],
        ),
        (
            Mark::StaleFirstChunk {
                first_ms: 1.0,
                gap_ms: 109.0,
            },
            &["1 ms", "109 ms", "TTFT"],
        ),
        (Mark::NoFinishReason, &["[DONE]"]),
        (
            Mark::UnknownEnd {
                reason: "full moon".into(),
            },
            &["full moon"],
        ),
    ] {
        let said = mark.explanation().unwrap_or_default();
        for word in words {
            assert!(said.contains(word), "{mark:?}: {said}");
        }
    }
    for mark in [counted(CountRule::Usage, Some(9)), Mark::NoStats, Mark::Throttled] {
        assert_eq!(mark.explanation(), None, "{mark:?}");
    }
}
