//! Synthesis: characters into speech (spec section 6.2).

use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};
use vocable_decode::{SpeechLimits, StopRule};
use vocable_nets::Tokens;
use vocable_nn::Mode;
use vocable_random::Key;
use vocable_train::Sequences;

use crate::data::Dataset;
use crate::speech_loss::SpeechLoss;
use crate::to_speech::{LONGEST, Pair, SpeechBatch, SpeechInput, SpeechTaskConfig};
use crate::{ModelConfig, ModelError, Preset, Regularisation, SpeechT5};

/// The synthesis recipe, apart from the step loop's part.
pub type TtsConfig = SpeechTaskConfig<Text>;
/// A batch of texts with what they sound like.
pub type TtsBatch = SpeechBatch<Tokens>;

/// A text is read aloud in the voice of whoever said it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Text {
    /// Whether `</s>` follows the text (table D11).
    pub append_eos: bool,
    /// Longer texts are left out, in tokens with the end.
    pub max_tokens: usize,
}

impl Text {
    /// Tokens of a text as the encoder reads them.
    pub fn tokens(&self, mut tokens: Vec<u32>, eos: u32) -> Vec<u32> {
        if self.append_eos {
            tokens.push(eos);
        }
        tokens
    }
}

/// Texts of a batch in host memory.
#[derive(Debug)]
pub struct TextData {
    texts: Vec<Vec<u32>>,
    pad: u32,
}

impl TtsConfig {
    /// The recipe of LibriTTS (spec section 6) under a preset's switches.
    pub fn base(preset: Preset) -> Self {
        let rule = if preset == Preset::Hf { StopRule::Sum } else { StopRule::Any };
        Self {
            regularisation: Regularisation::new(0.15, 0.15, [0.0, 0.0], 1.0).preset(preset),
            // 45k tokens, a token being a mel frame of 256 samples (table D46).
            batch_samples: if preset == Preset::Official { 3_200_000 } else { 45_000 * 256 },
            max_samples: Some(LONGEST),
            batch_items: 1024,
            micro_batches: 1,
            freeze_encoder_updates: if preset == Preset::Hf { 0 } else { 20_000 },
            loss: SpeechLoss::base(preset),
            limits: SpeechLimits { rule, ..SpeechLimits::up_to(20.0) },
            test_pairs: 200,
            input: Text { append_eos: preset != Preset::Official, max_tokens: 600 },
        }
    }
}

impl SpeechInput for Text {
    const TASK: &'static str = "tts";
    const NAME: &'static str = "synthesis";
    type Data = TextData;
    type Batch = Tokens;

    fn encodable(&self, _model: &ModelConfig, dataset: &Dataset, pair: Pair) -> bool {
        !dataset.tokens(pair.source).is_empty()
    }

    fn fits(&self, dataset: &Dataset, pair: Pair) -> bool {
        dataset.tokens(pair.source).len() + usize::from(self.append_eos) <= self.max_tokens
    }

    fn read(&self, dataset: &Dataset, pairs: &[Pair], _key: Key) -> Result<TextData, ModelError> {
        let vocabulary = &dataset.vocabulary;
        let texts = pairs.iter().map(|pair| self.tokens(dataset.tokens(pair.source), vocabulary.eos())).collect();
        Ok(TextData { texts, pad: vocabulary.pad() })
    }

    fn sequences(data: &TextData) -> Sequences {
        Sequences::new("text", data.texts.iter().map(Vec::len))
    }

    fn batch(&self, data: &TextData, device: &Device) -> Tokens {
        Tokens::new(&data.texts, data.pad, device)
    }

    fn encode(&self, model: &SpeechT5, tokens: &Tokens, mode: Mode) -> (Tensor<3>, Vec<usize>) {
        (model.encode_text(tokens, mode), tokens.lengths.clone())
    }
}
