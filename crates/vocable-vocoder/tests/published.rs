//! Parity with ParallelWaveGAN's generators (`fixtures/reference/make_vocoders.py`), and what files may look like.
//!
//! Tolerance: |a − b| ≤ 1e-5 · max(1, max|b|), for float32 sums of some hundred terms in another order, layer by layer.

use std::fs;
use std::path::{Path, PathBuf};

use burn::tensor::{Device, Tensor, TensorData};
use vocable_audio::{Frames, LogMel};
use vocable_random::Key;
use vocable_vocoder::{HifiGan, HifiGanConfig, ParallelWaveGan, ParallelWaveGanConfig, Vocoder, VocoderError};
use vocable_weights::{OwnedTensor, Weights, write_safetensors};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures").join(name)
}

fn expected(name: &str) -> Vec<f32> {
    Weights::open(fixture("vocoders/expected.safetensors")).unwrap().get(name).unwrap().to_f32().unwrap()
}

const MEL: usize = 20;

fn log_mel() -> Frames {
    Frames::new(expected("mel"), MEL)
}

#[track_caller]
fn close(ours: &[f32], theirs: &[f32]) {
    assert_eq!(ours.len(), theirs.len());
    let scale = theirs.iter().fold(1.0_f32, |scale, value| scale.max(value.abs()));
    for (i, (a, b)) in ours.iter().zip(theirs).enumerate() {
        assert!((a - b).abs() <= 1e-5 * scale, "sample {i} is {a}, not {b}");
    }
}

fn open(folder: &str) -> Vocoder {
    Vocoder::open(fixture(folder), &Device::flex()).unwrap_or_else(|error| panic!("{error}"))
}

fn message(folder: &Path) -> String {
    match Vocoder::open(folder, &Device::flex()) {
        Ok(_) => panic!("{} was read", folder.display()),
        Err(error) => error.to_string(),
    }
}

fn tensor<const D: usize>(values: Vec<f32>, shape: [usize; D]) -> Tensor<D> {
    Tensor::from_data(TensorData::new(values, shape), &Device::flex())
}

#[test]
fn a_trainers_hifi_gan_says_what_it_said_there() {
    let vocoder = open("vocoders/hifigan");
    assert_eq!((vocoder.kind(), vocoder.rate(), vocoder.mel()), ("hifi_gan", 8000, Some(MEL)));
    close(&vocoder.samples(&log_mel(), Key::new(1)), &expected("hifigan"));
    // The same file in the format before PyTorch 1.6.
    let weights = Weights::open(fixture("vocoders/old.pkl")).unwrap();
    let config = HifiGanConfig { rates: vec![4, 3], dilations: vec![vec![1, 3]; 2], slope: 0.1 };
    let old = HifiGan::read(&weights, &config, &Device::flex()).unwrap();
    let samples = old.forward(tensor(log_mel().data, [1, log_mel().len(), MEL]));
    close(&samples.try_into_vec_as::<f32>().unwrap(), &expected("hifigan"));
}

#[test]
fn parallel_wavegan_says_what_it_said_there() {
    let folder = fixture("vocoders/parallel_wavegan");
    let weights = Weights::open(folder.join("checkpoint-7steps.pkl")).unwrap();
    let config = ParallelWaveGanConfig { layers: 8, stacks: 2, scales: vec![3, 4] };
    let generator = ParallelWaveGan::read(&weights, &config, &Device::flex()).unwrap();
    let (_, statistics) = vocable_weights::read_array(folder.join("stats.npy")).unwrap();
    let (mean, scale) = statistics.split_at(MEL);
    let normal = |(i, value): (usize, f32)| (value - mean[i % MEL]) / scale[i % MEL];
    let mel: Vec<f32> = log_mel().data.into_iter().enumerate().map(normal).collect();
    let (frames, noise) = (mel.len() / MEL, expected("noise"));
    let noise = tensor(noise, [1, frames * generator.hop()]);
    let samples = generator.forward(tensor(mel, [1, frames, MEL]), noise);
    close(&samples.try_into_vec_as::<f32>().unwrap(), &expected("parallel_wavegan"));
}

#[test]
fn chunks_sound_like_the_whole() {
    for folder in ["vocoders/hifigan", "vocoders/parallel_wavegan", "hf/hifigan"] {
        let vocoder = open(folder);
        let width = vocoder.mel().unwrap();
        // Longer than the reach on both sides of a chunk.
        let mel = expected("mel");
        let frames = Frames::new((0..150 * width).map(|i| mel[i * 7 % mel.len()]).collect(), width);
        let whole = vocoder.samples(&frames, Key::new(4));
        assert!(whole.iter().any(|sample| sample.abs() > 1e-3) && whole.len().is_multiple_of(150));
        for chunk in [1, 40, 149, 150] {
            let vocoder = open(folder).with_chunk(chunk);
            // Sums of the same numbers in the same order, but for the blocks of the matrix product.
            close(&vocoder.samples(&frames, Key::new(4)), &whole);
        }
    }
}

/// One frame less of context on each side would be heard.
#[test]
fn the_reach_is_no_larger_than_it_must_be_by_more_than_two_frames() {
    let weights = Weights::open(fixture("vocoders/hifigan/checkpoint-7steps.pkl")).unwrap();
    let config = HifiGanConfig { rates: vec![4, 3], dilations: vec![vec![1, 3]; 2], slope: 0.1 };
    let generator = HifiGan::read(&weights, &config, &Device::flex()).unwrap();
    let (frames, at) = (61, 30);
    let samples = |impulse: f32| {
        let mut mel = vec![0.0; frames * MEL];
        mel[at * MEL..(at + 1) * MEL].fill(impulse);
        generator.forward(tensor(mel, [1, frames, MEL])).try_into_vec_as::<f32>().unwrap()
    };
    let (silent, loud) = (samples(0.0), samples(3.0));
    let hop = generator.hop();
    let touched = |frame: usize| (frame * hop..(frame + 1) * hop).any(|i| silent[i] != loud[i]);
    let (first, last) = ((0..frames).find(|&f| touched(f)).unwrap(), (0..frames).rfind(|&f| touched(f)).unwrap());
    let found = (at - first).max(last - at);
    assert!((found..=found + 2).contains(&generator.reach()), "reach {}, found {found}", generator.reach());
}

#[test]
fn both_spellings_of_weight_norm_are_the_plain_weights() {
    let (plain, folder) = (fixture("hf/hifigan"), tempfile::tempdir().unwrap());
    let frames = Frames::new((0..12 * 80).map(|i| (i as f32 * 0.7).sin() - 2.0).collect(), 80);
    let theirs = open("hf/hifigan").samples(&frames, Key::new(1));
    fs::copy(plain.join("config.json"), folder.path().join("config.json")).unwrap();
    let weights = Weights::open(&plain).unwrap();
    for [length, direction] in
        [["weight_g", "weight_v"], ["parametrizations.weight.original0", "parametrizations.weight.original1"]]
    {
        let mut tensors = Vec::new();
        for tensor in weights.tensors() {
            let Some(layer) = tensor.name().strip_suffix("weight") else {
                tensors.push((tensor.name().to_owned(), OwnedTensor::from(tensor)));
                continue;
            };
            let (shape, values) = (tensor.shape(), tensor.to_f32().unwrap());
            let rows = values.chunks_exact(values.len() / shape[0]);
            let norms: Vec<f32> = rows.map(|row| row.iter().map(|v| v * v).sum::<f32>().sqrt()).collect();
            let twice: Vec<f32> = values.iter().map(|value| 2.0 * value).collect();
            tensors.push((format!("{layer}{length}"), OwnedTensor::f32(vec![shape[0], 1, 1], &norms)));
            tensors.push((format!("{layer}{direction}"), OwnedTensor::f32(shape.to_vec(), &twice)));
        }
        write_safetensors(&folder.path().join("model.safetensors"), tensors, None).unwrap();
        let vocoder = Vocoder::open(folder.path(), &Device::flex()).unwrap();
        close(&vocoder.samples(&frames, Key::new(1)), &theirs);
    }
}

/// The folders that transformers wrote before version 5, `microsoft/speecht5_hifigan` among them.
#[test]
fn the_older_name_of_the_model_is_read() {
    let (plain, folder) = (fixture("hf/hifigan"), tempfile::tempdir().unwrap());
    let config = fs::read_to_string(plain.join("config.json")).unwrap();
    let older = config.replacen("\"speecht5_hifigan\"", "\"hifigan\"", 1);
    assert_ne!(older, config);
    fs::write(folder.path().join("config.json"), older).unwrap();
    fs::copy(plain.join("model.safetensors"), folder.path().join("model.safetensors")).unwrap();
    let frames = Frames::new((0..12 * 80).map(|i| (i as f32 * 0.7).sin() - 2.0).collect(), 80);
    let vocoder = Vocoder::open(folder.path(), &Device::flex()).unwrap();
    assert_eq!(vocoder.samples(&frames, Key::new(1)), open("hf/hifigan").samples(&frames, Key::new(1)));
}

#[test]
fn without_a_network_phases_are_estimated() {
    let vocoder = Vocoder::griffin_lim(LogMel::default());
    assert_eq!((vocoder.kind(), vocoder.rate(), vocoder.mel()), ("griffin_lim", 16_000, None));
    let tone: Vec<f32> = (0..8000).map(|n| 0.3 * (n as f32 * 0.3).sin()).collect();
    let frames = LogMel::default().log_mel(&tone);
    assert_eq!(vocoder.samples(&frames, Key::new(1)).len(), 256 * (frames.len() - 1));
    assert!(vocoder.samples(&Frames::new(Vec::new(), 80), Key::new(1)).is_empty());
    assert!(open("hf/hifigan").samples(&Frames::new(Vec::new(), 80), Key::new(1)).is_empty());
}

#[test]
fn the_checkpoint_of_the_most_steps_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let from = fixture("vocoders/hifigan");
    fs::write(folder.path().join("config.yml"), "layers: [30").unwrap();
    let found = message(folder.path());
    assert!(found.contains("config.yml: ") && found.lines().count() == 1, "{found}");
    fs::write(folder.path().join("config.yml"), "layers: 30").unwrap();
    assert!(
        message(folder.path()).contains("config.yml: it has neither model_type (transformers) nor generator_params")
    );
    fs::copy(from.join("config.json"), folder.path().join("config.json")).unwrap();
    assert!(message(folder.path()).contains("it has no checkpoint (*.pkl)"));
    fs::copy(from.join("checkpoint-7steps.pkl"), folder.path().join("checkpoint-100000steps.pkl")).unwrap();
    fs::write(folder.path().join("checkpoint-9steps.pkl"), "an older one").unwrap();
    let vocoder = Vocoder::open(folder.path(), &Device::flex()).unwrap();
    close(&vocoder.samples(&log_mel(), Key::new(1)), &expected("hifigan"));
    fs::write(folder.path().join("stats.h5"), "").unwrap();
    assert!(message(folder.path()).contains("stats.h5: HDF5 is not read; save its mean and scale"));
    fs::copy(fixture("weights/single.npy"), folder.path().join("stats.npy")).unwrap();
    assert!(message(folder.path()).contains("statistics of 3 mel bins for a generator of 20"));
    let mut statistics = fs::read(fixture("weights/single.npy")).unwrap();
    let last = statistics.len() - 4;
    statistics[last..].copy_from_slice(&f32::NAN.to_le_bytes());
    fs::write(folder.path().join("stats.npy"), statistics).unwrap();
    assert!(message(folder.path()).contains("stats.npy: it holds a value that is not finite"));
}

#[test]
fn what_does_not_fit_is_named() {
    let folder = tempfile::tempdir().unwrap();
    assert!(message(folder.path()).contains("it holds neither config.json nor config.yml"));
    let from = fixture("hf/hifigan");
    let config = fs::read_to_string(from.join("config.json")).unwrap();
    fs::copy(from.join("model.safetensors"), folder.path().join("model.safetensors")).unwrap();
    let with = |old: &str, new: &str| {
        assert!(config.contains(old));
        fs::write(folder.path().join("config.json"), config.replacen(old, new, 1)).unwrap();
        message(folder.path())
    };
    let found = with("speecht5_hifigan", "speecht5");
    assert!(found.contains("config.json: it is for a model of type \"speecht5\", which is no vocoder"), "{found}");
    let found = with("\"upsample_rates\": [", "\"upsample_rates\": [4,");
    assert!(found.contains("it has no weight of upsampler.4"), "{found}");
    let found = with("\"resblock_dilation_sizes\": [", "\"resblock_dilation_sizes\": [[1],");
    assert!(found.contains("resblocks.3.convs1.0: its weight has the shape [8, 8, 3]"), "{found}");
    let found = with("\"upsample_rates\": [\n    4", "\"upsample_rates\": [\n    1000000");
    assert!(found.contains("steps of one"), "{found}");
    let found = with("\"upsample_rates\": [\n    4", "\"upsample_rates\": [\n    3");
    assert!(found.contains("an even number of taps at an odd rate"), "{found}");
    let found = with("[\n      1,", "[\n      9000000000,");
    assert!(found.contains("near taps is expected"), "{found}");
    // A tensor too many, of another shape, or missing.
    fs::write(folder.path().join("config.json"), &config).unwrap();
    let weights = Weights::open(&from).unwrap();
    let alter_to = |name: &str, shape: Option<Vec<usize>>, value: f32| {
        let mut tensors: Vec<(String, OwnedTensor)> = weights
            .tensors()
            .filter(|tensor| tensor.name() != name)
            .map(|tensor| (tensor.name().to_owned(), OwnedTensor::from(tensor)))
            .collect();
        if let Some(shape) = shape {
            let values = vec![value; shape.iter().product()];
            tensors.push((name.to_owned(), OwnedTensor::f32(shape, &values)));
        }
        write_safetensors(&folder.path().join("model.safetensors"), tensors, None).unwrap();
        message(folder.path())
    };
    let alter = |name: &str, shape: Option<Vec<usize>>| alter_to(name, shape, 0.0);
    let found = alter("conv_mid.weight", Some(vec![2]));
    assert!(found.contains("model.safetensors: it holds conv_mid.weight, for which this generator"), "{found}");
    assert!(alter("conv_post.weight", None).contains("it has no weight of conv_post"));
    assert!(alter("conv_post.bias", Some(vec![2])).contains("conv_post: a bias of shape [2] for 1 channels"));
    assert!(alter("conv_post.weight", Some(vec![1, 3, 7])).contains("but 2 channels come in"));
    assert!(alter("conv_post.weight", Some(vec![1, 2, 6])).contains("6 taps with dilation 1"));
    assert!(alter("scale", Some(vec![7])).contains("its mean has 80 values, its scale 7"));
    let found = alter_to("conv_post.bias", Some(vec![1]), f32::NAN);
    assert!(found.contains("model.safetensors: conv_post.bias holds a value that is not finite"), "{found}");
    let error = Vocoder::open(folder.path().join("none"), &Device::flex()).err().unwrap();
    assert!(matches!(error, VocoderError::Invalid { .. }));
}
