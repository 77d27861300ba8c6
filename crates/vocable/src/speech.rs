//! What `speak` and `convert` share: encoder states in a voice → a waveform.

use std::path::{Path, PathBuf};
use std::time::Instant;

use burn::tensor::{Tensor, TensorData};
use clap::{Args, ValueEnum};
use serde_json::{Map, Value, json};
use vocable_audio::{Frames, LogMel, write_wav};
use vocable_decode::{SpeechLimits, StopRule, generate_speech};
use vocable_nn::Mode;
use vocable_random::Key;
use vocable_speecht5::decode::SpeechDecoding;
use vocable_vocoder::Vocoder;
use vocable_weights::{OwnedTensor, read_array, write_safetensors};

use crate::model::{Model, Precision};
use crate::session::{Reporter, Unusable};

/// Frames per position of the encoder that no speech has.
const LONGEST_RATIO: f64 = 1000.0;

/// Options of commands that generate speech.
#[derive(Args)]
pub struct SpeechOptions {
    #[command(flatten)]
    precision: Precision,
    /// The vocoder's folder (HiFi-GAN of transformers or ParallelWaveGAN, or Parallel WaveGAN); without one, Griffin-Lim,
    /// which rings.
    #[arg(long, value_name = "DIR")]
    vocoder: Option<PathBuf>,
    /// The voice: a vector (.safetensors, .npy, .pt) of shape (D) or (1, D), or one for each input, (N, D).
    #[arg(long, value_name = "FILE")]
    speaker: PathBuf,
    /// Where the waveform goes; of several inputs a folder.
    #[arg(long, short, value_name = "OUT")]
    output: PathBuf,
    /// Where the log-mel goes, too (safetensors, `mel`); of several inputs a folder.
    #[arg(long, value_name = "OUT")]
    mel: Option<PathBuf>,
    /// Decides on what the pre-net drops and on the vocoder's noise.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Switch the pre-net's dropout off, which is on in training and use; speech gets worse, but is the same everywhere.
    #[arg(long)]
    no_prenet_dropout: bool,
    /// Stop probability at which speech ends.
    #[arg(long, value_name = "P", default_value_t = 0.5)]
    threshold: f32,
    /// Which of the stop probabilities of a step is compared: any, or their sum as in transformers.
    #[arg(long, value_name = "RULE", default_value = "sum")]
    stop_rule: Rule,
    /// Most frames, as a multiple of the encoder's length; transformers' by default (the paper converts with 10).
    #[arg(long, value_name = "X", default_value_t = 20.0)]
    max_len_ratio: f64,
    /// Print an object per input: file, output, mel, frames, seconds, rtf (time taken per second of speech), ended, focus
    /// (sharpness of the attention), vocoder.
    #[arg(long)]
    pub json: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Rule {
    Any,
    Sum,
}

impl SpeechOptions {
    pub fn precision(&self) -> &Precision {
        &self.precision
    }

    pub fn speaker(&self) -> &Path {
        &self.speaker
    }

    pub fn output(&self) -> &Path {
        &self.output
    }

    pub fn mel(&self) -> Option<&Path> {
        self.mel.as_deref()
    }
}

/// A model, a voice for each input, and a vocoder.
pub struct Speaking<'a> {
    model: &'a Model,
    vocoder: Vocoder,
    voices: Vec<Vec<f32>>,
    limits: SpeechLimits,
    key: Key,
    noise: bool,
}

/// Generated speech.
pub struct Spoken {
    pub mel: Frames,
    pub samples: Vec<f32>,
    /// Whether the model ended it, not the limit.
    pub ended: bool,
    pub focus: Option<f64>,
}

impl<'a> Speaking<'a> {
    /// For `inputs` inputs.
    pub fn new(model: &'a Model, options: &SpeechOptions, inputs: usize) -> Result<Self, Unusable> {
        let log_mel = &model.folder.front_end.log_mel;
        let vocoder = match &options.vocoder {
            Some(folder) => Vocoder::open(folder, &model.device)?,
            None => Vocoder::griffin_lim(LogMel::new(log_mel.clone())),
        };
        let (mel, rate, hop) = (model.folder.model_config().mel, vocoder.rate(), vocoder.hop());
        let path = options.vocoder.as_deref().unwrap_or(&model.folder.path).display();
        if vocoder.mel().unwrap_or(log_mel.bands) != mel || rate != log_mel.rate {
            let theirs = vocoder.mel().unwrap_or(log_mel.bands);
            let hertz = log_mel.rate;
            let message = format!("{path}: {theirs} mel bins at {rate} Hz, but the model makes {mel} at {hertz} Hz");
            return Err(Unusable(message));
        }
        if hop != log_mel.hop {
            let message = format!("{path}: {hop} samples a frame, but the model's frames are {} apart", log_mel.hop);
            return Err(Unusable(message));
        }
        let rule = match options.stop_rule {
            Rule::Any => StopRule::Any,
            Rule::Sum => StopRule::Sum,
        };
        let max_ratio = options.max_len_ratio;
        if !(max_ratio > 0.0 && max_ratio <= LONGEST_RATIO) {
            let wanted = format!("a number above 0, at most {LONGEST_RATIO}, is expected");
            return Err(Unusable(format!("--max-len-ratio is {max_ratio}, where {wanted}")));
        }
        if options.threshold.is_nan() {
            return Err(Unusable("--threshold is no number".into()));
        }
        Ok(Self {
            model,
            vocoder,
            voices: voices(&options.speaker, model.folder.model_config().speaker, inputs)?,
            limits: SpeechLimits { rule, threshold: options.threshold, min_ratio: 0.0, max_ratio },
            key: Key::new(options.seed),
            noise: !options.no_prenet_dropout,
        })
    }

    /// Speech over the encoder states `[1, time, width]` of part `part` of input `input`.
    pub fn speak(&self, memory: &Tensor<3>, input: usize, part: usize) -> Spoken {
        let (model, config) = (&self.model.model, self.model.folder.model_config());
        let voice = self.voices[input].clone();
        let speaker = Tensor::from_data(TensorData::new(voice, [1, config.speaker]), &self.model.device);
        let lengths = [memory.dims()[1]];
        let key = self.key.fold(input).fold(part);
        let mut stepper = SpeechDecoding::new(model, memory, &lengths, speaker, self.noise.then(|| key.fold("prenet")));
        let spoken = generate_speech(&mut stepper, &lengths, config.mel, &self.limits, &self.model.device).remove(0);
        let refined = model.speech_decoder_postnet.refine(spoken.mel.unsqueeze(), Mode::Eval);
        let mel = Frames::new(refined.try_into_vec_as::<f32>().expect("log-mels are readable floats"), config.mel);
        let samples = self.vocoder.samples(&mel, key.fold("vocoder"));
        Spoken { mel, samples, ended: spoken.ended, focus: spoken.focus }
    }

    /// Writes the parts of a speech one behind the other, and what to say of them.
    pub fn write(&self, parts: &[Spoken], output: &Path, mel: Option<&Path>) -> Result<Map<String, Value>, String> {
        let samples: Vec<f32> = parts.iter().flat_map(|part| part.samples.iter().copied()).collect();
        let data: Vec<f32> = parts.iter().flat_map(|part| part.mel.data.iter().copied()).collect();
        let (width, seconds) = (self.model.folder.model_config().mel, samples.len() as f64 / f64::from(self.rate()));
        let frames = data.len() / width;
        write_wav(output, &samples, self.rate()).map_err(|error| error.to_string())?;
        if let Some(path) = mel {
            let tensor = OwnedTensor::f32(vec![frames, width], &data);
            write_safetensors(path, vec![("mel".into(), tensor)], None).map_err(|error| error.to_string())?;
        }
        let focus = parts.iter().filter_map(|part| part.focus).reduce(f64::min);
        let object = json!({
            "output": output.display().to_string(), "mel": mel.map(|path| path.display().to_string()), "frames": frames,
            "seconds": seconds, "ended": parts.iter().all(|part| part.ended), "focus": focus,
            "vocoder": self.vocoder.kind(),
        });
        match object {
            Value::Object(map) => Ok(map),
            _ => unreachable!("it is an object"),
        }
    }

    /// Reports of an input whether its speech, begun at `started`, was written.
    pub fn report(
        &self,
        reporter: &mut Reporter,
        input: &str,
        started: Instant,
        output: &Path,
        written: Result<Map<String, Value>, String>,
    ) {
        match written {
            Ok(mut object) => {
                let seconds = object["seconds"].as_f64().unwrap_or(0.0);
                object.shift_insert(0, "file".into(), input.into());
                object.insert("rtf".into(), (started.elapsed().as_secs_f64() / seconds).into());
                let line = format!("{}: {seconds:.1} s{}", output.display(), self.note());
                reporter.done(&object.into(), &line);
            }
            Err(error) => reporter.failed(&error),
        }
    }

    fn rate(&self) -> u32 {
        self.vocoder.rate()
    }

    /// What readers should know of the vocoder.
    fn note(&self) -> &'static str {
        match self.vocoder.kind() {
            "griffin_lim" => " (by Griffin-Lim, for there is no --vocoder)",
            _ => "",
        }
    }
}

/// A voice for each input.
fn voices(path: &Path, width: usize, inputs: usize) -> Result<Vec<Vec<f32>>, Unusable> {
    let (shape, values) = read_array(path)?;
    let rows = match shape[..] {
        [found] if found == width => 1,
        [rows, found] if found == width && (rows == 1 || rows == inputs) => rows,
        _ => {
            let each = if inputs > 1 { format!(" or ({inputs}, {width})") } else { String::new() };
            let wanted = format!("({width}) or (1, {width}){each}");
            return Err(Unusable(format!("{}: its shape is {shape:?}, where {wanted} is expected", path.display())));
        }
    };
    if values.iter().any(|value| !value.is_finite()) {
        return Err(Unusable(format!("{}: a speaker vector holds a value that is not finite", path.display())));
    }
    let voices: Vec<Vec<f32>> = values.chunks_exact(width).map(<[f32]>::to_vec).collect();
    Ok((0..inputs).map(|input| voices[input % rows].clone()).collect())
}
