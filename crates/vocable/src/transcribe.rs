//! `vocable transcribe` and `vocable translate`: recordings → text.

use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use serde_json::json;
use vocable_decode::{BeamConfig, Companions, Hypothesis, TextLimits, TextStepper, beam_search, greedy};
use vocable_lm::{Fusion, LanguageModel};
use vocable_nets::SpeechMasks;
use vocable_nn::Mode;
use vocable_speecht5::EncodedSpeech;
use vocable_speecht5::batch::Waveforms;
use vocable_speecht5::decode::TextDecoding;
use vocable_speecht5::huggingface::Architecture;
use vocable_speecht5::to_text::prefix_scorers;
use vocable_text::Tokenizer;

use crate::model::{Model, Precision};
use crate::session::{Ending, Input, Recordings, Reporter, Unusable};

/// Options of `transcribe`.
#[derive(Args)]
pub struct Transcribe {
    /// The model's folder (a SpeechT5ForSpeechToText).
    #[arg(long, value_name = "DIR")]
    model: PathBuf,
    #[command(flatten)]
    precision: Precision,
    #[command(flatten)]
    recordings: Recordings,
    /// Hypotheses that are followed; 1 takes the most probable token at every step.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..))]
    beam: u16,
    /// Share of CTC's prefix score beside the decoder's, 0 to 1; needs weights with a CTC head, which transformers' classes
    /// do not have: after `export STAGE -o DIR`, `export STAGE --extended -o DIR/model.safetensors`.
    #[arg(long, value_name = "W", default_value_t = 0.0)]
    ctc_weight: f64,
    /// A language model that scores the texts, too: a folder of this project, or a checkpoint of fairseq's
    /// `transformer_lm` with its dict.txt beside it. It must know every character of the model.
    #[arg(long, value_name = "DIR|FILE")]
    lm: Option<PathBuf>,
    /// Weight of the language model's log-probability, on top of the others'.
    #[arg(long, value_name = "W", default_value_t = 0.7, requires = "lm")]
    lm_weight: f64,
    /// Tokens after which a text is cut; the longest text of the model where none is given.
    #[arg(long, value_name = "N")]
    max_tokens: Option<usize>,
    /// Let padding, mask and blank be written, as transformers does.
    #[arg(long)]
    no_suppress: bool,
    /// Recordings that are decoded side by side; the texts do not depend on it.
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..))]
    batch: u16,
    /// Print an object per recording: file, text, tokens, score (log-probability per token), seconds, rtf (time taken per
    /// second of recording).
    #[arg(long)]
    json: bool,
}

/// Transcribes, reports and says how the program ends.
pub fn run(options: &Transcribe) -> Ending {
    let model = Model::open(&options.model, Architecture::SpeechToText, &options.precision)?;
    let search = Search::new(&model, options)?;
    let inputs = options.recordings.expand()?;
    let mut reporter = Reporter::new(options.json, inputs.len());
    for batch in inputs.chunks(options.batch.into()) {
        let started = Instant::now();
        // Each is encoded by itself: the first block's norm would hear the padding of a batch.
        let mut encoded = Vec::new();
        for input in batch {
            match encode(&model, input) {
                Ok((states, seconds)) => {
                    if let Some(warning) = model.overlong(input, states.lengths[0]) {
                        reporter.warn(&warning);
                    }
                    encoded.push((input, states, seconds));
                }
                Err(error) => reporter.failed(&error),
            }
        }
        let states: Vec<EncodedSpeech> = encoded.iter().map(|(_, states, _)| states.clone()).collect();
        if !states.is_empty() {
            let found = search.run(&model, &EncodedSpeech::together(&states));
            let heard: f64 = encoded.iter().map(|(_, _, seconds)| seconds).sum();
            let rtf = started.elapsed().as_secs_f64() / heard;
            for ((input, _, seconds), hypothesis) in encoded.iter().zip(found) {
                let tokens = search.tokens(&hypothesis);
                let text = search.tokenizer.decode(&tokens);
                let object = json!({
                    "file": input.name, "text": text, "tokens": tokens, "score": hypothesis.score, "seconds": seconds,
                    "rtf": rtf,
                });
                let line = if inputs.len() == 1 { text } else { format!("{}\t{text}", input.name) };
                reporter.done(&object, &line);
            }
        }
        batch.iter().for_each(|_| reporter.step());
    }
    Ok(reporter.finish())
}

fn encode(model: &Model, input: &Input) -> Result<(EncodedSpeech, f64), String> {
    let (waveform, seconds) = model.waveform(input)?;
    let Waveforms { samples, lengths } = Waveforms::new(&[waveform], &model.device);
    Ok((model.model.encode_speech(samples, &lengths, None, &SpeechMasks::default(), Mode::Eval), seconds))
}

/// How texts are searched.
struct Search<'a> {
    language_model: Option<Fusion>,
    tokenizer: &'a Tokenizer,
    limits: TextLimits,
    suppressed: Vec<u32>,
    config: BeamConfig,
    blank: Option<u32>,
}

impl<'a> Search<'a> {
    fn new(model: &'a Model, options: &Transcribe) -> Result<Self, Unusable> {
        let (tokenizer, config) = (model.tokenizer()?, &model.folder.config);
        if !(0.0..=1.0).contains(&options.ctc_weight) {
            return Err(Unusable(format!("--ctc-weight is {}, where 0 to 1 is expected", options.ctc_weight)));
        }
        let blank = tokenizer.id("<ctc_blank>").filter(|_| model.has_ctc);
        if options.ctc_weight > 0.0 && blank.is_none() {
            let path = options.model.display();
            return Err(Unusable(format!(
                "{path}: it has no CTC head (or no <ctc_blank>); `export STAGE --extended` puts one into a folder as its \
                 model.safetensors; or leave --ctc-weight out"
            )));
        }
        if !(options.lm_weight.is_finite() && options.lm_weight >= 0.0) {
            return Err(Unusable(format!("--lm-weight is {}, where 0 or more is expected", options.lm_weight)));
        }
        let language_model = match &options.lm {
            None => None,
            Some(path) => Some(Fusion::new(LanguageModel::open(path, &model.device)?, tokenizer.spellings())?),
        };
        let lm_weight = if language_model.is_some() { options.lm_weight } else { 0.0 };
        let special = ["<pad>", "<mask>", "<ctc_blank>"].into_iter().filter_map(|token| tokenizer.id(token));
        Ok(Self {
            language_model,
            tokenizer,
            limits: TextLimits {
                start: config.decoder_start_token_id,
                end: config.eos_token_id,
                min_length: 0,
                max_length: options.max_tokens.unwrap_or(config.max_text_positions),
            },
            suppressed: if options.no_suppress { Vec::new() } else { special.collect() },
            config: BeamConfig {
                ctc_weight: options.ctc_weight,
                lm_weight,
                ..BeamConfig::attention(options.beam.into())
            },
            blank,
        })
    }

    /// The best text of each item, with its log-probability per token.
    fn run(&self, model: &Model, encoded: &EncodedSpeech) -> Vec<Hypothesis> {
        let (items, model) = (encoded.lengths.len(), &model.model);
        let mut stepper = TextDecoding::new(model, &encoded.states, &encoded.lengths);
        if self.config.beam == 1 && self.config.ctc_weight == 0.0 && self.config.lm_weight == 0.0 {
            let mut found = greedy(&mut stepper, items, &self.limits, &self.suppressed);
            for hypothesis in &mut found {
                hypothesis.score /= (hypothesis.tokens.len() + usize::from(hypothesis.ended)).max(1) as f64;
            }
            return found;
        }
        let scorers = match self.blank {
            Some(blank) if self.config.ctc_weight > 0.0 => {
                let logits = model.ctc_logits(encoded.states.clone(), Mode::Eval);
                prefix_scorers(logits, &encoded.lengths, blank, self.limits.end)
            }
            _ => Vec::new(),
        };
        let mut lm = self.language_model.as_ref().map(|fusion| fusion.stepper(items));
        let language_model = lm.as_mut().map(|lm| lm as &mut dyn TextStepper);
        let companions = Companions { ctc: &scorers, language_model };
        let found = beam_search(&mut stepper, companions, items, &self.limits, &self.suppressed, &self.config);
        found.into_iter().map(|mut best| best.swap_remove(0)).collect()
    }

    /// All tokens of a text, those of its start and its end too.
    fn tokens(&self, hypothesis: &Hypothesis) -> Vec<u32> {
        let end = hypothesis.ended.then_some(self.limits.end);
        std::iter::once(self.limits.start).chain(hypothesis.tokens.iter().copied()).chain(end).collect()
    }
}
