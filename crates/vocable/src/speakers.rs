//! `vocable speakers`: recordings → vectors of their voices, what is trained to make them, and how well they tell voices
//! apart.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::fs::{File, TryLockError};
use std::io::{ErrorKind, Write};
use std::path::{Component, Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use burn::module::Module;
use burn::tensor::Device;
use clap::builder::NonEmptyStringValueParser;
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use vocable_data::corpus::Corpus;
use vocable_data::files::write_atomically;
use vocable_data::manifest::{Manifest, Split, Utterance};
use vocable_data::speaker;
use vocable_metrics::equal_error_rate_of_pairs;
use vocable_random::Key;
use vocable_speakers::{RATE, SpeakerEncoder, SpeakerTask, SpeakerTraining, XVectorConfig, unit};
use vocable_train::{Decay, Event, Objective, OptimiserConfig, Record, Schedule, TrainConfig, TrainError, train};

use crate::session::{Ending, Outputs, Recordings, Reporter, Unusable, can_be_folder, same_place, say};

/// The exit code of a run that was interrupted.
const INTERRUPTED: u8 = 130;
/// The training's own files within the folder of the model.
const TRAINING: &str = "training";
/// The list of the utterances with their vectors, and the folder of these.
const MANIFEST: &str = "manifest.jsonl";
const VECTORS: &str = "vectors";
/// What decides on a training, beside its checkpoints.
const SETTINGS: &str = "settings.json";

/// What to do about voices.
#[derive(Subcommand)]
pub enum Speakers {
    /// Write the vectors of the voices in recordings, or of all utterances of a manifest with a manifest that names them.
    Embed(Embed),
    /// Measure how well the vectors of a manifest's utterances tell voices apart: equal-error rate over every two of them.
    Verify(Verify),
    /// Train an x-vector network to tell the voices of a manifest apart. The same command continues an interrupted run.
    Train(Train),
}

/// Options of `speakers embed`.
#[derive(Args)]
pub struct Embed {
    /// The network's folder: SpeechBrain's spkrec-xvect-voxceleb, or one that `speakers train` made.
    #[arg(long, value_name = "DIR")]
    model: PathBuf,
    /// Recordings (WAV, FLAC, Ogg Vorbis; any rate): files, folders with all that is in them, globs, or - for standard
    /// input.
    #[arg(value_name = "FILE", required_unless_present = "manifest", value_parser = NonEmptyStringValueParser::new())]
    files: Vec<String>,
    /// A manifest of 16 kHz recordings. OUT then is a folder of a vector an utterance, and manifest.jsonl that names them.
    #[arg(long, value_name = "MANIFEST", conflicts_with = "files")]
    manifest: Option<PathBuf>,
    /// Where vectors go: a .npy or .safetensors file, of several inputs a folder of .npy files.
    #[arg(long, short, value_name = "OUT")]
    output: PathBuf,
    /// Keep the vectors' lengths; without this they have length 1, as SpeechT5's voices do.
    #[arg(long)]
    raw: bool,
    /// Print an object per recording: file, output, width, seconds.
    #[arg(long)]
    json: bool,
}

/// Options of `speakers verify`.
#[derive(Args)]
pub struct Verify {
    /// The network's folder, as for `embed`.
    #[arg(long, value_name = "DIR")]
    model: PathBuf,
    /// A manifest of 16 kHz recordings with speakers.
    #[arg(long, value_name = "MANIFEST")]
    manifest: PathBuf,
    /// Which of its utterances: train, valid, test-clean (known voices) or test-other (unknown voices); several, separated by
    /// commas, are taken together.
    #[arg(long, value_name = "SPLITS", value_delimiter = ',', default_value = "test-clean")]
    split: Vec<Split>,
    /// Print an object: eer (in percent), trials, utterances, voices.
    #[arg(long)]
    json: bool,
}

/// Options of `speakers train`.
#[derive(Args)]
pub struct Train {
    /// A manifest of 16 kHz recordings with speakers; its `train` split is learnt, its `valid` split validates.
    #[arg(long, value_name = "MANIFEST")]
    manifest: PathBuf,
    /// The folder to make, in SpeechBrain's form; what training needs to continue is kept in training/ within it.
    #[arg(long, short, value_name = "DIR")]
    output: PathBuf,
    /// Updates.
    #[arg(long, value_name = "N", default_value_t = 20_000, value_parser = clap::value_parser!(u32).range(1..))]
    updates: u32,
    /// Utterances an update.
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = clap::value_parser!(u16).range(2..))]
    batch: u16,
    /// Seconds of each that are heard.
    #[arg(long, value_name = "SECONDS", default_value_t = 3.0)]
    segment: f64,
    /// The first learning rate; the last is a tenth of it.
    #[arg(long, value_name = "X", default_value_t = 1e-3)]
    learning_rate: f64,
    /// Channels of the five layers.
    #[arg(long, value_name = "N,N,N,N,N", value_delimiter = ',', default_value = "512,512,512,512,1500")]
    channels: Vec<usize>,
    /// Values of a vector.
    #[arg(long, value_name = "N", default_value_t = 512)]
    width: usize,
    /// Updates from one validation and checkpoint to the next.
    #[arg(long, value_name = "N", default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..))]
    every: u32,
    /// Decides on initial weights, order and crops.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
}

/// Does it, and says how the program ends.
pub fn run(what: &Speakers) -> Ending {
    match what {
        Speakers::Embed(options) => match &options.manifest {
            Some(manifest) => embed_manifest(options, manifest),
            None => embed(options),
        },
        Speakers::Verify(options) => verify(options),
        Speakers::Train(options) => train_encoder(options),
    }
}

/// A recording's vector: of length 1, or as it is where it is to be `raw`.
fn vector(encoder: &SpeakerEncoder, samples: &[f32], raw: bool) -> Result<Vec<f32>, String> {
    let vector = encoder.embed(samples).map_err(|error| error.to_string())?;
    match vector.iter().all(|value| value.is_finite()) {
        true => Ok(if raw { vector } else { unit(&vector) }),
        false => Err("its vector holds a value that is not finite".into()),
    }
}

fn embed(options: &Embed) -> Ending {
    let encoder = SpeakerEncoder::open(&options.model, &Device::flex())?;
    let inputs = Recordings::named(options.files.clone()).expand()?;
    let outputs = Outputs::new(&options.output, &inputs, "npy")?;
    let mut reporter = Reporter::of_files(options.json, inputs.len());
    for (number, input) in inputs.iter().enumerate() {
        let output = outputs.of(number);
        let written = input.samples(RATE).and_then(|(samples, seconds)| {
            let vector = vector(&encoder, &samples, options.raw);
            let vector = vector.map_err(|error| format!("{}: {error}", input.name))?;
            speaker::write(output, &vector).map_err(|error| error.to_string())?;
            Ok((vector.len(), seconds))
        });
        match written {
            Ok((width, seconds)) => {
                let output = output.display().to_string();
                let object = json!({ "file": input.name, "output": output, "width": width, "seconds": seconds });
                reporter.done(&object, &format!("{output}: {width} values"));
            }
            Err(error) => reporter.failed(&error),
        }
        reporter.step();
    }
    Ok(reporter.finish())
}

fn embed_manifest(options: &Embed, path: &Path) -> Ending {
    let encoder = SpeakerEncoder::open(&options.model, &Device::flex())?;
    let manifest = Manifest::read(path)?;
    can_be_folder(&options.output)?;
    let target = options.output.join(MANIFEST);
    if same_place(&target, path) {
        return Err(Unusable(format!("{}: it is the manifest itself; name another folder", target.display())));
    }
    let own = |utterance: &Utterance| utterance.speaker_vector.as_ref() == Some(&vector_file(&utterance.id));
    if target.exists() && !Manifest::read(&target).is_ok_and(|before| before.utterances.iter().all(own)) {
        let message = "it is in the way, and `speakers embed` did not make it; name another folder";
        return Err(Unusable(format!("{}: {message}", target.display())));
    }
    let named = |id: &str| Path::new(id).components().all(|part| matches!(part, Component::Normal(_)));
    if let Some(odd) = manifest.utterances.iter().find(|utterance| !named(&utterance.id)) {
        return Err(Unusable(format!("{}: the id `{}` cannot be the name of a file", path.display(), odd.id)));
    }
    let corpus = Corpus::new(manifest).keep(0);
    let utterances = &corpus.manifest().utterances;
    let mut reporter = Reporter::of_files(options.json, utterances.len());
    let mut embedded = Vec::with_capacity(utterances.len());
    for (index, utterance) in utterances.iter().enumerate() {
        let recording = corpus.manifest().resolve(&utterance.audio);
        let file = vector_file(&utterance.id);
        let written = corpus.audio(index).map_err(|error| error.to_string()).and_then(|samples| {
            let vector = vector(&encoder, &samples, options.raw);
            let vector = vector.map_err(|error| format!("{}: {error}", recording.display()))?;
            speaker::write(&options.output.join(&file), &vector).map_err(|error| error.to_string())?;
            std::path::absolute(&recording).map_err(|error| error.to_string())
        });
        match written {
            Ok(audio) => embedded.push(Utterance { audio, speaker_vector: Some(file), ..utterance.clone() }),
            Err(error) => reporter.failed(&error),
        }
        reporter.step();
    }
    let count = embedded.len();
    if count > 0 {
        Manifest { path: target.clone(), utterances: embedded }.write()?;
        let width = encoder.config.width;
        let target = target.display().to_string();
        let object = json!({ "output": target, "utterances": count, "width": width });
        reporter.done(&object, &format!("{target}: {count} utterances with vectors of {width} values"));
    }
    Ok(reporter.finish())
}

/// The file of an utterance's vector, from its manifest.
fn vector_file(id: &str) -> PathBuf {
    Path::new(VECTORS).join(format!("{id}.npy"))
}

fn verify(options: &Verify) -> Ending {
    let encoder = SpeakerEncoder::open(&options.model, &Device::flex())?;
    let corpus = Corpus::new(Manifest::read(&options.manifest)?).keep(0);
    let utterances = &corpus.manifest().utterances;
    let chosen = |index: &usize| options.split.contains(&utterances[*index].split);
    let indices: Vec<usize> = (0..utterances.len()).filter(chosen).collect();
    let mut reporter = Reporter::new(options.json, indices.len());
    let mut heard: Vec<(&str, Vec<f32>)> = Vec::with_capacity(indices.len());
    for index in indices {
        let utterance = &utterances[index];
        let embedded = corpus.audio(index).map_err(|error| error.to_string()).and_then(|samples| {
            let named = |error: String| format!("{}: {error}", corpus.manifest().resolve(&utterance.audio).display());
            vector(&encoder, &samples, false).map_err(named)
        });
        match embedded {
            Ok(vector) => heard.push((&utterance.speaker, vector)),
            Err(error) => reporter.failed(&error),
        }
        reporter.step();
    }
    let voices = heard.iter().map(|(speaker, _)| speaker).collect::<BTreeSet<_>>().len();
    let Some((eer, trials)) = equal_error_rate_of_pairs(&heard) else {
        let splits: Vec<String> = options.split.iter().map(ToString::to_string).collect();
        let (path, splits) = (options.manifest.display(), splits.join(", "));
        let message = format!("{path}: of {splits} no two utterances are of one voice, or none of two voices");
        return Err(Unusable(message));
    };
    let utterances = heard.len();
    let object = json!({ "eer": eer, "trials": trials, "utterances": utterances, "voices": voices });
    reporter
        .done(&object, &format!("eer {eer:.2} % over {trials} trials of {utterances} utterances by {voices} voices"));
    Ok(reporter.finish())
}

fn train_encoder(options: &Train) -> Ending {
    let task = task(options)?;
    let corpus = Arc::new(Corpus::new(Manifest::read(&options.manifest)?));
    can_be_folder(&options.output)?;
    let key = Key::new(options.seed);
    let training =
        SpeakerTraining::new(task.clone(), Arc::clone(&corpus), key.fold("data"), Device::flex().autodiff())?;
    let recipe = recipe(options);
    recipe.check()?;
    let folder = options.output.join(TRAINING);
    let data = corpus.manifest().hash();
    let _lock = lock(&folder)?;
    keep_to(&folder, &json!({ "data": data, "seed": options.seed, "task": &task, "train": &recipe }))?;
    training.notes().iter().for_each(|note| eprintln!("warning: {note}"));
    let interrupt = on_interrupt();
    let updates = options.updates as usize;
    let mut observe = |event: Event| match event {
        Event::Damaged { path, reason } => eprintln!("warning: {} is passed over: {reason}", path.display()),
        Event::NotPruned { error } => eprintln!("warning: old checkpoints stay: {error}"),
        Event::Started { from: Some(from), .. } => eprintln!("continuing from {}", from.display()),
        Event::Recorded { record: Record::LeftOut { utterance, reason, .. }, .. } => {
            eprintln!("warning: {utterance} is left out: {reason}");
        }
        Event::Recorded { record: Record::Validation { update, numbers, .. }, remaining } => {
            let numbers: Vec<String> = numbers.iter().map(|(name, value)| format!("{name} {value:.4}")).collect();
            eprintln!("update {update} of {updates}: {}; {} s left", numbers.join(", "), remaining.as_secs());
        }
        Event::Started { .. } | Event::Recorded { .. } | Event::Saved { .. } => {}
    };
    let model = training.init(key.fold("model"));
    let trained = train(&recipe, options.seed, model, &training, &folder, &interrupt, &mut observe);
    let model = match trained {
        Err(error @ TrainError::Interrupted { .. }) => {
            eprintln!("{error}");
            return Ok(ExitCode::from(INTERRUPTED));
        }
        trained => trained.map_err(with_cause)?,
    };
    let encoder = SpeakerEncoder::new(&options.output, task.model, model.valid().encoder);
    encoder.save(&options.output)?;
    let (out, width, voices) = (options.output.display(), encoder.config.width, training.speakers().len());
    say(format_args!("{out}: vectors of {width} values, learnt from {voices} voices"));
    Ok(ExitCode::SUCCESS)
}

/// Holds a training's folder, which no other process may train in meanwhile, until the file is closed.
fn lock(folder: &Path) -> Result<File, Unusable> {
    std::fs::create_dir_all(folder).map_err(|error| Unusable(format!("{}: {error}", folder.display())))?;
    let path = folder.join("lock");
    let failed = |error: &dyn Display| Unusable(format!("{}: {error}", path.display()));
    let file = File::options().create(true).append(true).open(&path).map_err(|error| failed(&error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Unusable(format!(
            "{}: another process trains in it; wait for it, or name another folder",
            folder.display()
        ))),
        Err(TryLockError::Error(error)) => Err(failed(&error)),
    }
}

/// Says in a training's folder what it is a training of, and refuses to take that of other settings for it.
fn keep_to(folder: &Path, settings: &Value) -> Result<(), Unusable> {
    let (path, text) = (folder.join(SETTINGS), format!("{settings:#}\n"));
    match std::fs::read_to_string(&path) {
        Ok(before) if before == text => Ok(()),
        Ok(before) => {
            let [before, now] = [&before, &text].map(|text| serde_json::from_str(text).unwrap_or(Value::Null));
            let mut names = Vec::new();
            differences("", &before, &now, &mut names);
            let message = "repeat the command that began it, or name another folder";
            let (folder, names) = (folder.display(), names.join(", "));
            Err(Unusable(format!("{folder}: a training of other settings ({names}) is there; {message}")))
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {
            Ok(write_atomically(&path, |out| out.write_all(text.as_bytes()))?)
        }
        Err(error) => Err(Unusable(format!("{}: {error}", path.display()))),
    }
}

/// The dotted names of what differs in two values below `name`.
fn differences(name: &str, one: &Value, other: &Value, names: &mut Vec<String>) {
    match (one, other) {
        (Value::Object(one), Value::Object(other)) => {
            let keys: BTreeSet<&String> = one.keys().chain(other.keys()).collect();
            for key in keys {
                let below = if name.is_empty() { key.clone() } else { format!("{name}.{key}") };
                let [one, other] = [one, other].map(|values| values.get(key).unwrap_or(&Value::Null));
                differences(&below, one, other, names);
            }
        }
        (one, other) if one != other => names.push(name.to_owned()),
        _ => {}
    }
}

fn task(options: &Train) -> Result<SpeakerTask, Unusable> {
    let mut model = XVectorConfig { width: options.width, ..XVectorConfig::official() };
    let layers = model.layers.len();
    if options.channels.len() != layers {
        let found = options.channels.len();
        return Err(Unusable(format!("--channels has {found} numbers, where {layers} are expected")));
    }
    model.layers.iter_mut().zip(&options.channels).for_each(|(layer, &channels)| layer.channels = channels);
    if !(options.segment.is_finite() && (0.1..=60.0).contains(&options.segment)) {
        return Err(Unusable(format!("--segment is {}, where 0.1 to 60 seconds are expected", options.segment)));
    }
    let segment = (options.segment * f64::from(RATE)).round() as usize;
    Ok(SpeakerTask { model, segment, batch_items: options.batch.into(), ..SpeakerTask::official() })
}

/// SpeechBrain's: Adam, from the rate to a tenth of it in a straight line.
fn recipe(options: &Train) -> TrainConfig {
    let adamw = OptimiserConfig { beta1: 0.9, beta2: 0.999, eps: 1e-8, weight_decay: 2e-6, clip: 0.0 };
    let schedule = Schedule::TriStage { warmup: 0.0, hold: 0.0, initial: 1.0, last: 0.1, decay: Decay::Linear };
    let every = options.every as usize;
    TrainConfig {
        validate_every: every,
        checkpoint_every: every,
        ..TrainConfig::new(options.updates as usize, options.learning_rate, schedule, adamw)
    }
}

/// What went wrong in training, with what caused it.
fn with_cause(error: TrainError) -> Unusable {
    match std::error::Error::source(&error) {
        Some(source) => Unusable(format!("{error}: {source}")),
        None => Unusable(error.to_string()),
    }
}

/// A flag that the first Ctrl-C sets; the second one ends the process at once.
fn on_interrupt() -> Arc<AtomicBool> {
    let flag = Arc::new(AtomicBool::new(false));
    let set = flag.clone();
    let handler = move || {
        if set.swap(true, Ordering::Relaxed) {
            std::process::exit(INTERRUPTED.into());
        }
        eprintln!("\nstopping after this update; press Ctrl-C again to stop at once");
    };
    if let Err(error) = ctrlc::set_handler(handler) {
        eprintln!("warning: Ctrl-C will end the run at once, without a checkpoint: {error}");
    }
    flag
}
