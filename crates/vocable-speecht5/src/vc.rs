//! Voice conversion: the same sentence in another voice (spec section 6.4).

use std::collections::BTreeMap;
use std::sync::Arc;

use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};
use vocable_data::manifest::Split;
use vocable_decode::{SpeechLimits, StopRule};
use vocable_nets::SpeechMasks;
use vocable_nn::Mode;
use vocable_random::Key;
use vocable_train::Sequences;

use crate::batch::Waveforms;
use crate::data::Dataset;
use crate::speech_loss::SpeechLoss;
use crate::to_speech::{LONGEST, Pair, SpeechBatch, SpeechInput, SpeechTaskConfig};
use crate::{ModelError, Preset, Regularisation, SpeechT5};

/// The conversion recipe, apart from the step loop's part.
pub type VcConfig = SpeechTaskConfig<Speech>;
/// A batch of utterances with what they become.
pub type VcBatch = SpeechBatch<Waveforms>;

/// An utterance becomes the same sentence by someone else.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Speech {}

impl VcConfig {
    /// The recipe of CMU Arctic (spec section 6) under a preset's switches.
    pub fn base(preset: Preset) -> Self {
        let rule = if preset == Preset::Hf { StopRule::Sum } else { StopRule::Any };
        let max_ratio = if preset == Preset::Hf { 20.0 } else { 10.0 };
        Self {
            regularisation: Regularisation::new(0.2, 0.2, [0.05, 0.0], 1.0).preset(preset),
            // 20k tokens, a token being a mel frame of 256 samples (table D46).
            batch_samples: if preset == Preset::Official { 1_280_000 } else { 20_000 * 256 },
            max_samples: Some(LONGEST),
            batch_items: 1024,
            micro_batches: if preset == Preset::Official { 3 } else { 1 },
            freeze_encoder_updates: 0,
            loss: SpeechLoss::base(preset),
            limits: SpeechLimits { rule, ..SpeechLimits::up_to(max_ratio) },
            test_pairs: 1200,
            input: Speech {},
        }
    }
}

impl SpeechInput for Speech {
    const TASK: &'static str = "vc";
    const NAME: &'static str = "voice conversion";
    const NONE: &'static str = "no two voices of the `train` split say the same sentence";
    type Data = Vec<Arc<[f32]>>;
    type Batch = Waveforms;

    /// All ordered pairs of utterances of a split with the same text in different voices; one without a text says nothing
    /// that another is known to say.
    fn pairs(&self, dataset: &Dataset, split: Split) -> Vec<Pair> {
        let mut by_text: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for index in dataset.split(split) {
            let text = dataset.utterance(index).text.as_str();
            if !text.is_empty() {
                by_text.entry(text).or_default().push(index);
            }
        }
        let mut pairs = Vec::new();
        for same in by_text.values() {
            for &source in same {
                let others =
                    same.iter().filter(|&&other| dataset.utterance(other).speaker != dataset.utterance(source).speaker);
                pairs.extend(others.map(|&target| Pair { source, target }));
            }
        }
        pairs
    }

    fn read(&self, dataset: &Dataset, pairs: &[Pair], _key: Key) -> Result<Self::Data, ModelError> {
        let sources: Vec<usize> = pairs.iter().map(|pair| pair.source).collect();
        dataset.audio(&sources)
    }

    fn heard(&self, dataset: &Dataset, pair: Pair, _key: Key) -> Result<Option<Arc<[f32]>>, ModelError> {
        Ok(Some(dataset.corpus.audio(pair.source)?))
    }

    fn sequences(data: &Self::Data) -> Sequences {
        Sequences::new("audio", data.iter().map(|item| item.len()))
    }

    fn batch(&self, data: &Self::Data, device: &Device) -> Waveforms {
        Waveforms::new(data, device)
    }

    fn encode(&self, model: &SpeechT5, waveforms: &Waveforms, mode: Mode) -> (Tensor<3>, Vec<usize>) {
        let masks = SpeechMasks::default();
        let encoded = model.encode_speech(waveforms.samples.clone(), &waveforms.lengths, None, &masks, mode);
        (encoded.states, encoded.lengths)
    }
}
