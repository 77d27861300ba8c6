//! Our side of the work.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result};
use burn::module::Module;
use burn::optim::{GradientsAccumulator, GradientsParams};
use burn::tensor::{Device, Tensor, TensorData};
use rayon::prelude::*;
use vocable_audio::{Frames, LogMel, white_noise};
use vocable_data::mask::{SpanMask, compute_mask_indices};
use vocable_decode::{
    BeamConfig, Companions, Hypothesis, SpeechLimits, TextLimits, beam_search, generate_speech, greedy,
};
use vocable_nets::{SpeechMasks, Tokens};
use vocable_nn::{Mode, Storage};
use vocable_objectives::Losses;
use vocable_random::Key;
use vocable_speecht5::asr::{AsrBatch, AsrConfig};
use vocable_speecht5::batch::{SpeechTarget, Waveforms};
use vocable_speecht5::checkpoint::Checkpoint;
use vocable_speecht5::decode::{SpeechDecoding, TextDecoding};
use vocable_speecht5::pretrain::{PretrainConfig, SpeechBatch, TextBatch};
use vocable_speecht5::{ModelConfig, Pretrainer, Regularisation, SpeechT5};
use vocable_train::OptimiserConfig;
use vocable_train::parameters::parameters;
use vocable_vocoder::Vocoder;

use crate::inputs::{BLANK, CLUSTERS, EOS, Inputs, PAD, VOCABULARY, mask_tensor};
use crate::job::{Job, Optimiser, Program, Work};

/// Named numbers that a run ends with.
pub type Outcome = BTreeMap<String, f64>;

/// Work that can run again and again.
pub struct Ready {
    /// Numbers in the model.
    pub weights: usize,
    /// Does it once.
    pub run: Box<dyn FnMut() -> Outcome>,
}

/// Builds what a job asks for.
pub fn prepare(job: &Job) -> Result<Ready> {
    let inputs = Inputs::read(&job.inputs)?;
    let model = |regularisation: &Regularisation, device: Device| -> Result<SpeechT5> {
        let drawn = job.model.init(VOCABULARY, PAD, regularisation, Key::new(1), &device);
        Ok(match &job.weights {
            Some(folder) => Checkpoint::open(folder.join("model.safetensors"))?.load(drawn)?.0,
            None => drawn,
        })
    };
    let inference = || -> Result<SpeechT5> { Ok(model(&Regularisation::none(), Device::flex())?.materialize()) };
    Ok(match &job.work {
        Work::Pretraining { config, optimiser, .. } => pretraining(&job.model, config, *optimiser, &inputs),
        Work::Recognition { config, optimiser, .. } => {
            let start = model(&config.regularisation, Device::flex().autodiff())?;
            recognition(start, &job.model, config, *optimiser, &inputs)
        }
        Work::Encoding { .. } => encoding(inference()?, &inputs),
        Work::Text { tokens, storage, .. } => text(inference()?, &inputs, *tokens, *storage),
        Work::Speech { characters, frames, storage, vocoder, .. } => {
            let vocoder = if *vocoder { Some(open_vocoder(job)?) } else { None };
            speech(inference()?, &inputs, *frames as f64 / *characters as f64, job.model.mel, *storage, vocoder)
        }
        Work::Vocoding { .. } => vocoding(open_vocoder(job)?, &inputs, job.model.mel),
        Work::Transcription { beam, tokens, .. } => transcription(inference()?, &inputs, *beam, *tokens),
        Work::Program(command) => program(*command, job)?,
        Work::LogMel { repeats, .. } => log_mel(&inputs, *repeats),
    })
}

fn waveforms(inputs: &Inputs, device: &Device) -> Waveforms {
    let rows = inputs.rows("waveforms");
    Waveforms::new(&rows.iter().map(Vec::as_slice).collect::<Vec<_>>(), device)
}

fn pretraining(model: &ModelConfig, config: &PretrainConfig, optimiser: Optimiser, inputs: &Inputs) -> Ready {
    let device = Device::flex().autodiff();
    let part = config.speech.clone().expect("pre-training has a speech part");
    let mels = inputs.rows("mel");
    let windows: Vec<&[f32]> = mels.iter().map(Vec::as_slice).collect();
    let full: Vec<usize> = windows.iter().map(|window| window.len() / model.mel).collect();
    let (labels, speakers) = (part.stop_labels, inputs.rows("speaker"));
    let speech = SpeechBatch {
        waveforms: waveforms(inputs, &device),
        masked: inputs.flags("masked"),
        classes: inputs.tokens("classes"),
        target: SpeechTarget::new(&windows, &full, model.mel, model.reduction, labels, &speakers, &device),
    };
    let valid = |(tokens, valid): (Vec<u32>, Vec<bool>)| {
        tokens.into_iter().zip(valid).filter(|(_, valid)| *valid).map(|(token, _)| token).collect()
    };
    let noised: Vec<Vec<u32>> = inputs.tokens("noised").into_iter().zip(inputs.flags("valid")).map(valid).collect();
    let text = TextBatch {
        noised: Tokens::new(&noised, PAD, &device),
        input: Tokens::new(&inputs.tokens("shifted"), PAD, &device),
        target: inputs.tokens("target"),
    };
    let start = Pretrainer::new(model, config, VOCABULARY, PAD, CLUSTERS, Key::new(1), &device);
    let config = config.clone();
    training(start, optimiser, 2, move |pretrainer: &Pretrainer, update, micro, mode| match micro {
        0 => pretrainer.speech(&config, &part, &speech, update, mode, None).0,
        _ => pretrainer.text(&config, &text, update, mode, None).0,
    })
}

fn recognition(
    start: SpeechT5,
    model: &ModelConfig,
    config: &AsrConfig,
    optimiser: Optimiser,
    inputs: &Inputs,
) -> Ready {
    let device = Device::flex().autodiff();
    let target = inputs.tokens("target");
    let shifted: Vec<Vec<u32>> = target.iter().map(|tokens| [&[EOS], &tokens[..tokens.len() - 1]].concat()).collect();
    let waveforms = waveforms(inputs, &device);
    let [items, samples] = waveforms.samples.dims();
    let mask = |size: usize, probability, length, minimum| {
        let spans = SpanMask { probability, length, minimum };
        mask_tensor(&compute_mask_indices(&vec![size; items], size, spans, Key::new(2)), &device)
    };
    let frames = model.extractor().frames(samples);
    let masks = SpeechMasks {
        time: config.time_mask.map(|spans| mask(frames, spans.probability, spans.length, 2)),
        channel: config.channel_mask.map(|spans| mask(model.width, spans.probability, spans.length, 0)),
    };
    let batch = AsrBatch { waveforms, masks, input: Tokens::new(&shifted, PAD, &device), target };
    let config = config.clone();
    training(start, optimiser, 1, move |model: &SpeechT5, _, _, mode| {
        config.pass(model, &batch, EOS, BLANK, false, mode).losses
    })
}

/// Updates as the step loop makes them, from the losses of (model, update, micro-batch, mode).
fn training<M: Module + 'static>(
    start: M,
    optimiser: Optimiser,
    micro_batches: usize,
    losses: impl Fn(&M, usize, usize, Mode) -> Losses + 'static,
) -> Ready {
    let Optimiser { beta1, beta2, eps, weight_decay, clip, learning_rate } = optimiser;
    let recipe = OptimiserConfig { beta1, beta2, eps, weight_decay, clip };
    let start = start.materialize();
    let weights = count(&start);
    let mut adamw = vocable_train::Optimiser::new(&recipe);
    let mut step = move |model: M, update: usize| {
        let mut gradients = GradientsAccumulator::new();
        let mut outcome = Outcome::new();
        for micro in 0..micro_batches {
            let mode = Mode::Train(Key::new(5).fold(update).fold(micro));
            let losses = losses(&model, update, micro, mode);
            outcome.extend(losses.terms);
            gradients.accumulate(&model, GradientsParams::from_grads(losses.total.backward(), &model));
        }
        let gradients = gradients.grads();
        (adamw.step(model, gradients, micro_batches as f64, learning_rate).0, outcome)
    };
    let (mut model, mut update) = (Some(start), 0);
    let run = move || {
        let (next, outcome) = step(model.take().expect("a model"), update);
        (model, update) = (Some(next), update + 1);
        outcome
    };
    Ready { weights, run: Box::new(run) }
}

fn encoding(model: SpeechT5, inputs: &Inputs) -> Ready {
    let waveforms = waveforms(inputs, &Device::flex());
    let masks = SpeechMasks::default();
    let weights = count(&model);
    let run = move || {
        let samples = waveforms.samples.clone();
        let states = model.encode_speech(samples, &waveforms.lengths, None, &masks, Mode::Eval).states;
        let frames = states.dims()[1] as f64;
        let magnitude = f64::from(states.abs().mean().into_scalar::<f32>());
        Outcome::from([("frames".into(), frames), ("magnitude".into(), magnitude)])
    };
    Ready { weights, run: Box::new(run) }
}

fn text(model: SpeechT5, inputs: &Inputs, tokens: usize, storage: Option<Storage>) -> Ready {
    let waveforms = waveforms(inputs, &Device::flex());
    let items = waveforms.lengths.len();
    let masks = SpeechMasks::default();
    let memory = model.encode_speech(waveforms.samples, &waveforms.lengths, None, &masks, Mode::Eval);
    let limits = TextLimits { start: EOS, end: EOS, min_length: tokens, max_length: tokens };
    let weights = count(&model);
    let (model, moved) = compress(model, storage, |model| {
        let sentence: Vec<u32> = (0..tokens as u32).map(|n| 5 + n % 26).collect();
        let input = Tokens::new(&vec![sentence; items], PAD, &Device::flex());
        model.decode_text(&input, memory.states.clone(), &memory.lengths, Mode::Eval)
    });
    let run = move || {
        let found = greedy(&mut TextDecoding::new(&model, &memory.states, &memory.lengths), items, &limits, &[]);
        // Other weights may choose other tokens.
        let mut outcome = Outcome::from([moved.clone().unwrap_or_else(|| ("digest".into(), digest(&found)))]);
        outcome.insert("tokens".into(), count_tokens(&found));
        outcome
    };
    Ready { weights, run: Box::new(run) }
}

fn count_tokens(found: &[Hypothesis]) -> f64 {
    found.iter().map(|hypothesis| hypothesis.tokens.len()).sum::<usize>() as f64
}

/// A number that other tokens would hardly have.
fn digest(found: &[Hypothesis]) -> f64 {
    let places = |tokens: &Vec<u32>| (1..).zip(tokens).map(|(place, &token)| place * u64::from(token)).sum::<u64>();
    found.iter().map(|hypothesis| places(&hypothesis.tokens)).sum::<u64>() as f64
}

fn transcription(model: SpeechT5, inputs: &Inputs, beam: usize, tokens: usize) -> Ready {
    let waveforms = waveforms(inputs, &Device::flex());
    let limits = TextLimits { start: EOS, end: EOS, min_length: 0, max_length: tokens };
    let weights = count(&model);
    let run = move || {
        let Waveforms { samples, lengths } = waveforms.clone();
        let encoded = model.encode_speech(samples, &lengths, None, &SpeechMasks::default(), Mode::Eval);
        let mut stepper = TextDecoding::new(&model, &encoded.states, &encoded.lengths);
        if beam == 1 {
            let found = greedy(&mut stepper, 1, &limits, &[]);
            return Outcome::from([("digest".into(), digest(&found)), ("tokens".into(), count_tokens(&found))]);
        }
        let config = BeamConfig::attention(beam);
        let found = beam_search(&mut stepper, Companions::default(), 1, &limits, &[], &config);
        Outcome::from([("tokens".into(), count_tokens(&found[0][..1]))])
    };
    Ready { weights, run: Box::new(run) }
}

/// The folder in which the Python worker leaves models and what programs are given.
fn shared(job: &Job) -> Result<&Path> {
    job.weights.as_deref().context("the sides share no weights")
}

fn open_vocoder(job: &Job) -> Result<Vocoder> {
    Ok(Vocoder::open(shared(job)?.join("vocoder"), &Device::flex())?)
}

fn vocoding(vocoder: Vocoder, inputs: &Inputs, mel: usize) -> Ready {
    let log_mel = Frames::new(inputs.rows("mel").concat(), mel);
    let run = move || {
        let samples = vocoder.samples(&log_mel, Key::new(8));
        let magnitude = samples.iter().map(|sample| f64::from(sample.abs())).sum::<f64>() / samples.len() as f64;
        Outcome::from([("samples".into(), samples.len() as f64), ("magnitude".into(), magnitude)])
    };
    Ready { weights: 0, run: Box::new(run) }
}

/// `vocable` beside this program, on files that the Python worker has written.
fn program(program: Program, job: &Job) -> Result<Ready> {
    let folder = shared(job)?.to_owned();
    let path = |name: &str| folder.join(name).display().to_string();
    let model = path("");
    let mut arguments: Vec<String> = match program {
        Program::Transcribe { beam, tokens, .. } => {
            let (beam, tokens) = (beam.to_string(), tokens.to_string());
            ["transcribe", "--no-suppress", "--beam", &beam, "--max-tokens", &tokens, &path("input.wav")]
                .map(str::to_owned)
                .into()
        }
        Program::Speak { ratio, .. } => {
            let (vocoder, voice, ratio) = (path("vocoder"), path("speaker.safetensors"), ratio.to_string());
            let text = std::fs::read_to_string(path("text.txt"))?;
            ["speak", "--vocoder", &vocoder, "--speaker", &voice, "--threshold", "1.99", "--max-len-ratio", &ratio]
                .into_iter()
                .chain(["-o", &path("ours.wav"), &text])
                .map(str::to_owned)
                .collect()
        }
    };
    arguments.extend(["--model".into(), model]);
    let vocable = std::env::current_exe()?.with_file_name("vocable");
    let run = move || {
        let status = Command::new(&vocable).args(&arguments).stdout(Stdio::null()).status();
        let status = status.unwrap_or_else(|error| panic!("{}: {error}", vocable.display()));
        assert!(status.success(), "vocable {}: {status}", arguments.join(" "));
        Outcome::new()
    };
    Ok(Ready { weights: 0, run: Box::new(run) })
}

fn speech(
    model: SpeechT5,
    inputs: &Inputs,
    ratio: f64,
    mel: usize,
    storage: Option<Storage>,
    vocoder: Option<Vocoder>,
) -> Ready {
    let device = Device::flex();
    let characters = Tokens::new(&inputs.tokens("characters"), PAD, &device);
    let speaker: Tensor<2> = inputs.tensor("speaker", &device);
    let limits = SpeechLimits { min_ratio: ratio, ..SpeechLimits::up_to(ratio) };
    let weights = count(&model);
    let (model, moved) = compress(model, storage, |model| {
        let states = model.encode_text(&characters, Mode::Eval);
        let (items, steps) = (characters.lengths.len(), 100);
        let frames = white_noise(items * steps * mel, Key::new(7));
        let frames = Tensor::from_data(TensorData::new(frames, [items, steps, mel]), &device);
        let (steps, speaker, lengths) = (vec![steps; items], speaker.clone(), &characters.lengths);
        let decoded = model.decode_speech(frames, &steps, Some(speaker), states, lengths, None, false, Mode::Eval);
        model.speech_decoder_postnet.step(decoded.states).0
    });
    let run = move || {
        let states = model.encode_text(&characters, Mode::Eval);
        let noise = Some(Key::new(6));
        let mut decoding = SpeechDecoding::new(&model, &states, &characters.lengths, speaker.clone(), noise);
        let found = generate_speech(&mut decoding, &characters.lengths, mel, &limits, &device);
        let before = Tensor::stack(found.into_iter().map(|speech| speech.mel).collect(), 0);
        let after = model.speech_decoder_postnet.refine(before, Mode::Eval);
        let mut outcome = Outcome::from([("frames".into(), after.dims()[1] as f64)]);
        outcome.extend(moved.clone());
        if let Some(vocoder) = &vocoder {
            let mel = Frames::new(after.try_into_vec_as::<f32>().expect("log-mels are readable floats"), mel);
            outcome.insert("samples".into(), vocoder.samples(&mel, Key::new(8)).len() as f64);
        }
        outcome
    };
    Ready { weights, run: Box::new(run) }
}

/// The model with its decoder stored in fewer bits, and how far that moves what `predict` gives: the largest difference
/// as a share of the largest number.
fn compress<const D: usize>(
    model: SpeechT5,
    storage: Option<Storage>,
    predict: impl Fn(&SpeechT5) -> Tensor<D>,
) -> (SpeechT5, Option<(String, f64)>) {
    let Some(storage) = storage else { return (model, None) };
    let largest = |tensor: Tensor<D>| f64::from(tensor.abs().max().into_scalar::<f32>());
    let exact = predict(&model);
    let model = model.compressed(storage);
    let moved = largest(exact.clone() - predict(&model)) / largest(exact);
    (model, Some(("moved".into(), moved)))
}

fn log_mel(inputs: &Inputs, repeats: usize) -> Ready {
    let sounds = inputs.rows("waveforms");
    let log_mel = LogMel::default();
    let run = move || {
        let frames: usize =
            (0..repeats).into_par_iter().flat_map(|_| &sounds).map(|sound| log_mel.log_mel(sound).len()).sum();
        Outcome::from([("frames".into(), frames as f64)])
    };
    Ready { weights: 0, run: Box::new(run) }
}

fn count<M: Module>(module: &M) -> usize {
    parameters(module).iter().map(|parameter| parameter.shape.iter().product::<usize>()).sum()
}
