use super::{Accepted, Ledger, Mark, Rejection};
use crate::inference::{Abilities, Finish, Inference, RuntimeStats};
use crate::runtime::engine::scripted;

const MS: u64 = 1_000_000;

/// 8 tokens: prefill 100 ms, then one each 10 ms; the runtime agrees with our clock.
fn good() -> Inference {
    let stamps: Vec<u64> = (0..8).map(|token| (100 + 10 * token) * MS).collect();
    let mut inference = scripted::inference(0, &stamps, 170 * MS + MS / 10);
    inference.stats = Some(stats(99.5, 70.0));
    inference
}

fn stats(prefill_time_ms: f32, generate_time_ms: f32) -> RuntimeStats {
    RuntimeStats {
        prefill_time_ms,
        prefill_tokens: 12,
        generate_time_ms,
        generate_tokens: 7,
        memory_usage_mb: 1.0,
    }
}

fn judge(inference: &Inference) -> Result<Accepted, Rejection> {
    Ledger::new(scripted::ABILITIES, &scripted::spec(8)).judge(&scripted::request(8), Some(12), inference)
}

#[test]
fn a_clean_inference_stands_without_marks() {
    assert_eq!(judge(&good()).map(|accepted| accepted.marks), Ok(vec![]));
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table, one row a law")]
fn each_law_rejects_by_name() {
    let with_stats = |stats: RuntimeStats| Inference {
        stats: Some(stats),
        ..good()
    };
    let rows: Vec<(&str, Inference)> = vec![
        (
            "passed its deadline",
            Inference {
                aborted: true,
                ..good()
            },
        ),
        (
            "the run failed: no",
            Inference {
                refusal: Some("no".into()),
                ..good()
            },
        ),
        (
            "reported an error",
            Inference {
                finish: Finish::Error,
                ..good()
            },
        ),
        (
            "no FINISH came",
            Inference {
                finish: Finish::Lost,
                ..good()
            },
        ),
        (
            "no token came",
            Inference {
                tokens: vec![],
                ..good()
            },
        ),
        (
            "7 tokens came where 8",
            Inference {
                tokens: good().tokens[..7].to_vec(),
                ..good()
            },
        ),
        (
            "9 tokens came where 8",
            Inference {
                overflow: 1,
                ..good()
            },
        ),
        (
            "out of order",
            Inference {
                return_ns: 120 * MS,
                ..good()
            },
        ),
        (
            "out of order",
            Inference {
                call_ns: 101 * MS,
                ..good()
            },
        ),
        (
            "computed 3 tokens of a prompt of 12",
            with_stats(RuntimeStats {
                prefill_tokens: 3,
                ..stats(99.5, 70.0)
            }),
        ),
        (
            "computed 0 tokens of a prompt of 12",
            with_stats(RuntimeStats {
                prefill_tokens: 0,
                ..stats(0.0, 70.0)
            }),
        ),
        ("prefill_time_ms = 0", with_stats(stats(0.0, 70.0))),
        ("prefill_time_ms = -1", with_stats(stats(-1.0, 70.0))),
        ("prefill_time_ms = NaN", with_stats(stats(f32::NAN, 70.0))),
        ("generate_time_ms = 0", with_stats(stats(99.5, 0.0))),
        ("generate_time_ms = inf", with_stats(stats(99.5, f32::INFINITY))),
        ("of prefill, our clock", with_stats(stats(105.1, 60.0))),
        ("of prefill and decode, our clock", with_stats(stats(99.5, 80.0))),
        (
            "after its run had returned",
            Inference {
                late_callbacks: 1,
                ..good()
            },
        ),
    ];
    for (expected, inference) in rows {
        let text = judge(&inference).map(|_| ()).expect_err(expected).to_string();
        assert!(text.contains(expected), "expected {expected:?}, got {text:?}");
    }
}

#[test]
fn tolerance_is_the_larger_of_two_milliseconds_and_five_percent() {
    assert!(
        judge(&Inference {
            stats: Some(stats(104.9, 60.0)),
            ..good()
        })
        .is_ok()
    );
    assert!(
        judge(&Inference {
            stats: Some(stats(105.1, 60.0)),
            ..good()
        })
        .is_err()
    );
    // TTFT of 10 ms: 5 % would be half a millisecond.
    let short = |prefill_ms| {
        let stamps: Vec<u64> = (0..8).map(|token| (10 + token) * MS).collect();
        Inference {
            stats: Some(stats(prefill_ms, 5.0)),
            ..scripted::inference(0, &stamps, 18 * MS)
        }
    };
    assert!(judge(&short(11.9)).is_ok());
    assert!(judge(&short(12.1)).is_err());
}

#[test]
fn statistics_of_the_run_before_are_stale_even_when_a_rejected_run_lies_between() {
    let mut ledger = Ledger::new(scripted::ABILITIES, &scripted::spec(8));
    let request = scripted::request(8);
    assert!(ledger.judge(&request, Some(12), &good()).is_ok());
    assert_eq!(
        ledger.judge(&request, Some(12), &good()),
        Err(Rejection::StaleStats)
    );
    assert_eq!(
        ledger.judge(&request, Some(12), &good()),
        Err(Rejection::StaleStats)
    );
    let without = Inference {
        stats: None,
        ..good()
    };
    assert!(ledger.judge(&request, Some(12), &without).is_ok());
    assert_eq!(
        ledger.judge(&request, Some(12), &good()),
        Err(Rejection::StaleStats),
        "those of the last run that had any"
    );
    let fresh = Inference {
        stats: Some(stats(99.25, 70.25)),
        ..good()
    };
    assert!(ledger.judge(&request, Some(12), &fresh).is_ok());
}

#[test]
fn a_late_callback_costs_one_sample() {
    let mut ledger = Ledger::new(scripted::ABILITIES, &scripted::spec(8));
    let request = scripted::request(8);
    let late = Inference {
        late_callbacks: 1,
        ..good()
    };
    assert_eq!(
        ledger.judge(&request, Some(12), &late),
        Err(Rejection::LateCallback)
    );
    let next = Inference {
        late_callbacks: 1,
        stats: Some(stats(99.0, 69.0)),
        ..good()
    };
    assert!(ledger.judge(&request, Some(12), &next).is_ok());
}

#[test]
fn counters_of_unconfirmed_meaning_only_mark() {
    let marks = |inference: Inference| judge(&inference).map(|accepted| accepted.marks);
    let one_more = RuntimeStats {
        generate_tokens: 8,
        ..stats(99.5, 70.0)
    };
    assert_eq!(
        marks(Inference {
            stats: Some(one_more),
            ..good()
        }),
        Ok(vec![])
    );
    let off = RuntimeStats {
        generate_tokens: 5,
        ..stats(99.5, 70.0)
    };
    assert_eq!(
        marks(Inference {
            stats: Some(off),
            ..good()
        }),
        Ok(vec![Mark::GenerateTokens {
            reported: 5,
            counted: 8
        }])
    );
    assert_eq!(
        marks(Inference {
            kv_cache_before: Some(3),
            ..good()
        }),
        Ok(vec![Mark::CacheNotEmpty { positions: 3 }])
    );
    assert_eq!(
        marks(Inference {
            stats: None,
            ..good()
        }),
        Ok(vec![Mark::NoStats])
    );
    let unexplained = marks(Inference {
        stats: Some(stats(50.0, 70.0)),
        ..good()
    });
    assert!(matches!(unexplained.as_deref(), Ok([Mark::UnexplainedTime { ms }]) if (ms - 50.1).abs() < 0.01));
}

#[test]
fn the_runtimes_way_of_counting_does_not_change() {
    let marks = |ledger: &mut Ledger, run: u8, generate_tokens| {
        let inference = Inference {
            stats: Some(RuntimeStats {
                generate_tokens,
                ..stats(99.0 + f32::from(run) / 8.0, 70.0)
            }),
            ..good()
        };
        let accepted = ledger.judge(&scripted::request(8), Some(12), &inference);
        accepted.expect("stands").marks
    };
    let odd = |reported| vec![Mark::GenerateTokens { reported, counted: 8 }];
    for (way, other) in [(7, 8), (8, 7)] {
        let mut ledger = Ledger::new(scripted::ABILITIES, &scripted::spec(8));
        assert_eq!(marks(&mut ledger, 0, way), vec![]);
        assert_eq!(marks(&mut ledger, 1, other), odd(other));
        assert_eq!(marks(&mut ledger, 2, way), vec![]);
        assert_eq!(marks(&mut ledger, 3, 9), odd(9));
        assert_eq!(marks(&mut ledger, 4, -1), odd(-1));
    }
}

#[test]
fn a_token_told_twice_is_told_from_one_that_comes_twice() {
    let marks_of = |at_ns: u64, id: i32| {
        let mut inference = good();
        for (token, its_id) in inference.tokens.iter_mut().zip(0..) {
            token.id = its_id;
        }
        inference.tokens[5].at_ns = at_ns;
        inference.tokens[5].id = id;
        judge(&inference).expect("stands").marks
    };
    // The token before came at 140 ms; the gaps are 10 ms.
    let twice = vec![Mark::RepeatedCallback { callbacks: 1 }];
    assert_eq!(marks_of(140 * MS + MS / 10, 4), twice);
    assert_eq!(marks_of(140 * MS + MS / 10, 5), vec![], "another token");
    assert_eq!(marks_of(140 * MS + MS / 2, 4), vec![], "the same word again");
}

#[test]
fn an_early_end_is_a_mark_where_end_tokens_cannot_be_ignored() {
    let can = Abilities {
        ignore_eos: false,
        ..scripted::ABILITIES
    };
    let early = Inference {
        tokens: good().tokens[..7].to_vec(),
        ..good()
    };
    let accepted = Ledger::new(can, &scripted::spec(8))
        .judge(&scripted::request(8), Some(12), &early)
        .expect("stands");
    assert_eq!(accepted.marks, [Mark::EndedEarly { asked: 8, got: 7 }]);
}
