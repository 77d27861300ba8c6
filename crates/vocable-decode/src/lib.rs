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
pub use text::{Hypothesis, TextLimits, TextStepper, greedy};
