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

/// Ordered pairs of the recordings of one sentence, at most: all of a hundred recordings.
const MOST_PAIRS: usize = 10_000;

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
    /// that another is known to say. Of a sentence with more than 10,000 pairs it is so many of them, the same random choice
    /// every time.
    fn pairs(&self, dataset: &Dataset, split: Split) -> Vec<Pair> {
        let mut by_text: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for index in dataset.split(split) {
            let text = dataset.utterance(index).text.as_str();
            if !text.is_empty() {
                by_text.entry(text).or_default().push(index);
            }
        }
        let mut pairs = Vec::new();
        for (&text, same) in &by_text {
            let voices: Vec<&str> = same.iter().map(|&index| dataset.utterance(index).speaker.as_str()).collect();
            let places = places(&voices, Key::new(0).fold("pairs").fold(text)).into_iter();
            pairs.extend(places.map(|[source, target]| Pair { source: same[source], target: same[target] }));
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

    /// The frames that the convolutions make, whatever the padding rule (spec section 6.2).
    fn guided_positions(&self, model: &SpeechT5, waveforms: &Waveforms, _lengths: &[usize]) -> Vec<usize> {
        waveforms.lengths.iter().map(|&samples| model.extractor.frames(samples)).collect()
    }
}

/// All ordered pairs of places with different voices, by the first and then by the second; [`MOST_PAIRS`] that the key draws where there
/// are more.
fn places(voices: &[&str], key: Key) -> Vec<[usize; 2]> {
    let count = voices.len();
    // One voice after the other, so that a source's own voice is a range: its targets are what lies around it.
    let mut order: Vec<usize> = (0..count).collect();
    order.sort_by_key(|&place| voices[place]);
    let mut own = Vec::with_capacity(count);
    for group in order.chunk_by(|&a, &b| voices[a] == voices[b]) {
        own.extend(std::iter::repeat_n(own.len()..own.len() + group.len(), group.len()));
    }
    // Up to which number the pairs of each source go.
    let targets = own.iter().map(|own| count - own.len());
    let ends: Vec<usize> = targets.scan(0, |end, targets| (*end += targets, Some(*end)).1).collect();
    let all = ends.last().copied().unwrap_or(0);
    let chosen: Vec<usize> = match all <= MOST_PAIRS {
        true => (0..all).collect(),
        false => rand::seq::index::sample(&mut key.rng(), all, MOST_PAIRS).into_vec(),
    };
    let pair = |number: usize| {
        let source = ends.partition_point(|&end| end <= number);
        let before = number - source.checked_sub(1).map_or(0, |last| ends[last]);
        let target = if before < own[source].start { before } else { before + own[source].len() };
        [order[source], order[target]]
    };
    let mut pairs: Vec<[usize; 2]> = chosen.into_iter().map(pair).collect();
    pairs.sort_unstable();
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_all_in_order_up_to_ten_thousand_and_a_choice_beyond() {
        let all = |voices: &[&str]| {
            let pairs = (0..voices.len()).flat_map(|a| (0..voices.len()).map(move |b| [a, b]));
            pairs.filter(|&[a, b]| voices[a] != voices[b]).collect::<Vec<_>>()
        };
        let one_by_one: Vec<String> = (0..100).map(|n| n.to_string()).collect();
        let one_by_one: Vec<&str> = one_by_one.iter().map(String::as_str).collect();
        for voices in [&[][..], &["a"], &["a", "a"], &["b", "a", "b", "c", "a"], &one_by_one] {
            assert_eq!(places(voices, Key::new(1)), all(voices), "{voices:?}");
        }
        // One voice among many recordings of another: all of its pairs, few as they are.
        let rare = [&["b"; 4_000][..], &["a"]].concat();
        assert_eq!(places(&rare, Key::new(1)), all(&rare));

        let many: Vec<&str> = (0..3_000).map(|n| ["a", "b", "c"][n % 3]).collect();
        let chosen = places(&many, Key::new(1));
        assert_eq!(chosen.len(), MOST_PAIRS);
        assert!(chosen.is_sorted_by(|a, b| a < b) && chosen.iter().all(|&[a, b]| many[a] != many[b]));
        let sources: std::collections::HashSet<usize> = chosen.iter().map(|pair| pair[0]).collect();
        // A recording is missed with a chance of e^-3.3.
        assert!(sources.len() > 2_700, "{}", sources.len());
        assert_eq!(places(&many, Key::new(1)), chosen);
        assert_ne!(places(&many, Key::new(2)), chosen);
    }
}
