//! The sizes of a model, seen from its tensors.

use vocable_nn::{ExtractorNorm, NormPlacement};
use vocable_objectives::MlmHead;

use super::Checkpoint;
use crate::{ModelConfig, ModelError, Preset};

/// What the shapes of a checkpoint's tensors say about its model; none where no tensor tells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sizes {
    /// Rows of the text matrix.
    pub vocabulary: Option<usize>,
    /// Rows of the speaker classifier.
    pub classes: Option<usize>,
    /// Clusters of the masked prediction, without its special rows.
    pub clusters: Option<usize>,
    width: usize,
    feed_forward: usize,
    encoder_layers: usize,
    relative: Option<usize>,
    heads: Option<usize>,
    decoder_layers: usize,
    decoder_feed_forward: usize,
    decoder_heads: Option<usize>,
    norm: Option<NormPlacement>,
    /// Channels and taps of each block.
    extractor: Vec<(usize, usize)>,
    extractor_norm: Option<ExtractorNorm>,
    positional_kernel: Option<usize>,
    positional_groups: Option<usize>,
    prenet_units: Option<usize>,
    mel: Option<usize>,
    speaker: Option<usize>,
    postnet_channels: Option<usize>,
    postnet_layers: Option<usize>,
    postnet_kernel: Option<usize>,
    reduction: Option<usize>,
}

impl Checkpoint {
    /// The sizes that the tensors tell.
    ///
    /// # Errors
    /// A file without an encoder or decoder, or with shapes that contradict each other.
    pub fn sizes(&self) -> Result<Sizes, ModelError> {
        self.read_sizes().map_err(|message| ModelError::Weights { path: self.path().into(), message })
    }

    /// The configuration of the model, without dropout, under a preset's switches. Parts that the file lacks have the
    /// base model's sizes; so have the strides of the extractor, of which no tensor tells.
    ///
    /// # Errors
    /// See [`Self::sizes`].
    pub fn config(&self, preset: Preset) -> Result<ModelConfig, ModelError> {
        self.resized(ModelConfig::base(preset))
    }

    /// A configuration with every size that the tensors tell in the place of its own. Its switches stay, and the sizes of
    /// parts that the file lacks.
    ///
    /// # Errors
    /// See [`Self::sizes`].
    pub fn resized(&self, mut base: ModelConfig) -> Result<ModelConfig, ModelError> {
        let sizes = self.sizes()?;
        let failed = |message| ModelError::Weights { path: self.path().into(), message };
        // The groups of a positional convolution that isn't there must divide the width all the same.
        base.positional_groups =
            if sizes.width.is_multiple_of(base.positional_groups) { base.positional_groups } else { 1 };
        let config = sizes.apply(base).map_err(failed)?;
        self.warrants(&config, sizes.vocabulary.unwrap_or(0)).map_err(failed)?;
        Ok(config)
    }

    /// Whether a model is about as large as the file.
    pub(crate) fn warrants(&self, config: &ModelConfig, vocabulary: usize) -> Result<(), String> {
        // Parts that the file lacks are small beside the others, or small altogether.
        self.weights.warrant(config.weights(vocabulary), 32.0, 16e6)
    }

    fn read_sizes(&self) -> Result<Sizes, String> {
        let shape = |path: &str| self.find(path).map(|(tensor, _)| tensor.shape().to_vec());
        let rank = |path: &str, rank: usize| match shape(path) {
            Some(shape) if shape.len() == rank && shape.iter().all(|&length| length > 0) => Ok(Some(shape)),
            None => Ok(None),
            Some(shape) => Err(format!("{path} has shape {shape:?}, where {rank} dimensions are expected")),
        };
        let matrix = |path: &str| rank(path, 2);
        let count = |prefix: &str, weight: &str, rank: usize| {
            (0..)
                .take_while(|n| shape(&format!("{prefix}.{n}.{weight}")).is_some_and(|shape| shape.len() == rank))
                .count()
        };
        let inner = |stack: &str| {
            let path = format!("{stack}.layers.0.feed_forward.inner.weight");
            matrix(&path)?.ok_or_else(|| format!("the file has no {stack}: {path} is missing"))
        };
        let (encoder, decoder) = (inner("encoder")?, inner("decoder")?);
        let width = encoder[1];
        let relative = matrix("encoder.relative")?;
        let heads = |table: &Option<Vec<usize>>| match table {
            Some(table) if table[0].is_multiple_of(2) && width.is_multiple_of(table[1]) => Ok(Some(width / table[1])),
            None => Ok(None),
            Some(table) => Err(format!("relative positions of shape {table:?} do not fit a width of {width}")),
        };
        let blocks = count("speech_encoder_prenet.extractor.blocks", "weight", 3);
        let mut extractor = Vec::new();
        for n in 0..blocks {
            let shape = rank(&format!("speech_encoder_prenet.extractor.blocks.{n}.weight"), 3)?.expect("counted");
            extractor.push((shape[0], shape[2]));
        }
        let every_block = shape("speech_encoder_prenet.extractor.blocks.1.layer_norm.weight").is_some();
        let positional = rank("speech_encoder_prenet.positional.direction", 3)?;
        let first = matrix("speech_decoder_prenet.first.weight")?;
        let speaker = matrix("speech_decoder_prenet.speaker.weight")?;
        let postnet = rank("speech_decoder_postnet.blocks.0.weight", 3)?;
        let rows = |matrix: &Option<Vec<usize>>| matrix.as_ref().map(|shape| shape[0]);
        let labels = rows(&matrix("mlm.label_embeddings")?);
        Ok(Sizes {
            vocabulary: rows(&matrix("tokens.weight")?),
            classes: rows(&matrix("head.projection.weight")?),
            clusters: labels.map(|rows| rows.saturating_sub(MlmHead::class(0) as usize)),
            width,
            feed_forward: encoder[0],
            encoder_layers: count("encoder.layers", "attention.query.weight", 2),
            heads: heads(&relative)?,
            relative: relative.map(|table| table[0] / 2),
            decoder_layers: count("decoder.layers", "self_attention.query.weight", 2),
            decoder_feed_forward: decoder[0],
            decoder_heads: heads(&matrix("decoder.relative")?)?,
            norm: Some(if shape("decoder.norm.weight").is_some() { NormPlacement::Pre } else { NormPlacement::Post }),
            extractor_norm: (blocks > 0).then_some(match every_block {
                true => ExtractorNorm::EveryBlock,
                false => ExtractorNorm::FirstBlock,
            }),
            extractor,
            positional_kernel: positional.as_ref().map(|shape| shape[2]),
            positional_groups: positional.map(|shape| width / shape[1]),
            prenet_units: rows(&first),
            mel: first.map(|shape| shape[1]),
            speaker: speaker.map(|shape| shape[1].saturating_sub(width)),
            postnet_channels: rows(&postnet),
            postnet_layers: postnet.is_some().then(|| count("speech_decoder_postnet.blocks", "weight", 3)),
            postnet_kernel: postnet.map(|shape| shape[2]),
            reduction: rows(&matrix("speech_decoder_postnet.stop.weight")?),
        })
    }
}

impl Sizes {
    /// `base` with every size that the tensors tell.
    pub(crate) fn apply(&self, base: ModelConfig) -> Result<ModelConfig, String> {
        let mut layers = base.extractor().layers;
        if !self.extractor.is_empty() {
            let taps = |layers: &mut dyn Iterator<Item = usize>| layers.collect::<Vec<_>>();
            let found = taps(&mut self.extractor.iter().map(|(_, taps)| *taps));
            if found != taps(&mut layers.iter().map(|layer| layer.kernel)) {
                return Err(format!("its extractor has convolutions of {found:?} taps, whose strides nothing tells"));
            }
            layers.iter_mut().zip(&self.extractor).for_each(|(layer, (channels, _))| layer.channels = *channels);
        }
        let mut config = ModelConfig {
            width: self.width,
            feed_forward: self.feed_forward,
            heads: self.heads.unwrap_or(base.heads),
            encoder_layers: self.encoder_layers,
            decoder_layers: self.decoder_layers,
            norm: self.norm.unwrap_or(base.norm),
            encoder_relative_position: self.relative,
            extractor_norm: self.extractor_norm.unwrap_or(base.extractor_norm),
            positional_kernel: self.positional_kernel.unwrap_or(base.positional_kernel),
            positional_groups: self.positional_groups.unwrap_or(base.positional_groups),
            prenet_units: self.prenet_units.unwrap_or(base.prenet_units),
            mel: self.mel.unwrap_or(base.mel),
            speaker: self.speaker.unwrap_or(base.speaker),
            postnet_channels: self.postnet_channels.unwrap_or(base.postnet_channels),
            postnet_layers: self.postnet_layers.unwrap_or(base.postnet_layers),
            reduction: self.reduction.unwrap_or(base.reduction),
            ..base
        };
        config.set_extractor(layers);
        config.set_decoder(self.decoder_feed_forward, self.decoder_heads.unwrap_or(config.decoder_heads()));
        config.set_postnet_kernel(self.postnet_kernel.unwrap_or(config.postnet_kernel()));
        config.check()?;
        Ok(config)
    }
}
