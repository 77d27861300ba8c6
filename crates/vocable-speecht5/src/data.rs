//! A corpus made ready for the tasks: audio, log-mels, tokens, speaker vectors.

use std::sync::Arc;

use vocable_audio::{Frames, LogMel};
use vocable_data::corpus::Corpus;
use vocable_data::features::FeatureFolder;
use vocable_data::manifest::{Split, Utterance};
use vocable_data::speaker::{Origin, SpeakerVectors};
use vocable_data::store::Store;
use vocable_nn::ConvExtractorConfig;
use vocable_random::Key;
use vocable_text::CharVocabulary;

use crate::ModelError;

/// Bytes of log-mels that a [`Dataset`] keeps unless told otherwise: half a gibibyte, 7.5 hours.
pub const KEPT_MELS: usize = 512 << 20;

/// What log-mels are called in a [`FeatureFolder`]; the number changes with theirs.
const LOG_MEL: &str = "log-mel-1";

/// A corpus with its vocabulary and speaker vectors; audio and log-mels are computed when asked for and kept as far as
/// there is room.
pub struct Dataset {
    /// The recordings.
    pub corpus: Corpus,
    /// Recordings of noise that its speech may be mixed with, divided as the speech is.
    pub noise: Option<Corpus>,
    /// The characters.
    pub vocabulary: CharVocabulary,
    speakers: SpeakerVectors,
    log_mel: LogMel,
    mels: Store<Frames>,
    folder: Option<FeatureFolder>,
}

impl Dataset {
    /// Speaker vectors of width `speaker` are statistics of each voice's training log-mels (of whatever it has, for a
    /// voice without training utterances) relative to the mean voice (without
    /// that, all voices point the same way), where the manifest names no file.
    ///
    /// # Errors
    /// An unusable recording, by name.
    pub fn new(corpus: Corpus, vocabulary: CharVocabulary, speaker: usize) -> Result<Self, ModelError> {
        let log_mel = LogMel::default();
        let speakers = SpeakerVectors::statistics(&corpus, &log_mel, speaker, Origin::MeanVoice)?;
        let mels = Store::new(corpus.manifest().utterances.len(), KEPT_MELS);
        Ok(Self { corpus, noise: None, vocabulary, speakers, log_mel, mels, folder: None })
    }

    /// The same, keeping at most `bytes` bytes of log-mels; see [`Corpus::keep`] for the audio.
    #[must_use]
    pub fn keep_mels(self, bytes: usize) -> Self {
        let mels = Store::new(self.corpus.manifest().utterances.len(), bytes);
        Self { mels, ..self }
    }

    /// The same, keeping log-mels in a folder as well, from one run to the next.
    #[must_use]
    pub fn keep_mels_in(self, folder: FeatureFolder) -> Self {
        Self { folder: Some(folder), ..self }
    }

    /// The same with recordings of noise.
    #[must_use]
    pub fn in_noise(self, noise: Corpus) -> Self {
        Self { noise: Some(noise), ..self }
    }

    /// What is known about an utterance.
    pub fn utterance(&self, index: usize) -> &Utterance {
        &self.corpus.manifest().utterances[index]
    }

    /// Indices of a split's utterances.
    pub fn split(&self, split: Split) -> Vec<usize> {
        self.corpus.manifest().split(split)
    }

    /// Names of utterances, for records and messages.
    pub fn names(&self, indices: &[usize]) -> Vec<String> {
        indices.iter().map(|&index| self.utterance(index).id.clone()).collect()
    }

    /// Waveforms of utterances.
    ///
    /// # Errors
    /// An unusable recording, by name.
    pub fn audio(&self, indices: &[usize]) -> Result<Vec<Arc<[f32]>>, ModelError> {
        indices.iter().map(|&index| Ok(self.corpus.audio(index)?)).collect()
    }

    /// Log-mel of an utterance, `[frames, 80]`.
    ///
    /// # Errors
    /// An unusable recording, by name.
    pub fn mel(&self, index: usize) -> Result<Arc<Frames>, ModelError> {
        let size = |mel: &Frames| size_of_val(mel.data.as_slice());
        let make = || Ok(self.log_mel.log_mel(&self.corpus.audio(index)?));
        let kept = || match &self.folder {
            Some(folder) => folder.get(&self.corpus.content(index)?, LOG_MEL, make),
            None => make(),
        };
        self.mels.get(index, size, || kept().map(Arc::new))
    }

    /// Log-mels of utterances.
    ///
    /// # Errors
    /// An unusable recording, by name.
    pub fn mels(&self, indices: &[usize]) -> Result<Vec<Arc<Frames>>, ModelError> {
        indices.iter().map(|&index| self.mel(index)).collect()
    }

    /// Tokens of an utterance's transcript, without sentence marks.
    pub fn tokens(&self, index: usize) -> Vec<u32> {
        self.vocabulary.encode(&self.utterance(index).text)
    }

    /// Speaker vectors of utterances.
    ///
    /// # Errors
    /// A vector file that cannot be used, by name.
    pub fn speaker_vectors(&self, indices: &[usize]) -> Result<Vec<Vec<f32>>, ModelError> {
        indices.iter().map(|&index| Ok(self.speakers.of_utterance(&self.corpus, index)?)).collect()
    }

    /// The speaker vector of a sound (16 kHz) that is no recording of the corpus: its own statistics.
    pub fn voice_of(&self, samples: &[f32]) -> Vec<f32> {
        self.speakers.of_sound(&self.log_mel.log_mel(samples))
    }

    /// Values of a speaker vector.
    pub fn speaker_width(&self) -> usize {
        self.speakers.width()
    }

    /// The order of items by the length of the utterance that `utterance` finds in each, the shortest first.
    pub fn by_length<T>(&self, items: &[T], utterance: impl Fn(&T) -> usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..items.len()).collect();
        order.sort_by_key(|&row| self.declared_samples(utterance(&items[row])));
        order
    }

    /// Samples of an utterance as its manifest declares them, without decoding it.
    pub fn declared_samples(&self, index: usize) -> usize {
        (self.utterance(index).seconds * f64::from(vocable_data::corpus::RATE)).round() as usize
    }

    /// Whether an extractor makes a frame of an utterance's recording, which must not be shorter than its receptive field.
    pub(crate) fn makes_a_frame(&self, extractor: &ConvExtractorConfig, index: usize) -> bool {
        extractor.frames(self.declared_samples(index)) > 0
    }
}

/// Why an error leaves an utterance out of its batch: a file that cannot be used.
pub(crate) fn bad_file(error: &ModelError) -> Option<String> {
    match error {
        ModelError::Data(error) => Some(error.to_string()),
        _ => None,
    }
}

/// At most `count` of the items, the same random choice every time: an even stride could meet one voice only.
pub fn sample<T: Copy>(items: &[T], count: usize) -> Vec<T> {
    let count = count.min(items.len());
    let mut chosen = rand::seq::index::sample(&mut Key::new(0).fold("sample").rng(), items.len(), count).into_vec();
    chosen.sort_unstable();
    chosen.into_iter().map(|index| items[index]).collect()
}

/// Undoes an order: `results[n]` belongs to item `order[n]`.
pub fn in_order<T>(results: Vec<T>, order: &[usize]) -> Vec<T> {
    let mut pairs: Vec<(usize, T)> = order.iter().copied().zip(results).collect();
    pairs.sort_by_key(|&(row, _)| row);
    pairs.into_iter().map(|(_, result)| result).collect()
}

impl std::fmt::Debug for Dataset {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Dataset").field("corpus", &self.corpus.manifest().path).finish_non_exhaustive()
    }
}
