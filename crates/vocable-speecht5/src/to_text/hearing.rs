//! What a trained model writes of recordings.

use burn::tensor::{Tensor, activation};
use serde::{Deserialize, Serialize};
use vocable_decode::{
    BeamConfig, Companions, CtcPrefixScorer, TextLimits, TextStepper, beam_search, ctc_greedy, greedy,
};
use vocable_lm::Fusion;
use vocable_nets::SpeechMasks;
use vocable_nn::Mode;

use super::{TextOutput, ToText};
use crate::batch::Waveforms;
use crate::data::in_order;
use crate::decode::TextDecoding;
use crate::{ModelError, SpeechT5};

/// What was said and what was heard.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Written {
    /// Utterance.
    pub id: String,
    /// Its text in the manifest.
    pub reference: String,
    /// What was heard.
    #[serde(flatten)]
    pub heard: Heard,
}

/// What was heard in a recording.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Heard {
    /// Beam search by the attention decoder and CTC together, and by a language model where there was one.
    pub joint: String,
    /// Greedy decoding by the attention decoder alone.
    pub attention: String,
    /// Greedy decoding by CTC alone.
    pub ctc: String,
}

impl<O: TextOutput> ToText<O> {
    /// Decodes utterances, `batch` at a time, as [`Self::hear`] does; `progress` hears how many are done, and may stop it.
    ///
    /// # Errors
    /// An unusable recording, by name; what `progress` says.
    pub fn write<E: From<ModelError>>(
        &self,
        model: &SpeechT5,
        indices: &[usize],
        batch: usize,
        search: &BeamConfig,
        lm: Option<&Fusion>,
        mut progress: impl FnMut(usize) -> Result<(), E>,
    ) -> Result<Vec<Written>, E> {
        let mut written = Vec::with_capacity(indices.len());
        // Utterances of one length pad each other least; the first block's norm hears padding.
        let order = self.dataset.by_length(indices, |&index| index);
        for rows in order.chunks(batch) {
            let indices: &Vec<usize> = &rows.iter().map(|&row| indices[row]).collect();
            let heard = self.hear(model, &self.dataset.audio(indices)?, search, lm);
            written.extend(indices.iter().zip(heard).map(|(&index, heard)| {
                let utterance = self.dataset.utterance(index);
                let reference = self.config.output.text(utterance).unwrap_or_default().to_owned();
                Written { id: utterance.id.clone(), reference, heard }
            }));
            progress(written.len())?;
        }
        Ok(in_order(written, &order))
    }

    /// Decodes recordings (16 kHz) together: by beam search, with a language model if there is one, and, for comparison,
    /// greedily by each head alone. The search writes as many tokens at most as the longest of the recordings has frames; the
    /// attention decoder alone no more than its own recording has. In recordings too short for a frame nothing is heard.
    pub fn hear(
        &self,
        model: &SpeechT5,
        audio: &[impl AsRef<[f32]>],
        search: &BeamConfig,
        lm: Option<&Fusion>,
    ) -> Vec<Heard> {
        let extractor = self.model.extractor();
        let audible = |audio: &&[f32]| extractor.frames(audio.len()) > 0;
        let audio: Vec<&[f32]> = audio.iter().map(AsRef::as_ref).collect();
        let long: Vec<&[f32]> = audio.iter().copied().filter(audible).collect();
        if long.is_empty() {
            return vec![Heard::default(); audio.len()];
        }
        let mut heard = self.hear_audible(model, &long, search, lm).into_iter();
        let one = |audio: &&[f32]| match audible(audio) {
            true => heard.next().expect("one for each that is heard"),
            false => Heard::default(),
        };
        audio.iter().map(one).collect()
    }

    fn hear_audible(&self, model: &SpeechT5, audio: &[&[f32]], search: &BeamConfig, lm: Option<&Fusion>) -> Vec<Heard> {
        let vocabulary = &self.vocabulary;
        let suppressed = self.config.suppressed(&**vocabulary);
        let waveforms = Waveforms::new(audio, &self.device.clone().inner());
        let encoded =
            model.encode_speech(waveforms.samples, &waveforms.lengths, None, &SpeechMasks::default(), Mode::Eval);
        let ctc_logits = model.ctc_logits(encoded.states.clone(), Mode::Eval);
        let ctc = ctc_greedy(ctc_logits.clone(), &encoded.lengths, vocabulary.blank());
        // A head that did not learn has nothing to say in the search.
        let ctc_weight = if self.config.ctc == 0.0 { 0.0 } else { search.ctc_weight };
        let scorers = match ctc_weight != 0.0 {
            true => prefix_scorers(ctc_logits, &encoded.lengths, vocabulary.blank(), vocabulary.eos()),
            false => Vec::new(),
        };
        let limits = TextLimits {
            start: vocabulary.eos(),
            end: vocabulary.eos(),
            min_length: 1,
            // No language spells more than one character per 20 ms frame, here of the longest recording.
            max_length: encoded.states.dims()[1].min(self.config.max_tokens),
        };
        let mut stepper = TextDecoding::new(model, &encoded.states, &encoded.lengths);
        let found = greedy(&mut stepper, audio.len(), &limits, &suppressed);
        let mut stepper = TextDecoding::new(model, &encoded.states, &encoded.lengths);
        let mut lm = lm.map(|lm| lm.stepper(audio.len()));
        let language_model = lm.as_mut().map(|lm| lm as &mut dyn TextStepper);
        let companions = Companions { ctc: &scorers, language_model };
        let search = BeamConfig { ctc_weight, ..*search };
        let joint = beam_search(&mut stepper, companions, audio.len(), &limits, &suppressed, &search);
        let together = found.into_iter().zip(ctc).zip(joint).zip(&encoded.lengths);
        together
            .map(|(((mut attention, ctc), joint), &length)| {
                // Its own limit, whatever its neighbours allow; the beam has searched up to theirs.
                attention.tokens.truncate(length);
                Heard {
                    joint: joint.first().map_or_else(String::new, |best| vocabulary.decode(&best.tokens)),
                    attention: vocabulary.decode(&attention.tokens),
                    ctc: vocabulary.decode(&ctc),
                }
            })
            .collect()
    }
}

/// CTC's view of every utterance of a batch, from logits `[batch, frames, vocabulary]`.
pub fn prefix_scorers(logits: Tensor<3>, lengths: &[usize], blank: u32, end: u32) -> Vec<CtcPrefixScorer> {
    let [_, frames, classes] = logits.dims();
    let host = activation::log_softmax(logits, 2).try_into_vec_as::<f32>().expect("log-probabilities are floats");
    let items = host.chunks_exact((frames * classes).max(1)).zip(lengths);
    items.map(|(item, &length)| CtcPrefixScorer::new(&item[..length * classes], classes, blank, end)).collect()
}
