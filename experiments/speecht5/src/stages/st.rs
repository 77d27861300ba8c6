//! Stages `vocabulary-st`, `finetune-st`, `decode-st`, `score-st`.

use std::sync::Arc;

use anyhow::Context;
use vocable_data::manifest::Split;
use vocable_lab::{Cost, Scores, Stage, StageRun};
use vocable_metrics::BleuCounts;
use vocable_random::Key;
use vocable_speecht5::SpeechT5;
use vocable_speecht5::data::Dataset;
use vocable_speecht5::st::Translating;
use vocable_speecht5::to_text::{TextOutput, Written};
use vocable_text::{CharVocabulary, Subwords, Vocabulary};
use vocable_train::save_model;

use super::data::Datasets;
use super::scored::{scored, written};
use super::{MODEL, device, train};
use crate::config::RunConfig;
use crate::pipeline::Inputs;

const VOCABULARY: &str = "vocabulary.json";
const TRANSLATIONS: &str = "translations.json";

/// Learns the vocabulary of the training split's translations.
pub fn vocabulary(c: &RunConfig, prepare: &Arc<Stage>, datasets: &Arc<Datasets>) -> Arc<Stage> {
    let (output, speaker, datasets) = (c.st.task.output, c.model.speaker, Arc::clone(datasets));
    Stage::new("vocabulary-st", 1, output).input("prepare", prepare).run(move |run| {
        let dataset = datasets.open(run, speaker)?;
        let train = dataset.split(Split::Train);
        let texts = train.iter().filter_map(|&index| output.text(dataset.utterance(index)));
        match output.pieces {
            Some(pieces) => run.write_json(VOCABULARY, &Subwords::train(texts, output.subwords, pieces)?)?,
            None => run.write_json(VOCABULARY, &CharVocabulary::from_lines(texts))?,
        }
        Ok(())
    })
}

/// Reads what the stage behind the input `vocabulary` learned.
fn learned(run: &StageRun, c: &RunConfig) -> anyhow::Result<Arc<dyn Vocabulary>> {
    let path = run.input("vocabulary").join(VOCABULARY);
    let missing = || format!("{} is missing", path.display());
    Ok(match c.st.task.output.pieces {
        Some(_) => Arc::new(vocable_lab::files::read_json::<Subwords>(&path)?.with_context(missing)?),
        None => Arc::new(vocable_lab::files::read_json::<CharVocabulary>(&path)?.with_context(missing)?),
    })
}

/// A model that writes another vocabulary than the one it was pre-trained with: only the special tokens are the same.
fn rewritten(model: SpeechT5, c: &RunConfig, vocabulary: &dyn Vocabulary, key: Key) -> SpeechT5 {
    let [pieces, _] = model.tokens.weight.shape().dims();
    let same = [vocabulary.bos(), vocabulary.pad(), vocabulary.eos(), vocabulary.unk()];
    let mut before = vec![None; vocabulary.len()];
    same.into_iter().for_each(|token| before[token as usize] = Some(token));
    (before[vocabulary.mask() as usize], before[vocabulary.blank() as usize]) =
        (Some(pieces as u32 - 2), Some(pieces as u32 - 1));
    let device = model.tokens.weight.device();
    model.with_vocabulary(&before, &c.model.initial(key.fold("translation"), &device))
}

/// Trains translation.
pub fn finetune(c: &RunConfig, inputs: Inputs, datasets: &Arc<Datasets>) -> Arc<Stage> {
    let task = &c.st.task;
    let heard = (task.batch_samples * task.micro_batches, task.batch_items * task.micro_batches);
    let config = c.clone();
    let learn = move |run: &StageRun, start, dataset, key: Key| {
        let (c, vocabulary) = (&config, learned(run, &config)?);
        let start = rewritten(start, c, &*vocabulary, key);
        let (task, validation) = (c.st.task.clone(), c.evaluation.validation);
        let key = key.fold("st");
        let objective = Translating::new(task, c.model.clone(), dataset, vocabulary, validation, key, device())?;
        let trained = train(run, &c.executed(&c.st.train), c.seed, start, &objective)?;
        Ok(save_model(&trained, &run.outputs().join(MODEL))?)
    };
    super::finetune("finetune-st", c, &c.st, &task.regularisation, heard, inputs, datasets, learn)
}

/// Translates a test split.
pub fn decode(
    c: &RunConfig,
    prepare: &Arc<Stage>,
    vocabulary: &Arc<Stage>,
    model: &Arc<Stage>,
    split: Split,
    datasets: &Arc<Datasets>,
) -> Arc<Stage> {
    let (c, datasets) = (c.clone(), Arc::clone(datasets));
    let (batch, search) = (c.evaluation.batch, c.evaluation.translation);
    Stage::new("decode-st", 1, (split, batch, search, c.st.task.suppress_special))
        .input("prepare", prepare)
        .input("vocabulary", vocabulary)
        .input("model", model)
        .cost(Cost { steps: 0, parameters: model.cost().parameters, seconds: 5.0 })
        .run(move |run| {
            let dataset: Arc<Dataset> = datasets.open(run, c.model.speaker)?;
            let (vocabulary, key) = (learned(run, &c)?, Key::new(c.seed));
            let start = super::initial(&c.model, &dataset.vocabulary, c.seed);
            let model = super::weights(run, "model", rewritten(start, &c, &*vocabulary, key))?;
            let (task, config) = (c.st.task.clone(), c.model.clone());
            let objective = Translating::new(task, config, dataset, vocabulary, 0, key, device())?;
            let test = objective.test(split);
            run.progress().start(test.len() as u64, "utterances");
            let progress = |done: usize| -> anyhow::Result<()> {
                run.progress().step(done as u64, "translated");
                Ok(run.check()?)
            };
            let translations = objective.write(&model, &test, batch, &search, None, progress)?;
            Ok(run.write_json(TRANSLATIONS, &translations)?)
        })
}

/// Scores translations by BLEU, of beam search and of the best next token alone.
pub fn score(
    c: &RunConfig,
    prepare: &Arc<Stage>,
    decode: &Arc<Stage>,
    split: Split,
    datasets: &Arc<Datasets>,
) -> Arc<Stage> {
    let (seed, datasets) = (c.seed, Arc::clone(datasets));
    let stage = Stage::new("score-st", 2, (split, BleuCounts::SIGNATURE));
    stage.input("prepare", prepare).input("decode", decode).run(move |run| {
        let (translations, speakers) = written(run, TRANSLATIONS, &datasets)?;
        let texts: Vec<&str> = translations.iter().map(|t| t.reference.as_str()).collect();
        let mut scores = Scores::new();
        type Head = fn(&Written) -> &str;
        let heads: [(&str, Head); 2] = [("bleu", |t| &t.heard.joint), ("greedy_bleu", |t| &t.heard.attention)];
        for (name, head) in heads {
            let counts: Vec<BleuCounts> = translations.iter().map(|t| BleuCounts::of(&t.reference, head(t))).collect();
            let score = scored(counts, &texts, seed).with_context(|| format!("the split {split}"))?;
            run.log(format!("{name} {:.2} ({})", score.value, BleuCounts::SIGNATURE))?;
            scores = scores.with(name, score.speakers(speakers.clone()));
        }
        Ok(run.write_scores(&scores)?)
    })
}
