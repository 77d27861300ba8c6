//! Stage `hubert`: initial weights with the encoder of a published HuBERT model, for tasks to start from in place of
//! pre-training.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::bail;
use vocable_hubert::{Hubert, HubertConfig, HubertEncoder};
use vocable_lab::{Cost, Stage, StageRun};
use vocable_nn::NormPlacement;
use vocable_speecht5::{ModelConfig, SpeechT5};
use vocable_train::save_model;

use super::data::vocabulary;
use super::{MODEL, device, initial};
use crate::config::RunConfig;

/// The model in `folder`, of which `hash` is what its files hold.
pub fn stage(c: &RunConfig, folder: PathBuf, hash: String, prepare: &Arc<Stage>) -> Arc<Stage> {
    let (model, seed) = (c.model.clone(), c.seed);
    let body = move |run: &StageRun| {
        let hubert = Hubert::open(&folder, &device().inner())?;
        let other = differences(&model, &hubert.config);
        if !other.is_empty() {
            let message = "is of other sizes than the model that is to start from it";
            bail!("{} {message}: {}", folder.display(), other.join(", "));
        }
        let mut start = initial(&model, &vocabulary(&run.input("prepare"))?, seed);
        take_encoder(&mut start, hubert.model);
        Ok(save_model(&start, &run.outputs().join(MODEL))?)
    };
    Stage::new("hubert", 1, (&c.model, seed, hash))
        .input("prepare", prepare)
        .cost(Cost { steps: 0, parameters: 0, seconds: 5.0 })
        .run(body)
}

/// What of a model's encoder is of another size than HuBERT's, setting by setting.
fn differences(model: &ModelConfig, hubert: &HubertConfig) -> Vec<String> {
    let mut other: Vec<String> = [
        ("model.width", model.width, hubert.hidden_size),
        ("model.feed_forward", model.feed_forward, hubert.intermediate_size),
        ("model.heads", model.heads, hubert.num_attention_heads),
        ("model.encoder_layers", model.encoder_layers, hubert.num_hidden_layers),
        ("model.positional_kernel", model.positional_kernel, hubert.num_conv_pos_embeddings),
        ("model.positional_groups", model.positional_groups, hubert.num_conv_pos_embedding_groups),
    ]
    .into_iter()
    .filter(|(_, ours, theirs)| ours != theirs)
    .map(|(name, ours, theirs)| format!("{name} is {ours}, there {theirs}"))
    .collect();
    if model.extractor() != hubert.extractor() {
        other.push(format!("the extractor's convolutions are {:?}, there {:?}", model.extractor(), hubert.extractor()));
    }
    if model.norm != NormPlacement::Post {
        other.push("model.norm is pre, there post".into());
    }
    other
}

/// Gives a model HuBERT's encoder. What HuBERT lacks, relative positions among it, stays.
fn take_encoder(model: &mut SpeechT5, hubert: HubertEncoder) {
    let HubertEncoder { extractor, norm, projection, positional, encoder } = hubert;
    let prenet = &mut model.speech_encoder_prenet;
    (prenet.extractor, prenet.norm, prenet.projection, prenet.positional) = (extractor, norm, projection, positional);
    (model.encoder.norm, model.encoder.layers) = (encoder.norm, encoder.layers);
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use vocable_random::Key;
    use vocable_speecht5::{Preset, Regularisation};

    use super::*;

    #[test]
    fn the_encoder_is_taken_whole() {
        let device = device().inner();
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/hubert/safetensors");
        let open = || Hubert::open(&folder, &device).unwrap();
        let config = ModelConfig {
            width: 16,
            feed_forward: 24,
            heads: 2,
            encoder_layers: 3,
            extractor_channels: 8,
            positional_kernel: 8,
            positional_groups: 4,
            ..ModelConfig::mini(Preset::Paper)
        };
        assert_eq!(differences(&config, &open().config), [""; 0]);
        let other = ModelConfig { heads: 4, extractor_channels: 16, ..config.clone() };
        let found = differences(&other, &open().config);
        assert!(found.len() == 2 && found[0] == "model.heads is 4, there 2", "{found:?}");

        // Without what HuBERT lacks, its layers say what they say there.
        let mut model = config.init(12, 1, &Regularisation::none(), Key::new(1), &device);
        let hubert = open().model;
        take_encoder(&mut model, open().model);
        model.encoder.relative = None;
        let samples = vocable_audio::white_noise(4_000, Key::new(2));
        let samples = burn::tensor::Tensor::<1>::from_floats(samples.as_slice(), &device).reshape([1, 4_000]);
        let prenet = &model.speech_encoder_prenet;
        let features = prenet.projection.forward(prenet.norm.forward(prenet.features(samples.clone(), None).0));
        let input = features.clone() + prenet.positional.forward(features);
        let frames = input.dims()[1];
        let states = model.encoder.forward(input, &[frames], vocable_nn::Mode::Eval);
        assert_eq!(states.into_data(), hubert.hidden_states(samples, 3).into_data());
    }
}
