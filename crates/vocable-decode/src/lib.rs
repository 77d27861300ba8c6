#![doc = include_str!("../README.md")]

pub mod beam;
pub mod ctc;
pub mod ctc_prefix;
pub mod speech;
pub mod text;

pub use beam::{BeamConfig, Companions, beam_search};
pub use ctc::{collapse, ctc_greedy};
pub use ctc_prefix::{CtcPrefix, CtcPrefixScorer};
pub use speech::{FrameStep, FrameStepper, GeneratedSpeech, SpeechLimits, StopRule, generate_speech};
pub use text::{Hypothesis, Prefixes, TextLimits, TextStepper, greedy};

/// Runs a decoding loop on a thread of rayon's pool: from another thread every operation would have to wake the pool
/// first, which takes longer than many of them.
fn on_pool<R: Send>(work: impl FnOnce() -> R + Send) -> R {
    rayon::scope(|_| work())
}
