//! The choice of the next token.

use crate::llama::{Chain, Link, Token};
use crate::params::{Mirostat, Sampling};
use crate::rows::is_row;

/// How many tokens the penalties look back, as llama.cpp's programs have it.
const PENALTY_WINDOW: usize = 64;

/// The interface has no seed. A fixed one makes a run on the same machine repeat.
const SEED: u32 = 1;

/// One run's way to choose.
#[derive(Debug)]
pub(crate) enum Sampler {
    /// The likeliest token, straight off the logits: nothing is built for it.
    Plain,
    /// By llama.cpp's samplers.
    Chain(Chain),
}

impl Sampler {
    /// `context` is what the penalties see as said already: the prompt and all before it.
    /// Embeddings in it are none of their business.
    pub(crate) fn new(sampling: &Sampling, n_vocab: Token, context: &[Token]) -> Result<Self, String> {
        let links = links(sampling, n_vocab);
        if matches!(links[..], [Link::Greedy]) {
            return Ok(Self::Plain);
        }
        let mut chain = Chain::new(&links).ok_or("llama.cpp made no sampler")?;
        let tokens = context.iter().copied().filter(|&id| !is_row(id));
        let seen: Vec<Token> = tokens.rev().take(PENALTY_WINDOW).collect();
        for token in seen.into_iter().rev() {
            chain.accept(token);
        }
        Ok(Self::Chain(chain))
    }

    /// `None`: there are no logits to choose by.
    pub(crate) fn choose(&mut self, logits: &[f32]) -> Option<Token> {
        match self {
            Self::Plain => likeliest(logits),
            Self::Chain(chain) => {
                let token = chain.choose(logits).filter(|_| !logits.is_empty())?;
                chain.accept(token);
                Some(token)
            }
        }
    }
}

/// Penalties where they do something, then the likeliest token or a draw: from the head of the distribution, or by
/// mirostat, which cuts it off itself. The order of llama.cpp's own programs.
fn links(sampling: &Sampling, n_vocab: Token) -> Vec<Link> {
    let &Sampling {
        top_k,
        top_p,
        temperature,
        repeat_penalty,
        frequency_penalty,
        presence_penalty,
        mirostat,
    } = sampling;
    let mut links = Vec::with_capacity(5);
    #[expect(
        clippy::float_cmp,
        reason = "these very values are the ones that change nothing"
    )]
    if repeat_penalty != 1.0 || frequency_penalty != 0.0 || presence_penalty != 0.0 {
        links.push(Link::Penalties {
            n_vocab,
            last_n: i32::try_from(PENALTY_WINDOW).unwrap_or(i32::MAX),
            repeat: repeat_penalty,
            frequency: frequency_penalty,
            presence: presence_penalty,
        });
    }
    let warm = Link::Temperature(temperature);
    match mirostat {
        _ if temperature <= 0.0 => links.push(Link::Greedy),
        Mirostat::Off if top_k == 1 => links.push(Link::Greedy),
        Mirostat::Off => links.extend([
            Link::TopK(top_k),
            Link::TopP(top_p),
            warm,
            Link::Draw { seed: SEED },
        ]),
        Mirostat::One { tau, eta } => {
            let seed = SEED;
            let draw = Link::Mirostat1 {
                n_vocab,
                seed,
                tau,
                eta,
            };
            links.extend([warm, draw]);
        }
        Mirostat::Two { tau, eta } => links.extend([warm, Link::Mirostat2 { seed: SEED, tau, eta }]),
    }
    links
}

/// The first index of the highest value. Two passes, both of a kind that the compiler turns into vector code: the
/// vocabulary is long and this runs for each token.
fn likeliest(logits: &[f32]) -> Option<Token> {
    const LANES: usize = 16;
    let higher = |a: f32, b: f32| if b > a { b } else { a };
    let (blocks, rest) = logits.as_chunks::<LANES>();
    let mut lanes = [f32::NEG_INFINITY; LANES];
    for block in blocks {
        for (lane, &value) in lanes.iter_mut().zip(block) {
            *lane = higher(*lane, value);
        }
    }
    let highest = lanes.iter().chain(rest).copied().fold(f32::NEG_INFINITY, higher);
    #[expect(clippy::float_cmp, reason = "the value was taken from this slice")]
    let index = logits.iter().position(|&value| value == highest)?;
    Token::try_from(index).ok()
}

#[cfg(test)]
mod tests {
    use super::{Link, likeliest, links};
    use crate::params::{Mirostat, Sampling};

    const NEUTRAL: Sampling = Sampling {
        top_k: 40,
        top_p: 0.9,
        temperature: 0.8,
        repeat_penalty: 1.0,
        frequency_penalty: 0.0,
        presence_penalty: 0.0,
        mirostat: Mirostat::Off,
    };

    #[test]
    fn the_first_of_the_highest_wins_in_a_block_and_behind_the_last() {
        let mut logits = vec![0.0_f32; 37];
        assert_eq!(likeliest(&logits), Some(0));
        logits[36] = 2.0;
        assert_eq!(likeliest(&logits), Some(36));
        logits[17] = 2.0;
        assert_eq!(likeliest(&logits), Some(17));
        logits[3] = f32::NAN;
        assert_eq!(likeliest(&logits), Some(17));
        assert_eq!(likeliest(&[-7.0, -3.0]), Some(1));
        assert_eq!(likeliest(&[]), None);
    }

    #[test]
    fn greedy_by_top_k_and_by_temperature_needs_no_other_sampler() {
        for sampling in [
            Sampling { top_k: 1, ..NEUTRAL },
            Sampling {
                temperature: 0.0,
                ..NEUTRAL
            },
        ] {
            assert!(matches!(links(&sampling, 9)[..], [Link::Greedy]));
        }
    }

    #[test]
    fn each_penalty_counts_also_when_greedy() {
        let greedy = Sampling { top_k: 1, ..NEUTRAL };
        for sampling in [
            Sampling {
                repeat_penalty: 1.1,
                ..greedy
            },
            Sampling {
                frequency_penalty: 0.5,
                ..greedy
            },
            Sampling {
                presence_penalty: -0.5,
                ..greedy
            },
        ] {
            assert!(matches!(
                links(&sampling, 9)[..],
                [
                    Link::Penalties {
                        n_vocab: 9,
                        last_n: 64,
                        ..
                    },
                    Link::Greedy
                ]
            ));
        }
    }

    #[test]
    fn a_draw_comes_after_the_cuts_and_the_temperature() {
        assert!(matches!(
            links(&NEUTRAL, 9)[..],
            [
                Link::TopK(40),
                Link::TopP(_),
                Link::Temperature(_),
                Link::Draw { .. }
            ]
        ));
    }

    #[test]
    fn mirostat_takes_the_place_of_the_cuts_and_the_draw() {
        let one = Mirostat::One { tau: 5.0, eta: 0.1 };
        let two = Mirostat::Two { tau: 5.0, eta: 0.1 };
        let with = |mirostat| Sampling { mirostat, ..NEUTRAL };
        assert!(matches!(
            links(&with(one), 9)[..],
            [Link::Temperature(_), Link::Mirostat1 { n_vocab: 9, .. }]
        ));
        for top_k in [1, 40] {
            let sampling = Sampling { top_k, ..with(two) };
            assert!(matches!(
                links(&sampling, 9)[..],
                [Link::Temperature(_), Link::Mirostat2 { .. }]
            ));
        }
        let cold = Sampling {
            temperature: 0.0,
            ..with(two)
        };
        assert!(matches!(links(&cold, 9)[..], [Link::Greedy]));
    }
}
