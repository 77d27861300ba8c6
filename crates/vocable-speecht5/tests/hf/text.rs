//! Speech into text.

use vocable_decode::{TextLimits, greedy};
use vocable_nets::{SpeechMasks, Tokens};
use vocable_nn::Mode;
use vocable_speecht5::decode::TextDecoding;

use super::TOLERANCE;
use super::folder::{Folder, device, ids, numbers, waveform};
use super::report::Report;

/// What the decoder is given when its logits are compared.
const FORCED: [u32; 5] = [2, 4, 5, 6, 7];

pub fn recognise(goldens: &Folder, name: &str) -> Report {
    let case = goldens.case(name);
    let (folder, model) = goldens.model("asr");
    let tokenizer = folder.tokenizer.as_ref().expect("the folder has a tokenizer");
    let mut report = Report::new(TOLERANCE);

    let batch = waveform(&folder, goldens.audio(name));
    let encoded = model.encode_speech(batch.samples, &batch.lengths, None, &SpeechMasks::default(), Mode::Eval);
    let shape: Vec<u32> = encoded.states.dims().map(|length| length as u32).to_vec();
    report.equal("encoder_shape", shape, ids(&case["encoder_shape"]));
    let states = encoded.states.clone().try_into_vec_as::<f32>().expect("states are floats");
    let sum = |value: fn(f32) -> f64| states.iter().map(|&state| value(state)).sum::<f64>();
    let root = (states.len() as f64).sqrt();
    for (name, ours) in [("encoder_sum", sum(|x| x.into())), ("encoder_abs", sum(|x| x.abs().into()))] {
        let theirs = case[name].as_f64().expect("a number");
        report.close(name, &[((ours - theirs) / root) as f32], &[0.0]);
    }

    let input = Tokens::new(&[FORCED.to_vec()], folder.config.pad_token_id, &device());
    let logits = model.decode_text(&input, encoded.states.clone(), &encoded.lengths, Mode::Eval);
    let last = logits.narrow(1, FORCED.len() - 1, 1).try_into_vec_as::<f32>().expect("logits are floats");
    report.close("forced_logits_last", &last, &numbers(&case["forced_logits_last"]));

    let (start, end) = (folder.config.decoder_start_token_id, folder.config.eos_token_id);
    let theirs = ids(&case["tokens"]);
    let limits = TextLimits { start, end, min_length: 0, max_length: theirs.len() - 1 };
    let found = greedy(&mut TextDecoding::new(&model, &encoded.states, &encoded.lengths), 1, &limits, &[]).remove(0);
    let mut tokens = vec![start];
    tokens.extend(&found.tokens);
    tokens.extend(found.ended.then_some(end));
    report.equal("text", tokenizer.decode(&tokens), case["text"].as_str().expect("a text").to_owned());
    report.equal("tokens", tokens, theirs);
    report
}
