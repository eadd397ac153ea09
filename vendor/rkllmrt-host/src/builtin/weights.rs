//! Pseudo-random weights by integer arithmetic.

/// Weights of a `q8_0` block: they share a scale.
pub(super) const BLOCK: usize = 32;

/// The f16 exponent of 1.0.
const F16_BIAS: u16 = 15;
/// Bits of an f16's mantissa.
const F16_MANTISSA: u16 = 10;

/// The generator splitmix64 of Steele, Lea and Flood ("Fast splittable pseudorandom number generators", OOPSLA 2014):
/// a counter in steps of the golden ratio, mixed by two multiplications.
struct SplitMix64(u64);

impl SplitMix64 {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

/// A tensor's own seed, by the 64-bit FNV-1a hash of the two names: no tensor depends on the order of writing.
pub(super) fn seed(model: &str, tensor: &str) -> u64 {
    let names = model.bytes().chain([0]).chain(tensor.bytes());
    names.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// `rows` rows of `row` weights in ggml's `q8_0` blocks: an f16 scale, then 32 signed bytes.
///
/// The bytes are uniform, so their standard deviation is near 74. Scales are uniform in [s, 2s) with s the power of
/// two that brings the weights near 1 / sqrt(`row`): a product then keeps the size of what goes in, and the logits
/// come out spread by about one.
pub(super) fn q8_0(seed: u64, row: usize, rows: usize) -> Vec<u8> {
    let mut random = SplitMix64(seed);
    let exponent = (F16_BIAS - scale_shift(row)) << F16_MANTISSA;
    let n_blocks = row / BLOCK * rows;
    let mut bytes = Vec::with_capacity(n_blocks * (2 + BLOCK));
    for _ in 0..n_blocks {
        let [low, high, ..] = random.next().to_le_bytes();
        let mantissa = u16::from_le_bytes([low, high]) & ((1 << F16_MANTISSA) - 1);
        bytes.extend((exponent | mantissa).to_le_bytes());
        for _ in 0..BLOCK / 8 {
            // ggml's own quantisation never makes -128.
            bytes.extend(
                random
                    .next()
                    .to_le_bytes()
                    .map(|byte| if byte == 0x80 { 0x81 } else { byte }),
            );
        }
    }
    bytes
}

/// The s of `q8_0` as a negative power of two: 1.5 s x 74 is to be 1 / sqrt(`row`), so 4^shift is to be
/// 12,321 x `row`; rounded down, and never so far that the scale stops being a normal f16.
fn scale_shift(row: usize) -> u16 {
    let wanted = 12_321 * row as u128;
    let shift = wanted.ilog2() / 2;
    u16::try_from(shift).unwrap_or(u16::MAX).min(F16_BIAS - 1)
}

/// Norms that change nothing.
pub(super) fn norm(row: usize) -> Vec<f32> {
    vec![1.0; row]
}

#[cfg(test)]
mod tests {
    use super::{BLOCK, SplitMix64, q8_0, scale_shift, seed};

    #[test]
    fn the_generator_gives_the_published_values() {
        // The first outputs for seed 1234567, as the reference implementation's test vectors have them.
        let mut random = SplitMix64(1_234_567);
        assert_eq!(random.next(), 6_457_827_717_110_365_317);
        assert_eq!(random.next(), 3_203_168_211_198_807_973);
    }

    #[test]
    fn names_are_told_apart() {
        assert_ne!(seed("a", "bc"), seed("ab", "c"));
        assert_ne!(seed("m", "x"), seed("m", "y"));
    }

    #[test]
    fn blocks_hold_a_scale_in_its_octave_and_no_minus_128() {
        let bytes = q8_0(7, 384, 16);
        assert_eq!(bytes.len(), 384 / BLOCK * 16 * 34);
        for block in bytes.as_chunks::<34>().0 {
            let scale = u16::from_le_bytes([block[0], block[1]]);
            assert_eq!(scale >> 10, 15 - scale_shift(384), "sign and exponent");
            assert!(!block[2..].contains(&0x80));
        }
    }

    #[test]
    fn longer_rows_have_smaller_weights() {
        assert_eq!(scale_shift(384), 11);
        assert_eq!(scale_shift(4 * 384), 12);
        assert_eq!(scale_shift(usize::MAX), 14);
    }
}
