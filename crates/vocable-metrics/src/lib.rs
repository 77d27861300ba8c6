#![doc = include_str!("../README.md")]

mod accuracy;
mod align;
mod bleu;
mod bootstrap;
mod dtw;
mod error_rate;
mod mel_cepstral;

pub use accuracy::accuracy;
pub use align::{Alignment, Edit, EditCounts, align};
pub use bleu::{BleuCounts, bleu};
pub use bootstrap::{Bootstrap, Interval};
pub use dtw::{Path, dtw};
pub use error_rate::{character_alignment, character_errors, word_alignment, word_errors};
pub use mel_cepstral::{LogMelCepstralDistance, log_mel_cepstral_distance};
