use burn::module::{Module, Param};
use burn::tensor::{Device, Int, Tensor, TensorData};
use vocable_nn::{Dropout, Init, Mode, is_padded, padding_mask, sinusoid};

/// A batch of token sequences, padded at the end.
#[derive(Clone, Debug)]
pub struct Tokens {
    /// Token ids, `[batch, time]`.
    pub ids: Tensor<2, Int>,
    /// Valid tokens of each item.
    pub lengths: Vec<usize>,
}

impl Tokens {
    /// Pads sequences with the id `pad`.
    pub fn new(sequences: &[Vec<u32>], pad: u32, device: &Device) -> Self {
        let time = sequences.iter().map(Vec::len).max().unwrap_or(0);
        let ids: Vec<i64> = sequences
            .iter()
            .flat_map(|s| s.iter().copied().chain(std::iter::repeat(pad)).take(time).map(i64::from))
            .collect();
        Self {
            ids: Tensor::from_data(TensorData::new(ids, [sequences.len(), time]), device),
            lengths: sequences.iter().map(Vec::len).collect(),
        }
    }
}

/// The one matrix behind text input and output: encoder embedding, decoder embedding and output projection
/// (`share_input_output_embed`, spec section 4.4).
#[derive(Module, Debug)]
pub struct TokenMatrix {
    /// `[vocabulary, width]`.
    pub weight: Param<Tensor<2>>,
}

impl TokenMatrix {
    /// The pad row is zero.
    pub fn new(vocabulary: usize, width: usize, pad: u32, init: &Init) -> Self {
        let pad = pad as usize;
        let draw = move |init: &Init, shape| init.weights::<2>(shape).slice_fill([pad..pad + 1, 0..width], 0.0);
        Self { weight: init.parameter([vocabulary, width], draw) }
    }

    /// Embeds tokens: `[batch, time, width]`. Looking up padding passes no gradient (spec section 15.5).
    pub fn embed(&self, tokens: &Tokens) -> Tensor<3> {
        let [batch, time] = tokens.ids.dims();
        let weight = self.weight.val();
        let width = weight.dims()[1];
        let x = weight.select(0, tokens.ids.clone().reshape([batch * time])).reshape([batch, time, width]);
        if !is_padded(&tokens.lengths, time) {
            return x;
        }
        let padding =
            padding_mask(&tokens.lengths, time, &x.device()).unsqueeze_dim::<3>(2).expand([batch, time, width]);
        x.clone().mask_where(padding, x.detach())
    }

    /// Text-decoder post-net: states `[batch, time, width]` → logits `[batch, time, vocabulary]`.
    pub fn logits(&self, states: Tensor<3>) -> Tensor<3> {
        vocable_kernels::linear(states, self.weight.val().transpose(), None)
    }
}

/// Text into the encoder: embedding + α · ESPnet sinusoid, then dropout (spec section 4.2).
#[derive(Module, Debug)]
pub struct TextEncoderPrenet {
    /// Learned scale α of the positions, `[1]`.
    pub alpha: Param<Tensor<1>>,
    dropout: f64,
}

impl TextEncoderPrenet {
    /// α = 1.
    pub fn new(dropout: f64, device: &Device) -> Self {
        Self { alpha: Param::from_tensor(Tensor::ones([1], device)), dropout }
    }

    /// Tokens → `[batch, time, width]`.
    pub fn forward(&self, tokens: &Tokens, matrix: &TokenMatrix, mode: Mode) -> Tensor<3> {
        let x = matrix.embed(tokens);
        let [_, time, width] = x.dims();
        let positions = sinusoid::interleaved(time, width, 0, &x.device());
        Dropout(self.dropout).forward(x + positions * self.alpha.val().reshape([1, 1, 1]), mode)
    }
}

/// Text into the decoder: embedding + fairseq sinusoid, then dropout (spec section 4.4). It has no parameters.
#[derive(Clone, Copy, Debug)]
pub struct TextDecoderPrenet {
    /// Its dropout.
    pub dropout: f64,
}

impl TextDecoderPrenet {
    /// Tokens, of which `past` came before (0 when teacher-forced) → `[batch, time, width]`.
    pub fn forward(self, tokens: &Tokens, past: usize, matrix: &TokenMatrix, mode: Mode) -> Tensor<3> {
        let x = matrix.embed(tokens);
        let [_, time, width] = x.dims();
        let positions = sinusoid::halves(&tokens.lengths, time, width, 2 + past, &x.device());
        Dropout(self.dropout).forward(x + positions, mode)
    }
}
