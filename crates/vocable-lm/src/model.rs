use burn::module::Module;
use burn::tensor::{Tensor, activation};
use vocable_nets::{TokenMatrix, Tokens};
use vocable_nn::{CausalStack, Mode, PastCache, sinusoid};

/// A Transformer over tokens that predicts each from those before it. Source: fairseq `transformer_lm.py`.
#[derive(Module, Debug)]
pub struct TransformerLm {
    /// What tokens become.
    pub embedding: TokenMatrix,
    /// The layers.
    pub stack: CausalStack,
    /// What states become; none where the embedding is used again.
    pub output: Option<TokenMatrix>,
    pub(crate) scale: f64,
}

impl TransformerLm {
    /// fairseq's first position, behind that of the padding.
    const FIRST_POSITION: usize = 2;

    /// Tokens, each sequence with its start → logits of the next token, `[batch, time, tokens]`.
    pub fn forward(&self, tokens: &Tokens, mode: Mode) -> Tensor<3> {
        self.logits(self.stack.forward(self.embed(tokens, 0), mode.fold("stack")))
    }

    /// Starts step-by-step scoring for so many hypotheses.
    pub fn start(&self, hypotheses: usize) -> PastCache {
        self.stack.start(hypotheses)
    }

    /// The newest token of every hypothesis → log-probabilities of the next, `[hypotheses, tokens]`.
    pub fn step(&self, newest: &[u32], past: &mut PastCache) -> Tensor<2> {
        let newest: Vec<Vec<u32>> = newest.iter().map(|&token| vec![token]).collect();
        let newest = Tokens::new(&newest, 0, &self.embedding.weight.val().device());
        let states = self.stack.step(self.embed(&newest, past.len()), past);
        activation::log_softmax(self.logits(states).squeeze_dim(1), 1)
    }

    /// Rows of the embedding.
    pub fn tokens(&self) -> usize {
        self.embedding.weight.val().dims()[0]
    }

    /// Tokens, of which `past` came before → `[batch, time, width]`.
    fn embed(&self, tokens: &Tokens, past: usize) -> Tensor<3> {
        let x = self.embedding.embed(tokens) * self.scale;
        let [_, time, width] = x.dims();
        let positions = sinusoid::halves(&tokens.lengths, time, width, Self::FIRST_POSITION + past, &x.device());
        x + positions
    }

    fn logits(&self, states: Tensor<3>) -> Tensor<3> {
        self.output.as_ref().unwrap_or(&self.embedding).logits(states)
    }
}
