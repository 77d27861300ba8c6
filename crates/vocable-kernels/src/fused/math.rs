//! Functions of one number that the compiler can vectorise: no calls, no branches.

/// `a * b + c`, rounded once where that is one instruction; the library call that rounds once elsewhere is slow.
#[inline(always)]
pub(crate) fn mul_add<const FMA: bool>(a: f32, b: f32, c: f32) -> f32 {
    if FMA { a.mul_add(b, c) } else { a * b + c }
}

/// eˣ for x ≤ 88, to 2 units in the last place; exactly 0 below −87, where the result would lose precision.
#[inline(always)]
pub(crate) fn exp<const FMA: bool>(x: f32) -> f32 {
    // Adding 1.5 * 2^23 leaves the nearest integer in the low bits: it rounds without an instruction for it.
    const ROUND: f32 = 12_582_912.0;
    // Not `max`, which would swallow a NaN.
    let clamped = if x < -87.0 { -87.0 } else { x };
    let shifted = mul_add::<FMA>(clamped, std::f32::consts::LOG2_E, ROUND);
    let n = shifted - ROUND;
    // ln 2 in two parts: the product with the first is exact.
    let r = mul_add::<FMA>(n, -0.693_359_4, clamped);
    let r = mul_add::<FMA>(n, 2.121_944_4e-4, r);
    // Cephes' expf polynomial on [-ln 2 / 2, ln 2 / 2].
    let mut p = 1.987_569_1e-4;
    for c in [1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 5e-1, 1.0, 1.0] {
        p = mul_add::<FMA>(p, r, c);
    }
    let power = f32::from_bits(shifted.to_bits().wrapping_sub(ROUND.to_bits()).wrapping_add(127) << 23);
    if x < -87.0 { 0.0 } else { p * power }
}

/// The standard normal distribution at `x`: (Φ(x), φ(x)), its integral from −∞ and its density.
#[inline(always)]
pub(crate) fn normal<const FMA: bool>(x: f32) -> (f32, f32) {
    const INVERSE_SQRT_2_PI: f32 = 0.398_942_3;
    let density = INVERSE_SQRT_2_PI * exp::<FMA>(-0.5 * x * x);
    // The tail beyond |x| is the density times Mills' ratio. With t = 1 / (1 + 0.24 |x|) the ratio over t is a
    // polynomial in t, interpolated at the Chebyshev nodes of |x| in [0, 14]: relative error below 3e-7.
    let t = 1.0 / mul_add::<FMA>(x.abs(), 0.24, 1.0);
    let mut p = -0.131_902_89;
    for c in [0.377_534_5, -0.152_333_17, 0.282_472_05, 0.168_123_6, 0.229_384_29, 0.240_063_42, 0.239_972_11] {
        p = mul_add::<FMA>(p, t, c);
    }
    let tail = density * p * t;
    (if x > 0.0 { 1.0 - tail } else { tail }, density)
}

/// The hyperbolic tangent, to some units in the last place.
#[inline(always)]
pub(crate) fn tanh<const FMA: bool>(x: f32) -> f32 {
    let size = x.abs();
    // Far from zero (1 − t) / (1 + t) with t = e^(−2|x|); near zero, where that cancels, Cephes' odd polynomial.
    let t = exp::<FMA>(-2.0 * size);
    let far = (1.0 - t) / (1.0 + t);
    let square = x * x;
    let mut p = -5.704_988_7e-3;
    for c in [2.063_909e-2, -5.373_971_5e-2, 1.333_144_2e-1, -3.333_328_3e-1] {
        p = mul_add::<FMA>(p, square, c);
    }
    let near = mul_add::<FMA>(p * square, x, x);
    if size < 0.625 { near } else { far.copysign(x) }
}

/// Replaces each value by `f` of it, in whole vectors to the very end: for rows too short for a slow remainder.
#[inline(always)]
pub(crate) fn map(values: &mut [f32], f: impl Fn(f32) -> f32) {
    const LANES: usize = 16;
    let (blocks, rest) = values.as_chunks_mut::<LANES>();
    for value in blocks.as_flattened_mut() {
        *value = f(*value);
    }
    let mut block = [0.0; LANES];
    block[..rest.len()].copy_from_slice(rest);
    for value in &mut block {
        *value = f(*value);
    }
    rest.copy_from_slice(&block[..rest.len()]);
}

/// The sum of `term(a, b)` over two equally long slices, in an order that depends on their length only.
#[inline(always)]
pub(crate) fn sum_of(a: &[f32], b: &[f32], term: impl Fn(f32, f32) -> f32) -> f32 {
    // The compiler must not reorder a sum, so the lanes of the vector registers are spelled out.
    const LANES: usize = 32;
    let mut lanes = [0.0; LANES];
    let (a_blocks, a_rest) = a.as_chunks::<LANES>();
    let (b_blocks, b_rest) = b.as_chunks::<LANES>();
    for (a, b) in a_blocks.iter().zip(b_blocks) {
        for i in 0..LANES {
            lanes[i] += term(a[i], b[i]);
        }
    }
    for (lane, (&a, &b)) in lanes.iter_mut().zip(a_rest.iter().zip(b_rest)) {
        *lane += term(a, b);
    }
    sum_of_lanes(lanes)
}

/// The sum of a power of two of lanes: halves are added until one is left.
#[inline(always)]
pub(crate) fn sum_of_lanes<const LANES: usize>(mut lanes: [f32; LANES]) -> f32 {
    let mut width = LANES;
    while width > 1 {
        width /= 2;
        for i in 0..width {
            lanes[i] += lanes[i + width];
        }
    }
    lanes[0]
}

/// The largest element; −∞ of an empty slice. Ignores NaNs.
#[inline(always)]
pub(crate) fn max_of(values: &[f32]) -> f32 {
    const LANES: usize = 32;
    let mut lanes = [f32::NEG_INFINITY; LANES];
    let (blocks, rest) = values.as_chunks::<LANES>();
    for block in blocks {
        for i in 0..LANES {
            lanes[i] = if block[i] > lanes[i] { block[i] } else { lanes[i] };
        }
    }
    let max = |a: f32, b: f32| if b > a { b } else { a };
    lanes.into_iter().chain(rest.iter().copied()).fold(f32::NEG_INFINITY, max)
}
