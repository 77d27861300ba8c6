//! Batches for the benches: the sizes of scale `mini` on noise, so that a bench needs no corpus.

use burn::tensor::Device;
use vocable_audio::{LogMel, white_noise};
use vocable_nets::{SpeechMasks, Tokens};
use vocable_objectives::StopLabels;
use vocable_random::Key;
use vocable_speecht5::asr::AsrBatch;
use vocable_speecht5::batch::{SpeechTarget, Waveforms};
use vocable_speecht5::vc::VcBatch;

/// Utterances of a batch.
pub const ITEMS: usize = 8;
/// Samples of an utterance: three seconds.
const SAMPLES: usize = 48_000;

fn sounds() -> Vec<Vec<f32>> {
    (0..ITEMS).map(|n| white_noise(SAMPLES, Key::new(1).fold(n)).iter().map(|x| x * 0.1).collect()).collect()
}

fn waveforms(device: &Device) -> Waveforms {
    let sounds = sounds();
    Waveforms::new(&sounds.iter().map(Vec::as_slice).collect::<Vec<_>>(), device)
}

/// Eight utterances with 40 characters each.
pub fn recognition(device: &Device) -> AsrBatch {
    let target: Vec<Vec<u32>> =
        (0..ITEMS as u32).map(|n| (0..40).map(|t| 5 + (n + t) % 20).chain([2]).collect()).collect();
    let input: Vec<Vec<u32>> = target.iter().map(|t| [&[2], &t[..40]].concat()).collect();
    AsrBatch {
        waveforms: waveforms(device),
        masks: SpeechMasks::default(),
        input: Tokens::new(&input, 1, device),
        target,
    }
}

/// Eight utterances and their log-mels as targets.
pub fn conversion(device: &Device) -> VcBatch {
    let log_mel = LogMel::default();
    let mels: Vec<_> = sounds().iter().map(|sound| log_mel.log_mel(sound)).collect();
    let speakers = vec![vec![0.1; 160]; ITEMS];
    let mels: Vec<_> = mels.iter().collect();
    VcBatch { input: waveforms(device), target: SpeechTarget::whole(&mels, 2, StopLabels::Tail, &speakers, device) }
}
