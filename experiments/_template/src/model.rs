//! The network, and the objective that trains it.

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};
use vocable_data::DataError;
use vocable_data::sampler::Limits;
use vocable_nets::{TokenMatrix, Tokens};
use vocable_nn::{Dropout, Init, Linear, Mode};
use vocable_objectives::{CrossEntropy, Losses, cross_entropy};
use vocable_random::Key;
use vocable_text::CharVocabulary;
use vocable_train::{Batch, BatchId, Items, Objective, ObjectiveError, Sequences};

/// Sizes and switches of the network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NetworkConfig {
    /// Characters that are read before the next is guessed.
    pub context: usize,
    /// Numbers that a character becomes.
    pub width: usize,
    /// Units of the hidden layer.
    pub hidden: usize,
    /// Dropout of the hidden layer.
    pub dropout: f64,
}

/// Guesses a character from those before it. Source: Bengio et al. 2003, "A neural probabilistic language model".
#[derive(Module, Debug)]
pub struct Network {
    embedding: TokenMatrix,
    hidden: Linear,
    output: Linear,
    dropout: f64,
}

impl NetworkConfig {
    /// Initial weights, drawn from the key.
    pub fn init(&self, vocabulary: &CharVocabulary, key: Key, device: &Device) -> Network {
        let (init, characters) = (Init::new(key, device).with_deviation(0.1), vocabulary.len());
        Network {
            embedding: TokenMatrix::new(characters, self.width, vocabulary.pad(), &init.fold("embedding")),
            hidden: Linear::new(self.context * self.width, self.hidden, &init.fold("hidden")),
            output: Linear::new(self.hidden, characters, &init.fold("output")),
            dropout: self.dropout,
        }
    }
}

impl Network {
    /// The characters before each place, `[places, context]` → logits of the next, `[places, vocabulary]`.
    pub fn forward(&self, before: &Tokens, mode: Mode) -> Tensor<2> {
        let x = self.embedding.embed(before);
        let [places, context, width] = x.dims();
        let hidden = self.hidden.forward(x.reshape([places, context * width])).tanh();
        self.output.forward(Dropout(self.dropout).forward(hidden, mode.fold("dropout")))
    }
}

/// Places in sentences: the characters before each, and the one to guess.
#[derive(Clone, Debug, Default)]
pub struct Places {
    before: Vec<Vec<u32>>,
    next: Vec<u32>,
}

impl Places {
    /// Every place of a sentence, its end included; before its start there are ends.
    pub fn of(sentence: &[u32], context: usize, end: u32) -> Self {
        let whole = [&vec![end; context][..], sentence, &[end]].concat();
        let (before, next) = whole.windows(context + 1).map(|w| (w[..context].to_vec(), w[context])).unzip();
        Self { before, next }
    }

    /// How well the network guesses them.
    pub fn guessed(&self, network: &Network, device: &Device, mode: Mode) -> CrossEntropy {
        // All rows are of one length, so that the padding's identifier is never used.
        let logits = network.forward(&Tokens::new(&self.before, 0, device), mode);
        cross_entropy(logits.unsqueeze(), std::slice::from_ref(&self.next), 0.0)
    }
}

/// Guessing the characters of sentences. Batches and dropout are functions of the update, so that a run which was
/// interrupted ends as if it had not been.
pub struct Guessing {
    sentences: Vec<Vec<u32>>,
    batches: Items<usize>,
    context: usize,
    end: u32,
    key: Key,
    device: Device,
}

impl Guessing {
    /// Trains on some sentences and validates on others, in batches of at most `batch` characters.
    ///
    /// # Errors
    /// Nothing to train on, or a sentence longer than a batch.
    pub fn new(
        config: &NetworkConfig,
        [train, valid]: [Vec<Vec<u32>>; 2],
        batch: usize,
        end: u32,
        key: Key,
        device: Device,
    ) -> Result<Self, DataError> {
        let (learnt, all) = (train.len(), train.len() + valid.len());
        let sentences = [train, valid].concat();
        let held_out: Vec<usize> = (learnt..all).collect();
        let limits = Limits { max_tokens: batch, max_items: usize::MAX };
        let length = |n: usize| [sentences[n].len() + 1];
        let batches = Items::new((0..learnt).collect(), &held_out, length, limits, 1, key.fold("order"))?;
        Ok(Self { sentences, batches, context: config.context, end, key, device })
    }
}

impl Objective<Network> for Guessing {
    type Data = Places;

    fn validation_batches(&self) -> usize {
        self.batches.validation_batches()
    }

    fn prepare(&self, id: BatchId) -> Result<Batch<Places>, ObjectiveError> {
        let numbers = self.batches.of(id);
        let mut data = Places::default();
        for &n in &numbers {
            let Places { before, next } = Places::of(&self.sentences[n], self.context, self.end);
            data.before.extend(before);
            data.next.extend(next);
        }
        let read = Sequences::new("text", [data.next.len()]);
        let bytes = 4 * data.next.len() * (self.context + 1);
        let utterances = numbers.iter().map(|n| format!("sentence {n}")).collect();
        Ok(Batch { data, utterances, sequences: vec![read], bytes, left_out: Vec::new() })
    }

    fn losses(&self, network: &Network, places: &Places, id: BatchId) -> Result<Losses, ObjectiveError> {
        let (key, device) = id.pass(self.key, &self.device);
        let guessed = places.guessed(network, &device, key.into());
        Ok(Losses::new(&device)
            .add("guess/cross_entropy", 1.0, guessed.per_token())
            .log("guess/accuracy", guessed.accuracy()))
    }
}
