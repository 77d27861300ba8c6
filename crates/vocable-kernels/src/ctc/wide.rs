//! Numbers of any magnitude without logarithms: an `f64` from 1 to 2 times a power of two, in slices of both parts.
//!
//! A product of thousands of probabilities underflows `f64` long before it stops to matter; one logarithm and one
//! exponential for each sum, the usual remedy, cost ten times what this does.

use std::ops::Range;

use crate::fused::level::vectorised;

/// The exponent of zero; far from overflow however many others are added to it.
pub(super) const NEVER: i64 = -(1 << 58);

/// Added to the exponent of any other number it falls below that of zero.
pub(super) const BARRED: i64 = 2 * NEVER;

/// Non-negative numbers `mantissa · 2^exponent`.
pub(super) struct Wide {
    pub(super) mantissas: Vec<f64>,
    pub(super) exponents: Vec<i64>,
}

impl Wide {
    pub(super) fn zeros(length: usize) -> Self {
        Self { mantissas: vec![0.0; length], exponents: vec![NEVER; length] }
    }

    pub(super) fn len(&self) -> usize {
        self.mantissas.len()
    }

    pub(super) fn set_one(&mut self, index: usize) {
        self.mantissas[index] = 1.0;
        self.exponents[index] = 0;
    }

    pub(super) fn sum(&self, range: Range<usize>) -> (f64, i64) {
        let top = self.exponents[range.clone()].iter().copied().max().unwrap_or(NEVER);
        let sum = range.map(|index| self.mantissas[index] * power_of_two(self.exponents[index] - top)).sum();
        (sum, top)
    }
}

/// The natural logarithm.
pub(super) fn ln((mantissa, exponent): (f64, i64)) -> f64 {
    mantissa.ln() + exponent as f64 * std::f64::consts::LN_2
}

/// 2ⁿ; 0 below the normal numbers.
#[inline(always)]
pub(super) fn power_of_two(n: i64) -> f64 {
    f64::from_bits(((n.clamp(-1023, 1023) + 1023) as u64) << 52)
}

/// Mantissa and exponent of eˣ for x ≤ 0, to a few units in the last place; 0 below −10⁶.
#[inline(always)]
fn exponential(x: f64) -> (f64, i64) {
    const LOWEST: f64 = -1e6;
    // Adding 1.5 * 2^52 leaves the nearest integer in the low bits: it rounds without an instruction for it.
    const ROUND: f64 = 6_755_399_441_055_744.0;
    // Not `max`, which would swallow a NaN.
    let clamped = if x < LOWEST { LOWEST } else { x };
    let shifted = clamped * std::f64::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    // ln 2 in two parts: the product with the first is exact.
    let r = clamped - n * 6.931_471_803_691_238e-1 - n * 1.908_214_929_270_587_7e-10;
    // Taylor's series for |r| ≤ ln 2 / 2: the next term is below 1e-17.
    let mut p = 1.0 / 6_227_020_800.0;
    for factorial in
        [479_001_600.0, 39_916_800.0, 3_628_800.0, 362_880.0, 40_320.0, 5_040.0, 720.0, 120.0, 24.0, 6.0, 2.0, 1.0, 1.0]
    {
        p = p * r + 1.0 / factorial;
    }
    let exponent = shifted.to_bits().wrapping_sub(ROUND.to_bits()) as i64;
    if x < LOWEST { (0.0, NEVER) } else { (p, exponent) }
}

vectorised! {
    /// The exponentials of logits less their maximum; returns the sum. NaN if there is one, or if all are −∞.
    pub(super) fn exponentials<const FMA>(logits: &[f32], mantissas: &mut [f64], exponents: &mut [i64]) -> f64 {
        let max = f64::from(crate::fused::math::max_of(logits));
        for ((mantissa, exponent), &logit) in mantissas.iter_mut().zip(exponents.iter_mut()).zip(logits) {
            (*mantissa, *exponent) = exponential(f64::from(logit) - max);
        }
        mantissas.iter().zip(exponents.iter()).map(|(mantissa, &exponent)| mantissa * power_of_two(exponent)).sum()
    }
}

vectorised! {
    /// `after[i] = before[i + 2] + before[i + 1] + before[i]`, the last with `skip[i]` added to its exponent; mantissas
    /// end below 6.
    pub(super) fn add_three<const FMA>(before: (&[f64], &[i64]), skip: &[i64], after: (&mut [f64], &mut [i64])) {
        let length = skip.len();
        let ((mantissas, exponents), (sums, tops)) = (before, after);
        let (m0, m1, m2) = (&mantissas[2..][..length], &mantissas[1..][..length], &mantissas[..length]);
        let (e0, e1, e2) = (&exponents[2..][..length], &exponents[1..][..length], &exponents[..length]);
        let (sums, tops) = (&mut sums[..length], &mut tops[..length]);
        for i in 0..length {
            let far = e2[i] + skip[i];
            let top = e0[i].max(e1[i]).max(far);
            sums[i] = m0[i] * power_of_two(e0[i] - top)
                + m1[i] * power_of_two(e1[i] - top)
                + m2[i] * power_of_two(far - top);
            tops[i] = top;
        }
    }
}

vectorised! {
    /// Brings mantissas back between 1 and 2, or to zero.
    pub(super) fn normalise<const FMA>(mantissas: &mut [f64], exponents: &mut [i64]) {
        const ONE: u64 = 1023 << 52;
        for (mantissa, exponent) in mantissas.iter_mut().zip(exponents) {
            let bits = mantissa.to_bits();
            let zero = *mantissa == 0.0;
            *exponent = if zero { NEVER } else { *exponent + (bits >> 52) as i64 - 1023 };
            *mantissa = if zero { 0.0 } else { f64::from_bits(bits & (u64::MAX >> 12) | ONE) };
        }
    }
}

vectorised! {
    /// `shares[i] = forward[last − i] · backward[i] / total`.
    pub(super) fn shares<const FMA>(
        forward: (&[f64], &[i64]),
        backward: (&[f64], &[i64]),
        total: (f64, i64),
        shares: &mut [f64],
    ) {
        let forward = forward.0.iter().zip(forward.1).rev();
        let backward = backward.0.iter().zip(backward.1);
        let scale = 1.0 / total.0;
        for ((share, (m, e)), (n, f)) in shares.iter_mut().zip(forward).zip(backward) {
            *share = m * n * scale * power_of_two(e + f - total.1);
        }
    }
}
