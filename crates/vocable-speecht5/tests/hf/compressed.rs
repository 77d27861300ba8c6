//! How far a model moves when its weights are stored in fewer bits.

use burn::tensor::Tensor;
use vocable_nets::{SpeechMasks, Tokens};
use vocable_nn::{Mode, Storage};
use vocable_speecht5::SpeechT5;

use super::folder::{Folder, device, waveform};

/// The largest difference between two tensors as a share of the largest number of the first.
fn moved<const D: usize>(exact: Tensor<D>, other: Tensor<D>) -> f32 {
    let largest = |tensor: Tensor<D>| tensor.abs().max().into_scalar::<f32>();
    largest(exact.clone() - other) / largest(exact)
}

/// Logits of the newest token, step by step, over a recording.
pub fn text(goldens: &Folder, storage: Storage) -> f32 {
    let (folder, model) = goldens.model("asr");
    let batch = waveform(&folder, goldens.audio(&goldens.cases("asr")[0]));
    let encoded = model.encode_speech(batch.samples, &batch.lengths, None, &SpeechMasks::default(), Mode::Eval);
    let input: Vec<u32> = (2..42).collect();
    let input = Tokens::new(&[input], folder.config.pad_token_id, &device());
    let logits = |model: &SpeechT5| model.decode_text(&input, encoded.states.clone(), &encoded.lengths, Mode::Eval);
    let exact = logits(&model);
    moved(exact, logits(&model.compressed(storage)))
}

/// Frames, each from the one before in the f32 model, over a sentence.
pub fn speech(goldens: &Folder, storage: Storage) -> f32 {
    let (folder, model) = goldens.model("tts");
    let tokens: Vec<u32> = (4..24).collect();
    let tokens = Tokens::new(&[tokens], folder.config.pad_token_id, &device());
    let memory = model.encode_text(&tokens, Mode::Eval);
    let mel = goldens.expected(&goldens.cases("tts")[0]);
    let mel = mel.get("mel").expect("the case's log-mel");
    let bins = folder.model_config().mel;
    let values = mel.to_f32().unwrap();
    let steps = values.len() / bins;
    let frames = Tensor::<1>::from_floats(values.as_slice(), &device()).reshape([1, steps, bins]);
    let frames_of = |model: &SpeechT5| {
        let (frames, speaker) = (frames.clone(), Some(goldens.speaker("tts")));
        let decoded =
            model.decode_speech(frames, &[steps], speaker, memory.clone(), &tokens.lengths, None, false, Mode::Eval);
        model.speech_decoder_postnet.step(decoded.states).0
    };
    let exact = frames_of(&model);
    moved(exact, frames_of(&model.compressed(storage)))
}
