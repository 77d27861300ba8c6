//! A tiny model and tiny batches.

use burn::tensor::{Device, Tensor, TensorData};
use vocable_audio::{Frames, LogMel, white_noise};
use vocable_nets::{SpeechMasks, Tokens};
use vocable_objectives::StopLabels;
use vocable_objectives::quantizer::QuantizerConfig;
use vocable_random::Key;
use vocable_speecht5::asr::AsrBatch;
use vocable_speecht5::batch::{SpeechTarget, Waveforms};
use vocable_speecht5::pretrain::{PretrainConfig, SpeechBatch, SpeechPart, TextBatch, TextPart};
use vocable_speecht5::vc::VcBatch;
use vocable_speecht5::{ModelConfig, Preset, Pretrainer, Regularisation};

pub const VOCABULARY: usize = 16;
pub const PAD: u32 = 1;
pub const EOS: u32 = 2;
pub const BLANK: u32 = 15;
pub const CLUSTERS: usize = 8;

pub fn config() -> ModelConfig {
    under(Preset::Paper)
}

/// Tiny sizes under a preset's switches.
pub fn under(preset: Preset) -> ModelConfig {
    ModelConfig {
        width: 32,
        feed_forward: 64,
        heads: 2,
        encoder_layers: 2,
        decoder_layers: 1,
        encoder_relative_position: Some(16),
        extractor_channels: 16,
        positional_kernel: 16,
        positional_groups: 4,
        prenet_units: 16,
        prenet_dropout: 0.0,
        positional_dropout: 0.0,
        postnet_channels: 16,
        postnet_dropout: 0.0,
        speaker: 4,
        ..ModelConfig::base(preset)
    }
}

pub fn device() -> Device {
    Device::flex().autodiff()
}

/// Half a second of noise each.
pub fn waveforms(items: usize) -> Waveforms {
    let noise: Vec<Vec<f32>> = (0..items).map(|n| white_noise(8_000, Key::new(7).fold(n))).collect();
    let noise: Vec<Vec<f32>> = noise.iter().map(|item| item.iter().map(|x| x * 0.1).collect()).collect();
    Waveforms::new(&noise.iter().map(Vec::as_slice).collect::<Vec<_>>(), &device())
}

pub fn target(items: usize) -> SpeechTarget {
    let log_mel = LogMel::default();
    let tone = |n: usize| -> Vec<f32> { (0..4_000).map(|t| 0.3 * (t as f32 * 0.05 * (n + 1) as f32).sin()).collect() };
    let mels: Vec<Frames> = (0..items).map(|n| log_mel.log_mel(&tone(n))).collect();
    let speakers: Vec<Vec<f32>> = (0..items).map(|n| vec![n as f32, 1.0, 0.0, -1.0]).collect();
    SpeechTarget::whole(&mels.iter().collect::<Vec<_>>(), 2, StopLabels::Tail, &speakers, &device())
}

pub fn asr_batch() -> AsrBatch {
    let target: Vec<Vec<u32>> = vec![vec![5, 6, 7, 6, EOS], vec![8, 9, EOS]];
    let input: Vec<Vec<u32>> = target.iter().map(|t| [&[EOS], &t[..t.len() - 1]].concat()).collect();
    AsrBatch {
        waveforms: waveforms(2),
        masks: SpeechMasks::default(),
        input: Tokens::new(&input, PAD, &device()),
        target,
    }
}

pub fn vc_batch() -> VcBatch {
    VcBatch { input: waveforms(2), target: target(2) }
}

pub fn speech_batch() -> SpeechBatch {
    let frames = config().extractor().frames(8_000);
    let row = |n: usize| (0..frames).map(|t| (t / 3 + n).is_multiple_of(2)).collect();
    let classes = |n: usize| (0..frames).map(|t| 4 + ((t / 4 + n) % CLUSTERS) as u32).collect();
    SpeechBatch {
        waveforms: waveforms(2),
        masked: (0..2).map(row).collect(),
        classes: (0..2).map(classes).collect(),
        target: target(2),
    }
}

pub fn text_batch() -> TextBatch {
    let clean: Vec<Vec<u32>> = vec![vec![0, 5, 6, 7, 8, 9, EOS], vec![0, 9, 9, 5, EOS]];
    let noised: Vec<Vec<u32>> = vec![vec![0, 5, 14, 8, 9, EOS], vec![0, 14, 5, EOS]];
    let input: Vec<Vec<u32>> = clean.iter().map(|s| [&[EOS], &s[..s.len() - 1]].concat()).collect();
    TextBatch {
        noised: Tokens::new(&noised, PAD, &device()),
        input: Tokens::new(&input, PAD, &device()),
        target: clean,
    }
}

pub fn pretraining() -> PretrainConfig {
    PretrainConfig {
        speech: Some(SpeechPart {
            min_samples: 400,
            max_samples: 16_000,
            batch_samples: 32_000,
            batch_items: 4,
            label_width: 16,
            mlm_unmasked: 0.5,
            ..SpeechPart::base()
        }),
        text: Some(TextPart { batch_tokens: 100, batch_items: 4, max_tokens: 50, ..TextPart::base() }),
        quantizer: Some(QuantizerConfig { codes: 8, ..QuantizerConfig::paper() }),
        regularisation: Regularisation::none(),
        ..PretrainConfig::base(Preset::Paper)
    }
}

pub fn pretrainer(config_: &PretrainConfig) -> Pretrainer {
    Pretrainer::new(&config(), config_, VOCABULARY, PAD, CLUSTERS, Key::new(1), &device())
}

pub fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.try_into_vec_as::<f32>().unwrap()
}

/// Largest difference of two tensors.
pub fn difference<const D: usize>(a: Tensor<D>, b: Tensor<D>) -> f32 {
    assert_eq!(a.dims(), b.dims());
    values(a).iter().zip(values(b)).fold(0.0, |max, (a, b)| max.max((a - b).abs()))
}

/// Noise as a tensor.
pub fn noise<const D: usize>(shape: [usize; D], key: u64) -> Tensor<D> {
    let values = white_noise(shape.iter().product(), Key::new(key));
    Tensor::from_data(TensorData::new(values, shape), &device())
}
