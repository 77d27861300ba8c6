//! Stages of the tasks that end in speech: `finetune-{tts,vc,se}`, `decode-…`, `score-…`, and `hear-…`, the recogniser's
//! judgement.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use serde::{Deserialize, Serialize};
use vocable_audio::{DISTANCE_CEPSTRUM, Frames, GriffinLim, LogMel, distance_cepstrum, write_wav};
use vocable_data::corpus::RATE;
use vocable_data::manifest::Split;
use vocable_lab::{Cost, Scores, Stage, StageRun};
use vocable_metrics::{EditCounts, log_mel_cepstral_distance, word_errors};
use vocable_random::Key;
use vocable_speecht5::data::Dataset;
use vocable_speecht5::to_speech::{Pair, SpeechInput, SpeechTaskConfig, ToSpeech};
use vocable_train::save_model;

use super::data::Datasets;
use super::picture;
use super::scored::scored;
use super::{MODEL, device, train};
use crate::config::{Recipe, RunConfig};
use crate::pipeline::{Heard, Inputs};

const SPOKEN: &str = "spoken.json";
const SPOKEN_MELS: &str = "log-mel.f32";
const HEARD_MELS: &str = "heard-log-mel.f32";
/// Iterations of Griffin-Lim for the samples and the recogniser.
pub(super) const GRIFFIN_LIM: usize = 32;

/// What a model said.
#[derive(Serialize, Deserialize)]
struct Spoken {
    mel: usize,
    items: Vec<Item>,
}

#[derive(Serialize, Deserialize)]
pub(super) struct Item {
    source: String,
    pub target: String,
    frames: usize,
    /// Frames of what the encoder heard; none where it read.
    heard: usize,
    ended: bool,
    focus: f64,
}

/// A task that ends in speech, as the pipeline needs it.
pub trait SpeechTask: SpeechInput + Serialize {
    /// Whether it reads what it says: every utterance needs a text.
    const READS: bool = false;
    /// Whether it says in one voice what it hears in another: some sentence needs two.
    const SAYS_AGAIN: bool = false;

    /// Its recipe.
    fn recipe(c: &RunConfig) -> &Recipe<SpeechTaskConfig<Self>>;

    /// The manifest of the noise that it mixes its speech with, if it does.
    fn noise(_c: &RunConfig) -> Option<&str> {
        None
    }
}

fn objective<I: SpeechTask>(
    c: &RunConfig,
    dataset: &Arc<Dataset>,
    validation: usize,
    key: Key,
) -> anyhow::Result<ToSpeech<I>> {
    let (task, model) = (I::recipe(c).task.clone(), c.model.clone());
    Ok(ToSpeech::new(task, model, Arc::clone(dataset), validation, key, device())?)
}

/// Trains the task.
pub fn finetune<I: SpeechTask>(c: &RunConfig, inputs: Inputs, datasets: &Arc<Datasets>) -> Arc<Stage> {
    let recipe = I::recipe(c);
    let task = &recipe.task;
    let heard = (task.batch_samples * task.micro_batches, task.batch_items * task.micro_batches);
    let config = c.clone();
    let learn = move |run: &StageRun, start, dataset: Arc<Dataset>, key: Key| {
        let (loop_config, validation) = (config.executed(&I::recipe(&config).train), config.evaluation.validation);
        let objective = objective::<I>(&config, &dataset, validation, key.fold(I::TASK))?;
        let trained = train(run, &loop_config, config.seed, start, &objective)?;
        Ok(save_model(&trained, &run.outputs().join(MODEL))?)
    };
    let kind = format!("finetune-{}", I::TASK);
    super::finetune(kind, c, recipe, &task.regularisation, heard, inputs, datasets, learn)
}

/// What draws the inputs and the dropout of generation.
pub(super) fn decode_key<I: SpeechInput>(seed: u64) -> Key {
    Key::new(seed).fold(format!("decode-{}", I::TASK).as_str())
}

/// Says test pairs; writes log-mels, and a few of them as sound.
pub fn decode<I: SpeechTask>(c: &RunConfig, heard: &Heard, model: &Arc<Stage>, datasets: &Arc<Datasets>) -> Arc<Stage> {
    let (c, datasets) = (c.clone(), Arc::clone(datasets));
    let (task, evaluation, seed) = (&I::recipe(&c).task, c.evaluation, c.seed);
    let settings = (task.limits, task.test_pairs, &task.input, evaluation.batch, evaluation.samples, seed);
    Stage::new(format!("decode-{}", I::TASK), 2, settings)
        .input("prepare", &heard.prepare)
        .input_if_any("noise", heard.noise.as_ref())
        .input("model", model)
        .cost(Cost { steps: 0, parameters: model.cost().parameters, seconds: 10.0 })
        .run(move |run| {
            let dataset = datasets.open(run, c.model.speaker)?;
            let model = super::trained(run, "model", &c.model, &dataset, seed)?;
            let key = decode_key::<I>(seed);
            let objective = objective::<I>(&c, &dataset, 0, key)?;
            let test = objective.test(Split::TestClean);
            run.progress().start(test.len() as u64, "pairs");
            let progress = |done: usize| -> anyhow::Result<()> {
                run.progress().step(done as u64, "said");
                Ok(run.check()?)
            };
            let spoken = objective.generate(&model, &test, evaluation.batch, progress)?;
            let (mut said, mut heard, mut items) = (Vec::new(), Vec::new(), Vec::new());
            let (front_end, griffin_lim) = (LogMel::default(), GriffinLim::new(LogMel::default(), GRIFFIN_LIM));
            for (n, item) in spoken.iter().enumerate() {
                let Pair { source, target } = item.pair;
                let sound = objective.heard(item.pair)?;
                let mel = sound.as_ref().map(|sound| front_end.log_mel(sound));
                said.extend(item.mel.data.iter().flat_map(|value| value.to_le_bytes()));
                heard.extend(mel.iter().flat_map(|mel| &mel.data).flat_map(|value| value.to_le_bytes()));
                items.push(Item {
                    source: dataset.utterance(source).id.clone(),
                    target: dataset.utterance(target).id.clone(),
                    frames: item.mel.len(),
                    heard: mel.as_ref().map_or(0, |mel| mel.len()),
                    ended: item.ended,
                    focus: item.focus,
                });
                if n < evaluation.samples {
                    let exhibits = run.exhibits()?;
                    let show = |name: &str, sound: &[f32], mel: &Frames| -> anyhow::Result<()> {
                        fs::write(exhibits.join(format!("{n}-{name}.png")), picture::log_mel(mel)?)?;
                        Ok(write_wav(exhibits.join(format!("{n}-{name}.wav")), sound, RATE)?)
                    };
                    show("said", &griffin_lim.samples(&item.mel, key.fold("phase").fold(n)), &item.mel)?;
                    let truth = dataset.corpus.audio(target)?;
                    show("target", &truth, &front_end.log_mel(&truth))?;
                    if let (Some(sound), Some(mel)) = (&sound, &mel) {
                        show("heard", sound, mel)?;
                    }
                    let alignment = objective.alignment(&model, item.pair, &item.mel)?;
                    fs::write(exhibits.join(format!("{n}-alignment.png")), picture::alignment(&alignment)?)?;
                }
            }
            run.write_output(SPOKEN_MELS, &said)?;
            run.write_output(HEARD_MELS, &heard)?;
            Ok(run.write_json(SPOKEN, &Spoken { mel: c.model.mel, items })?)
        })
}

/// What a decoding stage left: items, with what was said and what was heard.
pub(super) fn read(folder: &Path) -> anyhow::Result<Vec<(Item, Frames, Frames)>> {
    let list: Spoken = vocable_lab::files::read_json(&folder.join(SPOKEN))?.context("speech is there")?;
    let values = |name| -> anyhow::Result<std::vec::IntoIter<f32>> {
        let path = folder.join(name);
        let bytes = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let values: Vec<f32> = bytes.as_chunks().0.iter().map(|value| f32::from_le_bytes(*value)).collect();
        Ok(values.into_iter())
    };
    let (mut said, mut heard) = (values(SPOKEN_MELS)?, values(HEARD_MELS)?);
    let take = |from: &mut std::vec::IntoIter<f32>, frames: usize| {
        Frames::new(from.by_ref().take(frames * list.mel).collect(), list.mel)
    };
    Ok(list
        .items
        .into_iter()
        .map(|item| {
            let (said, heard) = (take(&mut said, item.frames), take(&mut heard, item.heard));
            (item, said, heard)
        })
        .collect())
}

/// Scores speech by its mel-cepstral distance to the target, beside that of what was heard.
pub fn score<I: SpeechTask>(c: &RunConfig, heard: &Heard, decode: &Arc<Stage>, datasets: &Arc<Datasets>) -> Arc<Stage> {
    let (seed, speaker, datasets) = (c.seed, c.model.speaker, Arc::clone(datasets));
    let kind = format!("score-{}", I::TASK);
    Stage::new(kind, 3, DISTANCE_CEPSTRUM).input("prepare", &heard.prepare).input("decode", decode).run(move |run| {
        let dataset = datasets.open(run, speaker)?;
        let (mut distances, mut unchanged) = (Vec::new(), Vec::new());
        let (mut ended, mut focus, mut speakers, mut texts) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for (item, said, heard) in read(&run.input("decode"))? {
            let target = find(&dataset, &item.target)?;
            speakers.push(dataset.utterance(target).speaker.clone());
            texts.push(dataset.utterance(target).text.as_str());
            let truth = distance_cepstrum(&*dataset.mel(target)?);
            distances.push(distance(&distance_cepstrum(&said), &truth));
            if item.heard > 0 {
                unchanged.push(distance(&distance_cepstrum(&heard), &truth));
            }
            ended.push(if item.ended { 100.0 } else { 0.0 });
            focus.push(item.focus);
        }
        let mut scores = Scores::new();
        for (name, values) in
            [("mcd", distances), ("source_mcd", unchanged), ("ended", ended), ("attention_focus", focus)]
        {
            if name == "source_mcd" && values.is_empty() {
                continue;
            }
            let score = scored(values, &texts, seed).context("there are no test pairs")?;
            run.log(format!("{name} {:.3}", score.value))?;
            scores = scores.with(name, score.speakers(speakers.clone()));
        }
        Ok(run.write_scores(&scores)?)
    })
}

/// Scores speech by the words that a recogniser of this project makes of it, beside those it makes of what was heard and
/// of the target. `judge` is the configuration of the recogniser's model.
pub fn hear<I: SpeechTask>(
    c: &RunConfig,
    judge: &RunConfig,
    heard: &Heard,
    decode: &Arc<Stage>,
    recogniser: &Arc<Stage>,
    datasets: &Arc<Datasets>,
) -> Arc<Stage> {
    let (c, judge, datasets) = (c.clone(), judge.clone(), Arc::clone(datasets));
    let settings = (GRIFFIN_LIM, judge.evaluation.search, judge.evaluation.batch, judge.asr.task.suppress_special);
    Stage::new(format!("hear-{}", I::TASK), 3, settings)
        .input("prepare", &heard.prepare)
        .input_if_any("noise", heard.noise.as_ref())
        .input("decode", decode)
        .input("model", recogniser)
        .cost(Cost { steps: 0, parameters: recogniser.cost().parameters, seconds: 20.0 })
        .run(move |run| {
            let (recognition, model, dataset) = super::asr::recogniser(run, &judge, &datasets)?;
            let key = decode_key::<I>(c.seed);
            let objective = objective::<I>(&c, &dataset, 0, key)?;
            let spoken = read(&run.input("decode"))?;
            run.progress().start(spoken.len() as u64, "utterances");
            let griffin_lim = GriffinLim::new(LogMel::default(), GRIFFIN_LIM);
            let (mut counts, mut speakers): ([Vec<EditCounts>; 3], _) = (Default::default(), Vec::new());
            let mut all_texts = Vec::new();
            for (n, batch) in spoken.chunks(judge.evaluation.batch).enumerate() {
                let (mut texts, mut said, mut heard, mut targets) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
                for (at, (item, mel, _)) in batch.iter().enumerate() {
                    let [source, target] = [find(&dataset, &item.source)?, find(&dataset, &item.target)?];
                    texts.push(dataset.utterance(target).text.as_str());
                    speakers.push(dataset.utterance(target).speaker.clone());
                    said.push(griffin_lim.samples(mel, key.fold("phase").fold(n).fold(at)));
                    targets.push(dataset.corpus.audio(target)?);
                    heard.extend(objective.heard(Pair { source, target })?);
                }
                let said: Vec<Arc<[f32]>> = said.into_iter().map(Into::into).collect();
                for (counts, audio) in counts.iter_mut().zip([said, heard, targets]) {
                    if !audio.is_empty() {
                        let heard = recognition.hear(&model, &audio, &judge.evaluation.search, None);
                        counts.extend(texts.iter().zip(heard).map(|(text, heard)| word_errors(text, &heard.joint)));
                    }
                }
                all_texts.extend(texts);
                run.progress().step((n * judge.evaluation.batch + batch.len()) as u64, "heard");
                run.check()?;
            }
            let mut scores = Scores::new();
            for (name, counts) in ["wer", "source_wer", "target_wer"].into_iter().zip(counts) {
                if name == "source_wer" && counts.is_empty() {
                    continue;
                }
                let score = scored(counts, &all_texts, c.seed)?;
                run.log(format!("{name} {:.2}", score.value))?;
                scores = scores.with(name, score.speakers(speakers.clone()));
            }
            Ok(run.write_scores(&scores)?)
        })
}

fn find(dataset: &Dataset, id: &str) -> anyhow::Result<usize> {
    let utterances = &dataset.corpus.manifest().utterances;
    utterances.iter().position(|utterance| utterance.id == id).with_context(|| format!("no utterance is called {id}"))
}

fn distance(a: &Frames, b: &Frames) -> f64 {
    log_mel_cepstral_distance(&a.data, &b.data, a.width, false).decibels
}
