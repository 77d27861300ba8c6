//! Text and speech into speech.

use burn::tensor::Tensor;
use vocable_audio::{Frames, LogMel};
use vocable_decode::{SpeechLimits, StopRule, generate_speech};
use vocable_nets::{SpeechMasks, Tokens};
use vocable_nn::Mode;
use vocable_random::Key;
use vocable_speecht5::decode::SpeechDecoding;
use vocable_speecht5::{ModelConfig, Preset, SpeechT5, tts::TtsConfig};

use super::TOLERANCE;
use super::folder::{Folder, device, ids, waveform};
use super::report::Report;

pub fn synthesise(goldens: &Folder, name: &str) -> Report {
    let case = goldens.case(name);
    let (folder, model) = goldens.model("tts");
    let tokenizer = folder.tokenizer.as_ref().expect("the folder has a tokenizer");
    let mut report = Report::new(TOLERANCE);

    let encoded = tokenizer.encode(case["text"].as_str().expect("a text"));
    let tokens = TtsConfig::base(Preset::Hf).input.tokens(encoded.ids, folder.config.eos_token_id);
    report.equal("ids", tokens.clone(), ids(&case["ids"]));
    let tokens = Tokens::new(&[tokens], folder.config.pad_token_id, &device());
    let memory = model.encode_text(&tokens, Mode::Eval);
    let ratio = case["maxlenratio"].as_f64().expect("a number");
    let threshold = case["threshold"].as_f64().expect("a number") as f32;
    let mel = speak(&model, folder.model_config(), &memory, goldens.speaker("tts"), threshold, ratio);
    let mel: Tensor<2> = mel.squeeze_dim(0);
    let frames = Frames::new(mel.clone().try_into_vec_as::<f32>().expect("floats"), mel.dims()[1]);
    compare(goldens, name, "mel", mel, &mut report);
    let samples = goldens.vocoder().samples(&frames, Key::new(0));
    let length = case["wav_len"].as_u64().expect("a number") as usize;
    report.equal("wav_len", vec![samples.len()], vec![length]);
    let samples: Tensor<1> = Tensor::from_floats(&samples[..], &device());
    compare(goldens, name, "wav", samples, &mut report);
    report
}

pub fn convert(goldens: &Folder, name: &str) -> Report {
    let (folder, model) = goldens.model("vc");
    let mut report = Report::new(TOLERANCE);
    let audio = goldens.audio(name);
    let log_mel = LogMel::new(folder.front_end.log_mel.clone()).log_mel(&audio);
    let expected = goldens.expected(name);
    let theirs = expected.get("log_mel_frontend").expect("the log-mel of the input").to_f32().unwrap();
    report.close("log_mel_frontend", &log_mel.data, &theirs);

    let batch = waveform(&folder, audio);
    let encoded = model.encode_speech(batch.samples, &batch.lengths, None, &SpeechMasks::default(), Mode::Eval);
    // The stop threshold 1.99 is never met; frames are at most as many as the encoder's.
    let mel = speak(&model, folder.model_config(), &encoded.states, goldens.speaker("vc"), 1.99, 1.0);
    compare(goldens, name, "mel", mel, &mut report);
    report
}

/// Generates a log-mel over a memory, without the always-on dropout.
fn speak(
    model: &SpeechT5,
    config: &ModelConfig,
    memory: &Tensor<3>,
    speaker: Tensor<2>,
    threshold: f32,
    max_ratio: f64,
) -> Tensor<3> {
    let lengths = [memory.dims()[1]];
    let limits = SpeechLimits { rule: StopRule::Sum, threshold, min_ratio: 0.0, max_ratio };
    let mut stepper = SpeechDecoding::new(model, memory, &lengths, speaker, None);
    let spoken = generate_speech(&mut stepper, &lengths, config.mel, &limits, &device()).remove(0);
    model.speech_decoder_postnet.refine(spoken.mel.unsqueeze(), Mode::Eval)
}

fn compare<const D: usize>(goldens: &Folder, case: &str, name: &str, ours: Tensor<D>, report: &mut Report) {
    let expected = goldens.expected(case);
    let theirs = expected.get(name).unwrap_or_else(|| panic!("{case} has no {name}")).to_f32().unwrap();
    report.close(name, &ours.try_into_vec_as::<f32>().expect("floats"), &theirs);
}
