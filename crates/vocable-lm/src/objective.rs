//! Training on lines of text.

use burn::tensor::Device;
use serde::{Deserialize, Serialize};
use vocable_data::DataError;
use vocable_data::sampler::Limits;
use vocable_nets::Tokens;
use vocable_nn::Mode;
use vocable_objectives::{CrossEntropy, Losses, cross_entropy};
use vocable_random::Key;
use vocable_train::{Batch, BatchId, Items, Objective, ObjectiveError, Sequences, keep};

use crate::{LmConfig, TransformerLm};

/// The recipe of a language model, apart from the step loop's part.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LmTask {
    /// The model.
    pub model: LmConfig,
    /// Tokens of a micro-batch, with padding.
    pub batch_tokens: usize,
    /// Sentences of a micro-batch at most.
    pub batch_items: usize,
    /// Micro-batches of an update.
    pub micro_batches: usize,
    /// Longer sentences are left out of training, in tokens with their end.
    pub max_tokens: usize,
}

impl LmTask {
    /// The official model in batches of 16,384 tokens; how it was trained is not published.
    pub fn official() -> Self {
        Self {
            model: LmConfig::official(),
            batch_tokens: 16_384,
            batch_items: 1024,
            micro_batches: 1,
            max_tokens: 1024,
        }
    }
}

/// Next-token prediction over sentences (without sentence marks): `</s> x` → `x </s>`.
#[derive(Debug)]
pub struct LanguageModelling {
    train: Vec<Vec<u32>>,
    valid: Vec<Vec<u32>>,
    sentences: Items<usize>,
    notes: Vec<String>,
    marks: Marks,
    key: Key,
    device: Device,
}

/// `</s>` and `<pad>`.
#[derive(Clone, Copy, Debug)]
struct Marks {
    end: u32,
    pad: u32,
}

impl Marks {
    /// The mean loss of a token over some sentences.
    fn pass(self, model: &TransformerLm, sentences: &[Vec<u32>], device: &Device, mode: Mode) -> CrossEntropy {
        let begun = |sentence: &Vec<u32>| std::iter::once(self.end).chain(sentence.iter().copied()).collect();
        let ended = |sentence: &Vec<u32>| sentence.iter().copied().chain([self.end]).collect();
        let input: Vec<Vec<u32>> = sentences.iter().map(begun).collect();
        let target: Vec<Vec<u32>> = sentences.iter().map(ended).collect();
        cross_entropy(model.forward(&Tokens::new(&input, self.pad, device), mode), &target, 0.0)
    }
}

impl LanguageModelling {
    /// Trains on the sentences `train` and validates on `valid`; `[end, pad]` are the identifiers of `</s>` and `<pad>`.
    ///
    /// # Errors
    /// Nothing that fits to train on.
    pub fn new(
        task: &LmTask,
        train: Vec<Vec<u32>>,
        valid: Vec<Vec<u32>>,
        [end, pad]: [u32; 2],
        key: Key,
        device: Device,
    ) -> Result<Self, DataError> {
        let mut notes = Vec::new();
        let limit = task.max_tokens.min(task.batch_tokens);
        let why = format!("longer than max_tokens (or batch_tokens) = {limit} tokens");
        let all = (0..train.len()).collect();
        let fits = |&n: &usize| train[n].len() < limit;
        let kept = keep(all, "sentences", &why, fits, |n| format!("sentence {n}"), &mut notes);
        let limits = Limits { max_tokens: task.batch_tokens, max_items: task.batch_items };
        // Held-out sentences lie behind the others.
        let held_out: Vec<usize> = (train.len()..train.len() + valid.len()).collect();
        let length = |n: usize| [train.get(n).unwrap_or_else(|| &valid[n - train.len()]).len() + 1];
        let sentences = Items::new(kept, &held_out, length, limits, task.micro_batches, key.fold("order"))?;
        Ok(Self { train, valid, sentences, notes, marks: Marks { end, pad }, key, device })
    }
}

impl Objective<TransformerLm> for LanguageModelling {
    type Data = Vec<Vec<u32>>;

    fn micro_batches(&self) -> usize {
        self.sentences.micro_batches()
    }

    fn validation_batches(&self) -> usize {
        self.sentences.validation_batches()
    }

    fn prepare(&self, id: BatchId) -> Result<Batch<Vec<Vec<u32>>>, ObjectiveError> {
        let numbers = self.sentences.of(id);
        let sentence = |&n: &usize| self.train.get(n).unwrap_or_else(|| &self.valid[n - self.train.len()]).clone();
        let data: Vec<Vec<u32>> = numbers.iter().map(sentence).collect();
        let read = Sequences::new("text", data.iter().map(|sentence| sentence.len() + 1));
        let utterances = numbers.iter().map(|n| format!("sentence {n}")).collect();
        Ok(Batch { utterances, bytes: 4 * read.valid, sequences: vec![read], data, left_out: Vec::new() })
    }

    fn losses(&self, model: &TransformerLm, data: &Vec<Vec<u32>>, id: BatchId) -> Result<Losses, ObjectiveError> {
        let (key, device) = id.pass(self.key, &self.device);
        let found = self.marks.pass(model, data, &device, key.into());
        let per_token = found.negative_log_likelihood / found.tokens.max(1) as f64;
        Ok(Losses::new(&device)
            .add("lm/cross_entropy", 1.0, found.per_token())
            .log("lm/perplexity", per_token.exp())
            .log("lm/accuracy", found.accuracy()))
    }

    fn notes(&self) -> Vec<String> {
        self.notes.clone()
    }
}

/// How probable a model finds some sentences.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Learnt {
    /// Sum of the tokens' negative log-probabilities, the ends' included, in nats.
    pub nats: f64,
    /// Tokens, ends included.
    pub tokens: usize,
}

impl Learnt {
    /// Per token: e to the mean negative log-probability.
    pub fn perplexity(&self) -> f64 {
        (self.nats / self.tokens.max(1) as f64).exp()
    }
}

/// Scores whole sentences (without marks), at most `batch` at a time; `[end, pad]` as in [`LanguageModelling::new`].
pub fn log_likelihood(
    model: &TransformerLm,
    sentences: &[Vec<u32>],
    [end, pad]: [u32; 2],
    batch: usize,
    device: &Device,
) -> Learnt {
    let mut sorted = sentences.to_vec();
    sorted.sort_by_key(Vec::len);
    sorted.chunks(batch.max(1)).fold(Learnt { nats: 0.0, tokens: 0 }, |sum, sentences| {
        let found = Marks { end, pad }.pass(model, sentences, device, Mode::Eval);
        Learnt { nats: sum.nats + found.negative_log_likelihood, tokens: sum.tokens + found.tokens }
    })
}
