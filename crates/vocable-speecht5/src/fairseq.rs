//! Names and layouts of the official fairseq checkpoints (spec section 9.2).
//!
//! Linear and convolution weights are stored `[output, input, tap]` there and `[tap · input, output]` here; grouped ones
//! have the group in front on both sides. One reversal of axes within each group therefore converts all of them, in
//! both directions.

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Shape, Tensor, TensorData};

/// How values are arranged in a fairseq file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// The same order as here.
    Flat,
    /// `[output, input]` or `[output, input, tap]`.
    Weight,
}

/// Our parameters and theirs; `*` stands for a layer's number.
const NAMES: &[(&str, &str, Layout)] = {
    use Layout::{Flat, Weight};
    &[
        (
            "speech_encoder_prenet.extractor.blocks.*.weight",
            "speech_encoder_prenet.feature_extractor.conv_layers.*.0.weight",
            Weight,
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
        ("speech_encoder_prenet.projection", "speech_encoder_prenet.post_extract_proj", Weight),
        ("speech_encoder_prenet.mask", "speech_encoder_prenet.mask_emb", Flat),
        ("speech_encoder_prenet.positional.direction", "speech_encoder_prenet.pos_conv.0.weight_v", Weight),
        ("speech_encoder_prenet.positional.gain", "speech_encoder_prenet.pos_conv.0.weight_g", Flat),
        ("speech_encoder_prenet.positional.bias", "speech_encoder_prenet.pos_conv.0.bias", Flat),
        ("text_encoder_prenet.alpha", "text_encoder_prenet.encoder_prenet.1.alpha", Flat),
        ("tokens.weight", "text_encoder_prenet.encoder_prenet.0.weight", Flat),
        ("encoder.relative", "encoder.pos_emb.pe_k.weight", Flat),
        ("encoder.norm", "encoder.layer_norm", Flat),
        ("encoder.layers.*.attention.table_norm", "encoder.layers.*.norm_k", Flat),
        ("encoder.layers.*.attention.query", "encoder.layers.*.self_attn.q_proj", Weight),
        ("encoder.layers.*.attention.key", "encoder.layers.*.self_attn.k_proj", Weight),
        ("encoder.layers.*.attention.value", "encoder.layers.*.self_attn.v_proj", Weight),
        ("encoder.layers.*.attention.output", "encoder.layers.*.self_attn.out_proj", Weight),
        ("encoder.layers.*.attention_norm", "encoder.layers.*.self_attn_layer_norm", Flat),
        ("encoder.layers.*.feed_forward.inner", "encoder.layers.*.fc1", Weight),
        ("encoder.layers.*.feed_forward.outer", "encoder.layers.*.fc2", Weight),
        ("encoder.layers.*.feed_forward_norm", "encoder.layers.*.final_layer_norm", Flat),
        ("ctc", "encoder.proj", Weight),
        ("decoder.relative", "decoder.pos_emb.pe_k.weight", Flat),
        ("decoder.norm", "decoder.layer_norm", Flat),
        ("decoder.layers.*.self_attention.table_norm", "decoder.layers.*.norm_k", Flat),
        ("decoder.layers.*.self_attention.query", "decoder.layers.*.self_attn.q_proj", Weight),
        ("decoder.layers.*.self_attention.key", "decoder.layers.*.self_attn.k_proj", Weight),
        ("decoder.layers.*.self_attention.value", "decoder.layers.*.self_attn.v_proj", Weight),
        ("decoder.layers.*.self_attention.output", "decoder.layers.*.self_attn.out_proj", Weight),
        ("decoder.layers.*.self_attention_norm", "decoder.layers.*.self_attn_layer_norm", Flat),
        ("decoder.layers.*.cross_attention.query", "decoder.layers.*.encoder_attn.q_proj", Weight),
        ("decoder.layers.*.cross_attention.key", "decoder.layers.*.encoder_attn.k_proj", Weight),
        ("decoder.layers.*.cross_attention.value", "decoder.layers.*.encoder_attn.v_proj", Weight),
        ("decoder.layers.*.cross_attention.output", "decoder.layers.*.encoder_attn.out_proj", Weight),
        ("decoder.layers.*.cross_attention_norm", "decoder.layers.*.encoder_attn_layer_norm", Flat),
        ("decoder.layers.*.feed_forward.inner", "decoder.layers.*.fc1", Weight),
        ("decoder.layers.*.feed_forward.outer", "decoder.layers.*.fc2", Weight),
        ("decoder.layers.*.feed_forward_norm", "decoder.layers.*.final_layer_norm", Flat),
        ("speech_decoder_prenet.first", "speech_decoder_prenet.decoder_prenet.0.0.prenet.0.0", Weight),
        ("speech_decoder_prenet.second", "speech_decoder_prenet.decoder_prenet.0.0.prenet.1.0", Weight),
        ("speech_decoder_prenet.third", "speech_decoder_prenet.decoder_prenet.0.1", Weight),
        ("speech_decoder_prenet.alpha", "speech_decoder_prenet.decoder_prenet.1.alpha", Flat),
        ("speech_decoder_prenet.speaker", "speech_decoder_prenet.spkembs_layer.0", Weight),
        ("speech_decoder_postnet.frames", "speech_decoder_postnet.feat_out", Weight),
        ("speech_decoder_postnet.stop", "speech_decoder_postnet.prob_out", Weight),
        ("speech_decoder_postnet.blocks.*.weight", "speech_decoder_postnet.postnet.postnet.*.0.weight", Weight),
        ("speech_decoder_postnet.blocks.*.norm", "speech_decoder_postnet.postnet.postnet.*.1", Flat),
        ("mlm.projection", "hubert_layer.final_proj", Weight),
        ("mlm.label_embeddings", "hubert_layer.label_embs_concat", Flat),
        ("quantizer.codebook", "quantizer.vars", Flat),
        ("quantizer.scores", "quantizer.weight_proj", Weight),
        ("head.projection", "speaker_decoder_postnet.output_projection", Weight),
    ]
};

/// The name and layout in a fairseq file of a parameter of [`SpeechT5`](crate::SpeechT5), of
/// [`Pretrainer`](crate::Pretrainer) or of [`SpeakerClassifier`](crate::SpeakerClassifier); none if it has no
/// counterpart.
pub fn counterpart(path: &str) -> Option<(String, Layout)> {
    let path = path.strip_prefix("core.").unwrap_or(path);
    NAMES.iter().find_map(|&(ours, theirs, layout)| {
        let (number, rest) = matched(ours, path)?;
        // A module's bias keeps its order whatever its weight does.
        let layout = if rest == ".bias" { Layout::Flat } else { layout };
        Some((theirs.replacen('*', number, 1) + rest, layout))
    })
}

/// Splits `path` into the number under the pattern's `*` (empty without one) and what follows the pattern.
fn matched<'a>(pattern: &str, path: &'a str) -> Option<(&'a str, &'a str)> {
    let (number, rest) = match pattern.split_once('*') {
        None => ("", path.strip_prefix(pattern)?),
        Some((before, after)) => {
            let tail = path.strip_prefix(before)?;
            let digits = tail.len() - tail.trim_start_matches(|c: char| c.is_ascii_digit()).len();
            (&tail[..digits], tail[digits..].strip_prefix(after)?)
        }
    };
    (rest.is_empty() || rest.starts_with('.')).then_some((number, rest))
}

/// Values of a fairseq tensor in our order and shape.
fn arrange(data: TensorData, layout: Layout, ours: &Shape) -> TensorData {
    let theirs: Vec<usize> = data.shape().to_vec();
    match layout {
        Layout::Flat => TensorData::new(data.try_into_vec::<f32>().expect("weights are f32"), ours.clone()),
        Layout::Weight => {
            let groups = if ours.num_dims() == 4 { ours.dims::<4>()[0] } else { 1 };
            let (output, input) = (theirs[0] / groups, theirs[1]);
            let taps = theirs.get(2).copied().unwrap_or(1);
            let values = reverse(data.try_into_vec::<f32>().expect("weights are f32"), groups, [output, input, taps]);
            TensorData::new(values, ours.clone())
        }
    }
}

/// Values of one of our tensors in fairseq's order; `shape` is fairseq's.
pub fn export(values: Vec<f32>, layout: Layout, ours: &[usize], shape: &[usize]) -> Vec<f32> {
    match layout {
        Layout::Flat => values,
        Layout::Weight => {
            let groups = if ours.len() == 4 { ours[0] } else { 1 };
            let (output, input) = (shape[0] / groups, shape[1]);
            let taps = shape.get(2).copied().unwrap_or(1);
            reverse(values, groups, [taps, input, output])
        }
    }
}

/// `[groups, a, b, c]` → `[groups, c, b, a]`.
fn reverse(values: Vec<f32>, groups: usize, [a, b, c]: [usize; 3]) -> Vec<f32> {
    assert_eq!(values.len(), groups * a * b * c, "a weight has another size than its shape");
    let mut reversed = Vec::with_capacity(values.len());
    for group in values.chunks_exact((a * b * c).max(1)) {
        for k in 0..c {
            for j in 0..b {
                reversed.extend((0..a).map(|i| group[(i * b + j) * c + k]));
            }
        }
    }
    reversed
}

/// What a fairseq file lacked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Loaded {
    /// Our parameters that kept their values, as the file has no counterpart of theirs.
    pub missing: Vec<String>,
    /// Counterparts of another size than the parameter, `ours: theirs has shape ..`.
    pub reshaped: Vec<String>,
}

/// Fills a module with the tensors that `tensor` finds under their fairseq names (float32).
pub fn load<M: Module>(module: M, tensor: impl FnMut(&str) -> Option<TensorData>) -> (M, Loaded) {
    let mut filler = Filler { tensor, path: Vec::new(), loaded: Loaded::default() };
    let module = module.map(&mut filler);
    (module, filler.loaded)
}

struct Filler<F> {
    tensor: F,
    path: Vec<String>,
    loaded: Loaded,
}

impl<F: FnMut(&str) -> Option<TensorData>> ModuleMapper for Filler<F> {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let path = self.path.join(".");
        let found = counterpart(&path).and_then(|(name, layout)| Some((name.clone(), (self.tensor)(&name)?, layout)));
        let Some((name, data, layout)) = found else {
            self.loaded.missing.push(path);
            return param;
        };
        let shape = param.val().shape();
        if data.shape().iter().product::<usize>() != shape.num_elements() {
            self.loaded.reshaped.push(format!("{path}: {name} has shape {:?}, ours is {shape:?}", data.shape()));
            return param;
        }
        param.map(|old| {
            let tracked = old.is_require_grad();
            Tensor::from_data(arrange(data, layout, &shape), &old.device()).set_require_grad(tracked)
        })
    }
}

/// Visits every float parameter with its path.
pub fn visit<M: Module>(module: &M, visit: impl FnMut(&str, &dyn Leaf)) {
    module.visit(&mut Walker { visit, path: Vec::new() });
}

/// A parameter of any rank, as [`visit`] hands it out.
pub trait Leaf {
    /// Its shape.
    fn shape(&self) -> Vec<usize>;
    /// Its gradient, row-major; none if none reaches it.
    fn gradient(&self, gradients: &burn::tensor::Gradients) -> Option<Vec<f32>>;
    /// Its values, row-major.
    fn values(&self) -> Vec<f32>;
}

impl<const D: usize> Leaf for Tensor<D> {
    fn shape(&self) -> Vec<usize> {
        self.dims().to_vec()
    }

    fn gradient(&self, gradients: &burn::tensor::Gradients) -> Option<Vec<f32>> {
        self.grad(gradients).map(|gradient| gradient.try_into_vec_as::<f32>().expect("gradients are readable floats"))
    }

    fn values(&self) -> Vec<f32> {
        self.clone().try_into_vec_as::<f32>().expect("parameters are readable floats")
    }
}

struct Walker<F> {
    visit: F,
    path: Vec<String>,
}

impl<F: FnMut(&str, &dyn Leaf)> ModuleVisitor for Walker<F> {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        (self.visit)(&self.path.join("."), &param.val());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_specification() {
        let name = |path: &str| counterpart(path).map(|(name, _)| name);
        assert_eq!(
            name("core.encoder.layers.11.attention.query.weight").as_deref(),
            Some("encoder.layers.11.self_attn.q_proj.weight")
        );
        assert_eq!(
            counterpart("encoder.layers.0.feed_forward.inner.bias"),
            Some(("encoder.layers.0.fc1.bias".into(), Layout::Flat))
        );
        assert_eq!(
            name("speech_decoder_postnet.blocks.4.norm.running_var").as_deref(),
            Some("speech_decoder_postnet.postnet.postnet.4.1.running_var")
        );
        assert_eq!(
            name("encoder.layers.0.attention_norm.weight").unwrap(),
            "encoder.layers.0.self_attn_layer_norm.weight"
        );
        assert_eq!(name("no.such.parameter"), None);
    }

    #[test]
    fn weights_survive_both_ways() {
        // Two groups, [output 2·2, input 3, tap 2].
        let theirs: Vec<f32> = (0..24).map(|n| n as f32).collect();
        let data = TensorData::new(theirs.clone(), [4, 3, 2]);
        let ours = arrange(data, Layout::Weight, &Shape::from([2, 2, 3, 2])).try_into_vec::<f32>().unwrap();
        // Group 1, tap 1, input 2, output 0 is their output 2, input 2, tap 1.
        assert_eq!(ours[((2 + 1) * 3 + 2) * 2], theirs[(2 * 3 + 2) * 2 + 1]);
        assert_eq!(export(ours, Layout::Weight, &[2, 2, 3, 2], &[4, 3, 2]), theirs);
    }
}
