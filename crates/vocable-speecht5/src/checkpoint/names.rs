//! Names of published checkpoints (spec section 9): one ordered table per format, for reading, writing and inspection.

use vocable_published::{Layout, Names, Row};

/// Which names a checkpoint uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Those of transformers, and behind `extra.` fairseq's for what transformers does not have.
    HuggingFace,
    /// Those of the official code.
    Fairseq,
}

const HUGGING_FACE: &[Row] = {
    use Layout::{Conv, Flat, Linear, Scalar, Taps};
    &[
        ("speech_encoder_prenet.mask", "speecht5.encoder.prenet.masked_spec_embed", Flat),
        (
            "speech_encoder_prenet.extractor.blocks.*.weight",
            "speecht5.encoder.prenet.feature_encoder.conv_layers.*.conv.weight",
            Conv,
        ),
        (
            "speech_encoder_prenet.extractor.blocks.*.channel_norm",
            "speecht5.encoder.prenet.feature_encoder.conv_layers.*.layer_norm",
            Flat,
        ),
        (
            "speech_encoder_prenet.extractor.blocks.*.layer_norm",
            "speecht5.encoder.prenet.feature_encoder.conv_layers.*.layer_norm",
            Flat,
        ),
        ("speech_encoder_prenet.norm", "speecht5.encoder.prenet.feature_projection.layer_norm", Flat),
        ("speech_encoder_prenet.projection", "speecht5.encoder.prenet.feature_projection.projection", Linear),
        ("speech_encoder_prenet.positional.bias", "speecht5.encoder.prenet.pos_conv_embed.conv.bias", Flat),
        (
            "speech_encoder_prenet.positional.gain",
            "speecht5.encoder.prenet.pos_conv_embed.conv.parametrizations.weight.original0",
            Taps,
        ),
        (
            "speech_encoder_prenet.positional.direction",
            "speecht5.encoder.prenet.pos_conv_embed.conv.parametrizations.weight.original1",
            Conv,
        ),
        ("speech_encoder_prenet.positional.gain", "speecht5.encoder.prenet.pos_conv_embed.conv.weight_g", Taps),
        ("speech_encoder_prenet.positional.direction", "speecht5.encoder.prenet.pos_conv_embed.conv.weight_v", Conv),
        ("tokens.weight", "speecht5.encoder.prenet.embed_tokens.weight", Flat),
        ("text_encoder_prenet.alpha", "speecht5.encoder.prenet.encode_positions.alpha", Scalar),
        ("encoder.norm", "speecht5.encoder.wrapped_encoder.layer_norm", Flat),
        ("encoder.relative", "speecht5.encoder.wrapped_encoder.embed_positions.pe_k.weight", Flat),
        ("encoder.layers.*.attention.query", "speecht5.encoder.wrapped_encoder.layers.*.attention.q_proj", Linear),
        ("encoder.layers.*.attention.key", "speecht5.encoder.wrapped_encoder.layers.*.attention.k_proj", Linear),
        ("encoder.layers.*.attention.value", "speecht5.encoder.wrapped_encoder.layers.*.attention.v_proj", Linear),
        ("encoder.layers.*.attention.output", "speecht5.encoder.wrapped_encoder.layers.*.attention.out_proj", Linear),
        ("encoder.layers.*.attention_norm", "speecht5.encoder.wrapped_encoder.layers.*.layer_norm", Flat),
        (
            "encoder.layers.*.feed_forward.inner",
            "speecht5.encoder.wrapped_encoder.layers.*.feed_forward.intermediate_dense",
            Linear,
        ),
        (
            "encoder.layers.*.feed_forward.outer",
            "speecht5.encoder.wrapped_encoder.layers.*.feed_forward.output_dense",
            Linear,
        ),
        ("encoder.layers.*.feed_forward_norm", "speecht5.encoder.wrapped_encoder.layers.*.final_layer_norm", Flat),
        ("tokens.weight", "speecht5.decoder.prenet.embed_tokens.weight", Flat),
        ("speech_decoder_prenet.first", "speecht5.decoder.prenet.layers.0", Linear),
        ("speech_decoder_prenet.second", "speecht5.decoder.prenet.layers.1", Linear),
        ("speech_decoder_prenet.third", "speecht5.decoder.prenet.final_layer", Linear),
        ("speech_decoder_prenet.alpha", "speecht5.decoder.prenet.encode_positions.alpha", Scalar),
        ("speech_decoder_prenet.speaker", "speecht5.decoder.prenet.speaker_embeds_layer", Linear),
        ("decoder.layers.*.self_attention.query", "speecht5.decoder.wrapped_decoder.layers.*.self_attn.q_proj", Linear),
        ("decoder.layers.*.self_attention.key", "speecht5.decoder.wrapped_decoder.layers.*.self_attn.k_proj", Linear),
        ("decoder.layers.*.self_attention.value", "speecht5.decoder.wrapped_decoder.layers.*.self_attn.v_proj", Linear),
        (
            "decoder.layers.*.self_attention.output",
            "speecht5.decoder.wrapped_decoder.layers.*.self_attn.out_proj",
            Linear,
        ),
        (
            "decoder.layers.*.self_attention_norm",
            "speecht5.decoder.wrapped_decoder.layers.*.self_attn_layer_norm",
            Flat,
        ),
        (
            "decoder.layers.*.cross_attention.query",
            "speecht5.decoder.wrapped_decoder.layers.*.encoder_attn.q_proj",
            Linear,
        ),
        (
            "decoder.layers.*.cross_attention.key",
            "speecht5.decoder.wrapped_decoder.layers.*.encoder_attn.k_proj",
            Linear,
        ),
        (
            "decoder.layers.*.cross_attention.value",
            "speecht5.decoder.wrapped_decoder.layers.*.encoder_attn.v_proj",
            Linear,
        ),
        (
            "decoder.layers.*.cross_attention.output",
            "speecht5.decoder.wrapped_decoder.layers.*.encoder_attn.out_proj",
            Linear,
        ),
        (
            "decoder.layers.*.cross_attention_norm",
            "speecht5.decoder.wrapped_decoder.layers.*.encoder_attn_layer_norm",
            Flat,
        ),
        (
            "decoder.layers.*.feed_forward.inner",
            "speecht5.decoder.wrapped_decoder.layers.*.feed_forward.intermediate_dense",
            Linear,
        ),
        (
            "decoder.layers.*.feed_forward.outer",
            "speecht5.decoder.wrapped_decoder.layers.*.feed_forward.output_dense",
            Linear,
        ),
        ("decoder.layers.*.feed_forward_norm", "speecht5.decoder.wrapped_decoder.layers.*.final_layer_norm", Flat),
        ("tokens.weight", "text_decoder_postnet.lm_head.weight", Flat),
        ("speech_decoder_postnet.frames", "speech_decoder_postnet.feat_out", Linear),
        ("speech_decoder_postnet.stop", "speech_decoder_postnet.prob_out", Linear),
        ("speech_decoder_postnet.blocks.*.weight", "speech_decoder_postnet.layers.*.conv.weight", Conv),
        ("speech_decoder_postnet.blocks.*.norm", "speech_decoder_postnet.layers.*.batch_norm", Flat),
        ("ctc", "extra.encoder.proj", Linear),
        ("encoder.layers.*.attention.table_norm", "extra.encoder.layers.*.norm_k", Flat),
        ("decoder.relative", "extra.decoder.pos_emb.pe_k.weight", Flat),
        ("decoder.layers.*.self_attention.table_norm", "extra.decoder.layers.*.norm_k", Flat),
        ("decoder.norm", "extra.decoder.layer_norm", Flat),
        ("mlm.projection", "extra.hubert_layer.final_proj", Linear),
        ("mlm.label_embeddings", "extra.hubert_layer.label_embs_concat", Flat),
        ("quantizer.codebook", "extra.quantizer.vars", Flat),
        ("quantizer.scores", "extra.quantizer.weight_proj", Linear),
        ("head.projection", "extra.speaker_decoder_postnet.output_projection", Linear),
    ]
};

const FAIRSEQ: &[Row] = {
    use Layout::{Conv, Flat, Linear, Scalar, Taps};
    &[
        (
            "speech_encoder_prenet.extractor.blocks.*.weight",
            "speech_encoder_prenet.feature_extractor.conv_layers.*.0.weight",
            Conv,
        ),
        (
            "speech_encoder_prenet.extractor.blocks.*.channel_norm",
            "speech_encoder_prenet.feature_extractor.conv_layers.*.2",
            Flat,
        ),
        (
            "speech_encoder_prenet.extractor.blocks.*.layer_norm",
            "speech_encoder_prenet.feature_extractor.conv_layers.*.2.1",
            Flat,
        ),
        ("speech_encoder_prenet.norm", "speech_encoder_prenet.layer_norm", Flat),
        ("speech_encoder_prenet.projection", "speech_encoder_prenet.post_extract_proj", Linear),
        ("speech_encoder_prenet.mask", "speech_encoder_prenet.mask_emb", Flat),
        ("speech_encoder_prenet.positional.bias", "speech_encoder_prenet.pos_conv.0.bias", Flat),
        ("speech_encoder_prenet.positional.gain", "speech_encoder_prenet.pos_conv.0.weight_g", Taps),
        ("speech_encoder_prenet.positional.direction", "speech_encoder_prenet.pos_conv.0.weight_v", Conv),
        ("tokens.weight", "text_encoder_prenet.encoder_prenet.0.weight", Flat),
        ("text_encoder_prenet.alpha", "text_encoder_prenet.encoder_prenet.1.alpha", Scalar),
        ("encoder.relative", "encoder.pos_emb.pe_k.weight", Flat),
        ("encoder.norm", "encoder.layer_norm", Flat),
        ("encoder.layers.*.attention.table_norm", "encoder.layers.*.norm_k", Flat),
        ("encoder.layers.*.attention.query", "encoder.layers.*.self_attn.q_proj", Linear),
        ("encoder.layers.*.attention.key", "encoder.layers.*.self_attn.k_proj", Linear),
        ("encoder.layers.*.attention.value", "encoder.layers.*.self_attn.v_proj", Linear),
        ("encoder.layers.*.attention.output", "encoder.layers.*.self_attn.out_proj", Linear),
        ("encoder.layers.*.attention_norm", "encoder.layers.*.self_attn_layer_norm", Flat),
        ("encoder.layers.*.feed_forward.inner", "encoder.layers.*.fc1", Linear),
        ("encoder.layers.*.feed_forward.outer", "encoder.layers.*.fc2", Linear),
        ("encoder.layers.*.feed_forward_norm", "encoder.layers.*.final_layer_norm", Flat),
        ("ctc", "encoder.proj", Linear),
        ("decoder.relative", "decoder.pos_emb.pe_k.weight", Flat),
        ("decoder.norm", "decoder.layer_norm", Flat),
        ("decoder.layers.*.self_attention.table_norm", "decoder.layers.*.norm_k", Flat),
        ("decoder.layers.*.self_attention.query", "decoder.layers.*.self_attn.q_proj", Linear),
        ("decoder.layers.*.self_attention.key", "decoder.layers.*.self_attn.k_proj", Linear),
        ("decoder.layers.*.self_attention.value", "decoder.layers.*.self_attn.v_proj", Linear),
        ("decoder.layers.*.self_attention.output", "decoder.layers.*.self_attn.out_proj", Linear),
        ("decoder.layers.*.self_attention_norm", "decoder.layers.*.self_attn_layer_norm", Flat),
        ("decoder.layers.*.cross_attention.query", "decoder.layers.*.encoder_attn.q_proj", Linear),
        ("decoder.layers.*.cross_attention.key", "decoder.layers.*.encoder_attn.k_proj", Linear),
        ("decoder.layers.*.cross_attention.value", "decoder.layers.*.encoder_attn.v_proj", Linear),
        ("decoder.layers.*.cross_attention.output", "decoder.layers.*.encoder_attn.out_proj", Linear),
        ("decoder.layers.*.cross_attention_norm", "decoder.layers.*.encoder_attn_layer_norm", Flat),
        ("decoder.layers.*.feed_forward.inner", "decoder.layers.*.fc1", Linear),
        ("decoder.layers.*.feed_forward.outer", "decoder.layers.*.fc2", Linear),
        ("decoder.layers.*.feed_forward_norm", "decoder.layers.*.final_layer_norm", Flat),
        ("tokens.weight", "text_decoder_prenet.embed_tokens.weight", Flat),
        ("tokens.weight", "text_decoder_postnet.output_projection.weight", Flat),
        ("speech_decoder_prenet.first", "speech_decoder_prenet.decoder_prenet.0.0.prenet.0.0", Linear),
        ("speech_decoder_prenet.second", "speech_decoder_prenet.decoder_prenet.0.0.prenet.1.0", Linear),
        ("speech_decoder_prenet.third", "speech_decoder_prenet.decoder_prenet.0.1", Linear),
        ("speech_decoder_prenet.alpha", "speech_decoder_prenet.decoder_prenet.1.alpha", Scalar),
        ("speech_decoder_prenet.speaker", "speech_decoder_prenet.spkembs_layer.0", Linear),
        ("speech_decoder_postnet.frames", "speech_decoder_postnet.feat_out", Linear),
        ("speech_decoder_postnet.stop", "speech_decoder_postnet.prob_out", Linear),
        ("speech_decoder_postnet.blocks.*.weight", "speech_decoder_postnet.postnet.postnet.*.0.weight", Conv),
        ("speech_decoder_postnet.blocks.*.norm", "speech_decoder_postnet.postnet.postnet.*.1", Flat),
        ("mlm.projection", "hubert_layer.final_proj", Linear),
        ("mlm.label_embeddings", "hubert_layer.label_embs_concat", Flat),
        ("quantizer.codebook", "quantizer.vars", Flat),
        ("quantizer.scores", "quantizer.weight_proj", Linear),
        ("head.projection", "speaker_decoder_postnet.output_projection", Linear),
    ]
};

/// Ends of names of what is computed here: tables of sinusoids, and marks of versions and devices.
const CONSTANTS: &[&str] = &[
    "encode_positions.pe",
    "encoder_prenet.1.pe",
    "decoder_prenet.1.pe",
    "pos_sinusoidal_embed.weights",
    "embed_positions.weights",
    "embed_positions._float_tensor",
    "coder.version",
];

const WRAPPER: Option<&str> = Some("core");

impl Format {
    /// Its table, in which paths come without a leading `core.`, the pre-trainer's field for the model.
    pub fn table(self) -> &'static Names {
        match self {
            Self::HuggingFace => &Names { rows: HUGGING_FACE, constants: CONSTANTS, wrapper: WRAPPER },
            Self::Fairseq => &Names { rows: FAIRSEQ, constants: CONSTANTS, wrapper: WRAPPER },
        }
    }

    /// The names in a file that hold a parameter of [`SpeechT5`](crate::SpeechT5),
    /// [`Pretrainer`](crate::Pretrainer) or [`SpeakerClassifier`](crate::SpeakerClassifier), the one that is written
    /// first; empty if there is none.
    pub fn names(self, path: &str) -> impl Iterator<Item = (String, Layout)> {
        self.table().names(path)
    }

    /// The parameters that a name in a file may stand for, named without a leading `core.`: one, or none, or two for
    /// transformers' norm of the extractor's first block, which is another one in each of its two modes.
    pub fn paths(self, name: &str) -> impl Iterator<Item = (String, Layout)> {
        self.table().paths(name)
    }

    /// Whether a name in a file stands for something constant, which no reader needs.
    pub fn is_constant(self, name: &str) -> bool {
        self.table().is_constant(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_specification() {
        let names = |format: Format, path: &str| -> Vec<String> { format.names(path).map(|(name, _)| name).collect() };
        assert_eq!(
            names(Format::Fairseq, "core.encoder.layers.11.attention.query.weight"),
            ["encoder.layers.11.self_attn.q_proj.weight"]
        );
        assert_eq!(
            Format::Fairseq.names("encoder.layers.0.feed_forward.inner.bias").collect::<Vec<_>>(),
            [("encoder.layers.0.fc1.bias".into(), Layout::Flat)]
        );
        assert_eq!(
            names(Format::Fairseq, "speech_decoder_postnet.blocks.4.norm.running_var"),
            ["speech_decoder_postnet.postnet.postnet.4.1.running_var"]
        );
        assert_eq!(
            names(Format::HuggingFace, "speech_encoder_prenet.positional.gain"),
            [
                "speecht5.encoder.prenet.pos_conv_embed.conv.parametrizations.weight.original0",
                "speecht5.encoder.prenet.pos_conv_embed.conv.weight_g"
            ]
        );
        assert_eq!(names(Format::HuggingFace, "ctc.weight"), ["extra.encoder.proj.weight"]);
        assert_eq!(names(Format::HuggingFace, "tokens.weight").len(), 3);
        assert!(names(Format::HuggingFace, "no.such.parameter").is_empty());
    }

    #[test]
    fn a_name_and_its_parameter_lead_to_each_other() {
        for format in [Format::HuggingFace, Format::Fairseq] {
            for &(ours, theirs, layout) in format.table().rows {
                let (ours, theirs) = (ours.replace('*', "3"), theirs.replace('*', "3"));
                assert!(format.paths(&theirs).any(|path| path == (ours.clone(), layout)), "{theirs}");
                assert!(format.names(&ours).any(|name| name == (theirs.clone(), layout)), "{ours}");
                assert!(!format.is_constant(&theirs), "{theirs}");
                // Norms of the two modes of transformers' extractor are the only name with two meanings.
                let meanings = format.paths(&theirs).count();
                assert_eq!(meanings, if theirs.contains("conv_layers.3.layer_norm") { 2 } else { 1 }, "{theirs}");
            }
        }
        assert!(Format::Fairseq.paths("encoder.layers.3.fc1.weight.more").next().is_none());
        assert!(Format::Fairseq.is_constant("decoder.version"));
        assert!(Format::HuggingFace.is_constant("speecht5.encoder.prenet.encode_positions.pe"));
    }
}
