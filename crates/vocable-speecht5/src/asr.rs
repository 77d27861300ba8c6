//! Recognition: waveform into characters, by attention and CTC together (spec section 6.1).

use std::sync::Arc;

use burn::tensor::Device;
use serde::{Deserialize, Serialize};
use vocable_data::manifest::Utterance;
use vocable_random::Key;

use crate::data::Dataset;
use crate::to_text::{MaskConfig, Normalise, TextBatch, TextOutput, TextTaskConfig, ToText};
use crate::{ModelConfig, ModelError, Preset, Regularisation};

/// The recognition recipe, apart from the step loop's part.
pub type AsrConfig = TextTaskConfig<Transcript>;
/// A batch of utterances with their transcripts.
pub type AsrBatch = TextBatch;
/// The recognition objective over a corpus.
pub type Recognition = ToText<Transcript>;

/// What was said, letter by letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Transcript {}

impl TextOutput for Transcript {
    const TASK: &'static str = "asr";
    const NAME: &'static str = "recognition";

    fn text<'a>(&self, utterance: &'a Utterance) -> Option<&'a str> {
        Some(utterance.text.as_str()).filter(|text| !text.is_empty())
    }
}

impl Recognition {
    /// Recognition in the characters of the corpus; see [`ToText::new`].
    ///
    /// # Errors
    /// A corpus without a training utterance that has a transcript that fits.
    pub fn in_characters(
        config: AsrConfig,
        model: ModelConfig,
        dataset: Arc<Dataset>,
        validation: usize,
        key: Key,
        device: Device,
    ) -> Result<Self, ModelError> {
        let vocabulary = Arc::new(dataset.vocabulary.clone());
        Self::new(config, model, dataset, vocabulary, validation, key, device)
    }
}

impl AsrConfig {
    /// The recipe of 100 hours (spec section 6) under a preset's switches.
    pub fn base(preset: Preset) -> Self {
        let hf = preset == Preset::Hf;
        Self {
            regularisation: Regularisation::new(0.1, 0.1, [0.1, 0.1], 1.0).preset(preset),
            batch_samples: if preset == Preset::Official { 1_600_000 } else { 256_000 },
            batch_items: 1024,
            micro_batches: if preset == Preset::Official { 2 } else { 1 },
            max_tokens: 600,
            cross_entropy: if hf { 1.0 } else { 0.5 },
            ctc: if hf { 0.0 } else { 0.5 },
            normalise: if hf { Normalise::Token } else { Normalise::Sentence },
            zero_infinity: preset != Preset::Official,
            label_smoothing: 0.0,
            speeds: Vec::new(),
            token_dropout: 0.0,
            time_mask: Some(MaskConfig { probability: if hf { 0.05 } else { 0.75 }, length: 10 }),
            channel_mask: (!hf).then_some(MaskConfig { probability: 0.5, length: 64 }),
            freeze_encoder_updates: if hf { 0 } else { 13_000 },
            suppress_special: !hf,
            output: Transcript {},
        }
    }
}
