//! Properties of the model: sizes, padding, incremental decoding, ablation switches, and that every loss can be learned.

mod ablation;
mod counts;
mod decoding;
mod differences;
mod over_fit;
mod padding;
mod recompute;
mod resume;
mod small;
mod tiny;
mod to_speech;
mod translation;
mod unusable;
