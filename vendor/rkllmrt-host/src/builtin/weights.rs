//! Pseudo-random weights by integer arithmetic.

/// Weights of a `q8_0` block: they share a scale.
pub(super) const BLOCK: usize = 32;
/// Bytes of a `q8_0` block: an f16 scale, then a signed byte for each weight.
pub(super) const BLOCK_BYTES: usize = 2 + BLOCK;
/// Random numbers that a block takes: one for the scale, one for each eight weights.
const BLOCK_NUMBERS: u64 = 1 + BLOCK as u64 / 8;

/// The f16 exponent of 1.0.
const F16_BIAS: u16 = 15;
/// Bits of an f16's mantissa.
const F16_MANTISSA: u16 = 10;

/// The generator splitmix64 of Steele, Lea and Flood ("Fast splittable pseudorandom number generators", OOPSLA 2014):
/// a counter in steps of the golden ratio, mixed by two multiplications.
struct SplitMix64(u64);

impl SplitMix64 {
    const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

    /// As if `skipped` numbers had been drawn.
    fn after(seed: u64, skipped: u64) -> Self {
        Self(seed.wrapping_add(skipped.wrapping_mul(Self::STEP)))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(Self::STEP);
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

/// Blocks of a matrix in ggml's `q8_0`, from block `first` on, as many as `bytes` takes; `row` is how long its rows
/// are. Any part of a matrix can be made without the rest.
///
/// The weights are uniform, so their standard deviation is near 74. Scales are uniform in [s, 2s) with s the power of
/// two that brings the weights near 1 / sqrt(`row`): a product then keeps the size of what goes in, and the logits
/// come out spread by about one.
pub(super) fn q8_0(seed: u64, row: usize, first: u64, bytes: &mut [u8]) {
    let mut random = SplitMix64::after(seed, first.wrapping_mul(BLOCK_NUMBERS));
    let exponent = (F16_BIAS - scale_shift(row)) << F16_MANTISSA;
    for block in bytes.as_chunks_mut::<BLOCK_BYTES>().0 {
        let (scale, weights) = block.split_at_mut(2);
        let [low, high, ..] = random.next().to_le_bytes();
        let mantissa = u16::from_le_bytes([low, high]) & ((1 << F16_MANTISSA) - 1);
        scale.copy_from_slice(&(exponent | mantissa).to_le_bytes());
        for eight in weights.as_chunks_mut::<8>().0 {
            // ggml's own quantisation never makes -128.
            *eight = random
                .next()
                .to_le_bytes()
                .map(|byte| if byte == 0x80 { 0x81 } else { byte });
        }
    }
}

/// The s of `q8_0` as a negative power of two: 1.5 s x 74 is to be 1 / sqrt(`row`), so 4^shift is to be
/// 12,321 x `row`; rounded down, and never so far that the scale stops being a normal f16.
fn scale_shift(row: usize) -> u16 {
    let wanted = 12_321 * row as u128;
    let shift = wanted.ilog2() / 2;
    u16::try_from(shift).unwrap_or(u16::MAX).min(F16_BIAS - 1)
}

/// Norms that change nothing, as `f32`.
pub(super) fn norm(n: usize) -> Vec<u8> {
    1_f32.to_le_bytes().repeat(n)
}

/// Biases as `f32`, uniform within an eighth of zero: seen in what is added to, which is spread by about one, and far
/// from ruling it.
pub(super) fn bias(seed: u64, n: usize) -> Vec<u8> {
    let mut random = SplitMix64(seed);
    (0..n)
        .flat_map(|_| {
            let [byte, ..] = random.next().to_le_bytes();
            (f32::from(byte.cast_signed()) / 1024.0).to_le_bytes()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{BLOCK, BLOCK_BYTES, SplitMix64, bias, q8_0, scale_shift, seed};

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
        let mut bytes = vec![0x80; 384 / BLOCK * 16 * BLOCK_BYTES];
        q8_0(7, 384, 0, &mut bytes);
        for block in bytes.as_chunks::<BLOCK_BYTES>().0 {
            let scale = u16::from_le_bytes([block[0], block[1]]);
            assert_eq!(scale >> 10, 15 - scale_shift(384), "sign and exponent");
            assert!(!block[2..].contains(&0x80));
        }
    }

    #[test]
    fn a_part_of_a_matrix_is_what_the_whole_has_there() {
        let mut whole = vec![0; 16 * BLOCK_BYTES];
        q8_0(7, 384, 0, &mut whole);
        let mut part = vec![0; 5 * BLOCK_BYTES];
        q8_0(7, 384, 11, &mut part);
        assert_eq!(part, whole[11 * BLOCK_BYTES..]);
    }

    #[test]
    fn biases_are_small_and_differ() {
        let bytes = bias(7, 256);
        let mut values: Vec<f32> = bytes
            .as_chunks()
            .0
            .iter()
            .map(|&value| f32::from_le_bytes(value))
            .collect();
        assert_eq!(values.len(), 256);
        assert!(values.iter().all(|value| value.abs() <= 0.125));
        values.sort_unstable_by(f32::total_cmp);
        values.dedup();
        assert!(values.len() > 128, "{} different biases", values.len());
    }

    #[test]
    fn longer_rows_have_smaller_weights() {
        assert_eq!(scale_shift(384), 11);
        assert_eq!(scale_shift(4 * 384), 12);
        assert_eq!(scale_shift(usize::MAX), 14);
    }
}
