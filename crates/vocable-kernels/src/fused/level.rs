//! Instruction sets: the same loop compiled for each, one picked at run time.

/// An instruction set a loop is compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Level {
    /// What every processor of the target has.
    Baseline,
    /// 256-bit vectors and fused multiply-add (x86-64-v3).
    Avx2,
    /// 512-bit vectors (x86-64-v4).
    Avx512,
}

impl Level {
    /// The best this processor has. The detection is cached by the standard library.
    pub(crate) fn detect() -> Self {
        Self::available().last().copied().unwrap_or(Self::Baseline)
    }

    /// What this processor has, worst first.
    pub(crate) fn available() -> &'static [Self] {
        const ALL: [Level; 3] = [Level::Baseline, Level::Avx2, Level::Avx512];
        #[cfg(target_arch = "x86_64")]
        {
            let avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
            let avx512 = avx2
                && is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512dq")
                && is_x86_feature_detected!("avx512vl");
            &ALL[..1 + usize::from(avx2) + usize::from(avx512)]
        }
        #[cfg(not(target_arch = "x86_64"))]
        &ALL[..1]
    }
}

/// Defines a function whose loops are compiled for every [`Level`]; its first argument picks one.
///
/// The constant named in `<const ..>` says whether multiply-add is one instruction (see [`super::math::mul_add`]).
macro_rules! vectorised {
    ($(#[$meta:meta])* $vis:vis fn $name:ident<const $fma:ident>($($arg:ident: $type:ty),* $(,)?) $(-> $ret:ty)? $body:block) => {
        $(#[$meta])*
        $vis fn $name(level: $crate::fused::level::Level, $($arg: $type),*) $(-> $ret)? {
            #[inline(always)]
            fn body<const $fma: bool>($($arg: $type),*) $(-> $ret)? $body

            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma")]
            fn avx2($($arg: $type),*) $(-> $ret)? {
                body::<true>($($arg),*)
            }

            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
            fn avx512($($arg: $type),*) $(-> $ret)? {
                body::<true>($($arg),*)
            }

            match level {
                // SAFETY: a level above the baseline comes only from `Level::available`, which has seen its features.
                #[cfg(target_arch = "x86_64")]
                $crate::fused::level::Level::Avx512 => unsafe { avx512($($arg),*) },
                // SAFETY: as above.
                #[cfg(target_arch = "x86_64")]
                $crate::fused::level::Level::Avx2 => unsafe { avx2($($arg),*) },
                _ => body::<false>($($arg),*),
            }
        }
    };
}
pub(crate) use vectorised;
