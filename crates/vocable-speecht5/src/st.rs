//! Translation: speech into text of another language (spec section 6.3).

use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};
use vocable_data::manifest::{Language, Utterance};
use vocable_text::SubwordKind;

use crate::to_speech::LONGEST;
use crate::to_text::{MaskConfig, Normalise, TextOutput, TextTaskConfig, ToText};
use crate::{Preset, Regularisation};

/// The translation recipe, apart from the step loop's part.
pub type StConfig = TextTaskConfig<Translation>;
/// The translation objective over a corpus.
pub type Translating = ToText<Translation>;

/// What was said, in another language.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Translation {
    /// Which language.
    pub language: Language,
    /// Pieces of its vocabulary of subwords; none writes characters.
    pub pieces: Option<usize>,
    /// How they are learned; as byte pairs where nothing is said.
    #[serde(default, skip_serializing_if = "SubwordKind::is_bpe")]
    pub subwords: SubwordKind,
}

impl TextOutput for Translation {
    const TASK: &'static str = "st";
    const NAME: &'static str = "translation";
    const SAMPLES: RangeInclusive<usize> = 1_056..=LONGEST;

    fn text<'a>(&self, utterance: &'a Utterance) -> Option<&'a str> {
        utterance.translation(self.language)
    }
}

impl StConfig {
    /// The recipe of MuST-C (spec section 6), into German, under a preset's switches.
    pub fn base(preset: Preset) -> Self {
        let hf = preset == Preset::Hf;
        Self {
            regularisation: Regularisation::new(0.1, 0.1, [0.1, 0.1], 1.0).preset(preset),
            batch_samples: 480_256,
            batch_items: 1024,
            micro_batches: 4,
            max_tokens: 600,
            cross_entropy: 1.0,
            ctc: 0.0,
            normalise: if hf { Normalise::Token } else { Normalise::Sentence },
            zero_infinity: true,
            label_smoothing: if hf { 0.0 } else { 0.1 },
            speeds: Vec::new(),
            token_dropout: 0.0,
            time_mask: Some(MaskConfig { probability: if hf { 0.05 } else { 0.5 }, length: 10 }),
            channel_mask: (!hf).then_some(MaskConfig { probability: 0.5, length: 64 }),
            freeze_encoder_updates: 0,
            suppress_special: !hf,
            output: Translation { language: Language::German, pieces: Some(8_000), subwords: SubwordKind::Unigram },
        }
    }
}
