//! Enhancement: speech in noise becomes the speech alone (spec section 6.5).

use std::sync::Arc;

use burn::tensor::{Device, Tensor};
use rand::seq::IndexedRandom;
use rand::{Rng, RngExt};
use serde::{Deserialize, Serialize};
use vocable_audio::{Frames, LogMel};
use vocable_data::manifest::Split;
use vocable_nn::Mode;
use vocable_random::Key;
use vocable_train::Sequences;

use crate::batch::{Prediction, Waveforms};
use crate::data::Dataset;
use crate::to_speech::{LONGEST, Pair, SpeechInput, SpeechTaskConfig, targets};
use crate::vc::{Speech, VcConfig};
use crate::{ModelError, Preset, SpeechT5};

/// The enhancement recipe, apart from the step loop's part. The official code has no command for it; its authors advise
/// the recipe of voice conversion.
pub type SeConfig = SpeechTaskConfig<Noisy>;

/// An utterance in noise becomes the utterance.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Noisy {
    /// What is mixed with the speech.
    pub noise: Noise,
    /// Signal-to-noise ratios in dB, lowest and highest, between which each mixture draws one.
    pub snr: [f64; 2],
    /// What the decoder is told of the voice.
    pub speaker: SpeakerFrom,
    /// What the decoder reads, and what its frames mean (`se_predict`).
    pub predict: Prediction,
}

/// What speech is mixed with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Noise {
    /// White noise.
    White,
    /// Four other utterances of the training split at once.
    Babble,
    /// A recording of the noise that the [`Dataset`] is heard in ([`Dataset::in_noise`]).
    Recordings,
}

/// Where the speaker vector comes from (`se.spk`); the paper does not say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SpeakerFrom {
    /// That of whoever speaks.
    Utterance,
    /// A vector of zeros.
    Zero,
    /// Statistics of the mixture that is heard, whatever files the manifest names.
    Noisy,
}

/// Voices in a babble.
const VOICES: usize = 4;

impl SeConfig {
    /// The recipe of WHAM! (spec section 6) under a preset's switches.
    pub fn base(preset: Preset) -> Self {
        let VcConfig { regularisation, batch_items, loss, limits, .. } = VcConfig::base(preset);
        Self {
            regularisation,
            // 16k tokens, a token being a mel frame of 256 samples (table D46).
            batch_samples: 16_000 * 256,
            max_samples: Some(LONGEST),
            batch_items,
            micro_batches: 1,
            freeze_encoder_updates: 0,
            loss,
            limits,
            test_pairs: 3_000,
            input: Noisy {
                noise: Noise::Babble,
                snr: [-3.0, 6.0],
                speaker: SpeakerFrom::Noisy,
                predict: Prediction::Target,
            },
        }
    }
}

impl Noisy {
    /// The utterance in noise; `key` and the utterance draw the noise and its power.
    ///
    /// # Errors
    /// An unusable recording, by name; no recordings of noise where they are asked for.
    pub fn mixture(&self, dataset: &Dataset, index: usize, key: Key) -> Result<Vec<f32>, ModelError> {
        let (speech, key) = (dataset.corpus.audio(index)?, key.fold("noise").fold(index));
        let noise = match self.noise {
            Noise::White => vocable_audio::white_noise(speech.len(), key.fold("white")),
            Noise::Babble => babble(dataset, index, speech.len(), key)?,
            Noise::Recordings => recorded(dataset, index, speech.len(), key)?,
        };
        let [lowest, highest] = self.snr;
        let snr = lowest + (highest - lowest) * key.fold("snr").rng().random::<f64>();
        Ok(vocable_audio::mix_at_snr(&speech, &noise, snr))
    }
}

/// The sum of other training utterances, each repeated from a drawn place on.
fn babble(dataset: &Dataset, index: usize, samples: usize, key: Key) -> Result<Vec<f32>, ModelError> {
    let mut others = dataset.split(Split::Train);
    others.retain(|&other| other != index);
    let mut rng = key.fold("babble").rng();
    let mut noise = vec![0.0; samples];
    for &other in others.sample(&mut rng, VOICES) {
        let voice = dataset.corpus.audio(other)?;
        noise.iter_mut().zip(stretch(&voice, &mut rng)).for_each(|(sum, sample)| *sum += sample);
    }
    Ok(noise)
}

/// A recording of noise, of the part that the utterance plays.
fn recorded(dataset: &Dataset, index: usize, samples: usize, key: Key) -> Result<Vec<f32>, ModelError> {
    let split = dataset.utterance(index).split;
    let fits = |part: Split| part == split || (part.is_test() && split.is_test());
    let unsuitable = || {
        let message =
            format!("there is no recording of noise for `{split}`; `vocable prepare noise` divides a folder of them");
        ModelError::Unsuitable { task: Noisy::TASK, message }
    };
    let corpus = dataset.noise.as_ref().ok_or_else(unsuitable)?;
    let all = &corpus.manifest().utterances;
    let recordings: Vec<usize> = (0..all.len()).filter(|&recording| fits(all[recording].split)).collect();
    let mut rng = key.fold("recorded").rng();
    let noise = corpus.audio(*recordings.choose(&mut rng).ok_or_else(unsuitable)?)?;
    Ok(stretch(&noise, &mut rng).take(samples).copied().collect())
}

/// A recording from a drawn place on, over and over.
fn stretch<'a>(recording: &'a [f32], rng: &mut impl Rng) -> impl Iterator<Item = &'a f32> {
    recording.iter().cycle().skip(rng.random_range(0..recording.len()))
}

/// Mixtures of a batch in host memory.
#[derive(Debug)]
pub struct NoisyData {
    audio: Vec<Vec<f32>>,
    /// Log-mels, where predictions are relative to them.
    mels: Vec<Frames>,
}

impl SpeechInput for Noisy {
    const TASK: &'static str = "se";
    const NAME: &'static str = "enhancement";
    type Data = NoisyData;
    type Batch = Waveforms;

    fn read(&self, dataset: &Dataset, pairs: &[Pair], key: Key) -> Result<NoisyData, ModelError> {
        let audio: Vec<Vec<f32>> =
            pairs.iter().map(|pair| self.mixture(dataset, pair.source, key)).collect::<Result<_, _>>()?;
        let mels = match self.predict {
            Prediction::Target => Vec::new(),
            Prediction::Masking | Prediction::Delta => {
                let front_end = LogMel::default();
                audio.iter().map(|audio| front_end.log_mel(audio)).collect()
            }
        };
        Ok(NoisyData { audio, mels })
    }

    fn heard(&self, dataset: &Dataset, pair: Pair, key: Key) -> Result<Option<Arc<[f32]>>, ModelError> {
        Ok(Some(self.mixture(dataset, pair.source, key)?.into()))
    }

    fn sequences(data: &NoisyData) -> Sequences {
        Sequences::new("audio", data.audio.iter().map(Vec::len))
    }

    fn batch(&self, data: &NoisyData, device: &Device) -> Waveforms {
        Waveforms::new(&data.audio, device)
    }

    fn encode(&self, model: &SpeechT5, waveforms: &Waveforms, mode: Mode) -> (Tensor<3>, Vec<usize>) {
        Speech {}.encode(model, waveforms, mode)
    }

    fn guided_positions(&self, model: &SpeechT5, waveforms: &Waveforms, lengths: &[usize]) -> Vec<usize> {
        Speech {}.guided_positions(model, waveforms, lengths)
    }

    fn guide<'a>(&self, data: &'a NoisyData) -> Option<(Prediction, &'a [Frames])> {
        (self.predict != Prediction::Target).then_some((self.predict, data.mels.as_slice()))
    }

    fn voices(&self, dataset: &Dataset, pairs: &[Pair], data: &NoisyData) -> Result<Vec<Vec<f32>>, ModelError> {
        match self.speaker {
            SpeakerFrom::Utterance => dataset.speaker_vectors(&targets(pairs)),
            SpeakerFrom::Zero => Ok(vec![vec![0.0; dataset.speaker_width()]; pairs.len()]),
            SpeakerFrom::Noisy => Ok(data.audio.iter().map(|heard| dataset.voice_of(heard)).collect()),
        }
    }
}
