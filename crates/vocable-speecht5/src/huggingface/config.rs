use serde::{Deserialize, Serialize};
use vocable_nets::PrenetNoise;
use vocable_nn::{ConvLayer, ExtractorNorm, NormPlacement};

use crate::{ModelConfig, Preset};

/// The largest deviation of initial weights that is taken from a file; published models have 0.02.
const WIDEST: f64 = 1e3;

/// A model's `config.json`: what transformers' `SpeechT5Config` holds, with its names and its values where a file has
/// none.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[allow(missing_docs, reason = "the names are those of transformers, whose documentation explains them")]
pub struct HfConfig {
    pub architectures: Vec<String>,
    pub model_type: String,
    pub dtype: String,
    pub vocab_size: usize,
    pub hidden_size: usize,
    pub encoder_layers: usize,
    pub encoder_attention_heads: usize,
    pub encoder_ffn_dim: usize,
    pub encoder_layerdrop: f64,
    pub decoder_layers: usize,
    pub decoder_ffn_dim: usize,
    pub decoder_attention_heads: usize,
    pub decoder_layerdrop: f64,
    pub hidden_act: String,
    pub positional_dropout: f64,
    pub hidden_dropout: f64,
    pub attention_dropout: f64,
    pub activation_dropout: f64,
    pub initializer_range: f64,
    pub layer_norm_eps: f64,
    pub scale_embedding: bool,
    pub feat_extract_norm: String,
    pub feat_proj_dropout: f64,
    pub feat_extract_activation: String,
    pub num_feat_extract_layers: usize,
    pub conv_dim: Vec<usize>,
    pub conv_stride: Vec<usize>,
    pub conv_kernel: Vec<usize>,
    pub conv_bias: bool,
    pub num_conv_pos_embeddings: usize,
    pub num_conv_pos_embedding_groups: usize,
    pub apply_spec_augment: bool,
    pub mask_time_prob: f64,
    pub mask_time_length: usize,
    pub mask_time_min_masks: usize,
    pub mask_feature_prob: f64,
    pub mask_feature_length: usize,
    pub mask_feature_min_masks: usize,
    pub pad_token_id: u32,
    pub bos_token_id: u32,
    pub eos_token_id: u32,
    pub decoder_start_token_id: u32,
    pub num_mel_bins: usize,
    pub speech_decoder_prenet_layers: usize,
    pub speech_decoder_prenet_units: usize,
    pub speech_decoder_prenet_dropout: f64,
    pub speaker_embedding_dim: usize,
    pub speech_decoder_postnet_layers: usize,
    pub speech_decoder_postnet_units: usize,
    pub speech_decoder_postnet_kernel: usize,
    pub speech_decoder_postnet_dropout: f64,
    pub reduction_factor: usize,
    pub max_speech_positions: usize,
    pub max_text_positions: usize,
    pub encoder_max_relative_position: usize,
    pub use_guided_attention_loss: bool,
    pub guided_attention_loss_num_heads: i64,
    pub guided_attention_loss_sigma: f64,
    pub guided_attention_loss_scale: f64,
    pub use_cache: bool,
    pub is_encoder_decoder: bool,
    pub tie_word_embeddings: bool,
    /// What else the file says.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl Default for HfConfig {
    fn default() -> Self {
        Self {
            architectures: Vec::new(),
            model_type: "speecht5".into(),
            dtype: "float32".into(),
            vocab_size: 81,
            hidden_size: 768,
            encoder_layers: 12,
            encoder_attention_heads: 12,
            encoder_ffn_dim: 3072,
            encoder_layerdrop: 0.1,
            decoder_layers: 6,
            decoder_ffn_dim: 3072,
            decoder_attention_heads: 12,
            decoder_layerdrop: 0.1,
            hidden_act: "gelu".into(),
            positional_dropout: 0.1,
            hidden_dropout: 0.1,
            attention_dropout: 0.1,
            activation_dropout: 0.1,
            initializer_range: 0.02,
            layer_norm_eps: 1e-5,
            scale_embedding: false,
            feat_extract_norm: "group".into(),
            feat_proj_dropout: 0.0,
            feat_extract_activation: "gelu".into(),
            num_feat_extract_layers: 7,
            conv_dim: vec![512; 7],
            conv_stride: vec![5, 2, 2, 2, 2, 2, 2],
            conv_kernel: vec![10, 3, 3, 3, 3, 2, 2],
            conv_bias: false,
            num_conv_pos_embeddings: 128,
            num_conv_pos_embedding_groups: 16,
            apply_spec_augment: true,
            mask_time_prob: 0.05,
            mask_time_length: 10,
            mask_time_min_masks: 2,
            mask_feature_prob: 0.0,
            mask_feature_length: 10,
            mask_feature_min_masks: 0,
            pad_token_id: 1,
            bos_token_id: 0,
            eos_token_id: 2,
            decoder_start_token_id: 2,
            num_mel_bins: 80,
            speech_decoder_prenet_layers: 2,
            speech_decoder_prenet_units: 256,
            speech_decoder_prenet_dropout: 0.5,
            speaker_embedding_dim: 512,
            speech_decoder_postnet_layers: 5,
            speech_decoder_postnet_units: 256,
            speech_decoder_postnet_kernel: 5,
            speech_decoder_postnet_dropout: 0.5,
            reduction_factor: 2,
            max_speech_positions: 4000,
            max_text_positions: 450,
            encoder_max_relative_position: 160,
            use_guided_attention_loss: true,
            guided_attention_loss_num_heads: 2,
            guided_attention_loss_sigma: 0.4,
            guided_attention_loss_scale: 10.0,
            use_cache: true,
            is_encoder_decoder: true,
            tie_word_embeddings: true,
            other: serde_json::Map::new(),
        }
    }
}

impl HfConfig {
    /// The configuration of the model, without dropout, under the switches of preset `hf`.
    ///
    /// # Errors
    /// The first setting that no model here can have.
    pub fn model(&self) -> Result<ModelConfig, String> {
        let only = |name: &str, value: &str, supported: &[&str]| match supported.contains(&value) {
            true => Ok(()),
            false => Err(format!("{name} is {value}, where {} is supported", supported.join(" or "))),
        };
        only("hidden_act", &self.hidden_act, &["gelu"])?;
        only("feat_extract_activation", &self.feat_extract_activation, &["gelu"])?;
        only("feat_extract_norm", &self.feat_extract_norm, &["group", "layer"])?;
        only("conv_bias", &self.conv_bias.to_string(), &["false"])?;
        only("scale_embedding", &self.scale_embedding.to_string(), &["false"])?;
        only("layer_norm_eps", &self.layer_norm_eps.to_string(), &["0.00001"])?;
        only("tie_word_embeddings", &self.tie_word_embeddings.to_string(), &["true"])?;
        only("speech_decoder_prenet_layers", &self.speech_decoder_prenet_layers.to_string(), &["2"])?;
        self.check_numbers()?;
        let blocks = self.conv_dim.len();
        if blocks != self.conv_kernel.len() || blocks != self.conv_stride.len() {
            return Err("conv_dim, conv_kernel and conv_stride have different lengths".into());
        }
        let sizes = self.conv_dim.iter().zip(&self.conv_kernel).zip(&self.conv_stride);
        let layer = |((&channels, &kernel), &stride)| ConvLayer { channels, kernel, stride };
        let mut config = ModelConfig {
            width: self.hidden_size,
            feed_forward: self.encoder_ffn_dim,
            heads: self.encoder_attention_heads,
            encoder_layers: self.encoder_layers,
            decoder_layers: self.decoder_layers,
            norm: NormPlacement::Post,
            encoder_relative_position: Some(self.encoder_max_relative_position),
            extractor_norm: match self.feat_extract_norm.as_str() {
                "layer" => ExtractorNorm::EveryBlock,
                _ => ExtractorNorm::FirstBlock,
            },
            positional_kernel: self.num_conv_pos_embeddings,
            positional_groups: self.num_conv_pos_embedding_groups,
            prenet_units: self.speech_decoder_prenet_units,
            prenet_dropout: self.speech_decoder_prenet_dropout,
            positional_dropout: self.positional_dropout,
            postnet_channels: self.speech_decoder_postnet_units,
            postnet_layers: self.speech_decoder_postnet_layers,
            postnet_dropout: self.speech_decoder_postnet_dropout,
            deviation: self.initializer_range,
            mel: self.num_mel_bins,
            reduction: self.reduction_factor,
            speaker: self.speaker_embedding_dim,
            ..ModelConfig::base(Preset::Hf)
        };
        config.set_extractor(sizes.map(layer).collect());
        config.set_decoder(self.decoder_ffn_dim, self.decoder_attention_heads);
        config.set_postnet_kernel(self.speech_decoder_postnet_kernel);
        config.check()?;
        Ok(config)
    }

    /// Whether tokens are rows of the text matrix, and shares and deviations what can be drawn with.
    fn check_numbers(&self) -> Result<(), String> {
        for (name, id) in [
            ("pad_token_id", self.pad_token_id),
            ("bos_token_id", self.bos_token_id),
            ("eos_token_id", self.eos_token_id),
            ("decoder_start_token_id", self.decoder_start_token_id),
        ] {
            if id as usize >= self.vocab_size {
                return Err(format!("{name} is {id}, but vocab_size is {}", self.vocab_size));
            }
        }
        for (name, share) in [
            ("speech_decoder_prenet_dropout", self.speech_decoder_prenet_dropout),
            ("speech_decoder_postnet_dropout", self.speech_decoder_postnet_dropout),
            ("positional_dropout", self.positional_dropout),
        ] {
            if !(0.0..1.0).contains(&share) {
                return Err(format!("{name} is {share}; shares that are dropped are from 0 to below 1"));
            }
        }
        match self.initializer_range {
            0.0..=WIDEST => Ok(()),
            deviation => Err(format!("initializer_range is {deviation}; deviations are from 0 to {WIDEST}")),
        }
    }

    /// What `model` is in transformers' terms, with the class `architecture`, so many tokens and single precision; what these
    /// do not decide stays as it is.
    ///
    /// # Errors
    /// The first setting of the model that transformers does not have.
    pub fn with(self, model: &ModelConfig, architecture: &str, vocabulary: usize) -> Result<Self, String> {
        let lacks = |what: &str| Err(format!("transformers has no {what}"));
        if model.norm == NormPlacement::Pre {
            return lacks("norm before the sub-layers (the large model's)");
        }
        if model.decoder_relative_position.is_some() {
            return lacks("relative positions in the decoder");
        }
        let Some(reach) = model.encoder_relative_position else {
            return lacks("encoder without relative positions");
        };
        let layers = model.extractor().layers;
        let Self { model_type, dtype, .. } = Self::default();
        let mut other = self.other;
        // The older name of `dtype`.
        other.shift_remove("torch_dtype");
        Ok(Self {
            architectures: vec![architecture.to_owned()],
            model_type,
            dtype,
            vocab_size: vocabulary,
            hidden_size: model.width,
            encoder_layers: model.encoder_layers,
            encoder_attention_heads: model.heads,
            encoder_ffn_dim: model.feed_forward,
            decoder_layers: model.decoder_layers,
            decoder_ffn_dim: model.decoder_feed_forward(),
            decoder_attention_heads: model.decoder_heads(),
            positional_dropout: model.positional_dropout,
            initializer_range: model.deviation,
            feat_extract_norm: match model.extractor_norm {
                ExtractorNorm::EveryBlock => "layer".into(),
                ExtractorNorm::FirstBlock => "group".into(),
            },
            num_feat_extract_layers: layers.len(),
            conv_dim: layers.iter().map(|layer| layer.channels).collect(),
            conv_stride: layers.iter().map(|layer| layer.stride).collect(),
            conv_kernel: layers.iter().map(|layer| layer.kernel).collect(),
            num_conv_pos_embeddings: model.positional_kernel,
            num_conv_pos_embedding_groups: model.positional_groups,
            num_mel_bins: model.mel,
            speech_decoder_prenet_units: model.prenet_units,
            speech_decoder_prenet_dropout: match model.prenet_noise {
                PrenetNoise::Off => 0.0,
                PrenetNoise::Independent | PrenetNoise::Consistent => model.prenet_dropout,
            },
            speaker_embedding_dim: model.speaker,
            speech_decoder_postnet_layers: model.postnet_layers,
            speech_decoder_postnet_units: model.postnet_channels,
            speech_decoder_postnet_kernel: model.postnet_kernel(),
            speech_decoder_postnet_dropout: model.postnet_dropout,
            reduction_factor: model.reduction,
            encoder_max_relative_position: reach,
            other,
            ..self
        })
    }
}
