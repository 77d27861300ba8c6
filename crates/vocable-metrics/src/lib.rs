#![doc = include_str!("../README.md")]

mod accuracy;
mod align;
mod bleu;
mod bootstrap;
mod dtw;
mod error_rate;
mod items;
mod mel_cepstral;
mod verification;

pub use accuracy::accuracy;
pub use align::{Alignment, Edit, EditCounts, align};
pub use bleu::{BleuCounts, bleu};
pub use bootstrap::{Bootstrap, FEWEST, Interval};
pub use dtw::{Path, dtw};
pub use error_rate::{aligned_errors, character_alignment, character_errors, word_alignment, word_errors};
pub use items::Items;
pub use mel_cepstral::{LogMelCepstralDistance, log_mel_cepstral_distance};
pub use verification::{equal_error_rate, equal_error_rate_of_pairs};
