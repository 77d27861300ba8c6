#![doc = include_str!("../README.md")]

pub mod ctc;
pub mod speech;
pub mod text;

pub use ctc::{collapse, ctc_greedy};
pub use speech::{FrameStep, FrameStepper, GeneratedSpeech, SpeechLimits, StopRule, generate_speech};
pub use text::{Hypothesis, TextLimits, TextStepper, greedy};
