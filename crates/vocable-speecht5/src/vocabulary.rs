//! Models under another vocabulary.

use burn::module::Param;
use burn::tensor::{Int, Tensor, TensorData};
use vocable_nn::Init;

use crate::SpeechT5;

impl SpeechT5 {
    /// The model with other identifiers: row n of the text matrix and of the CTC head is the row `before[n]` that they had,
    /// or drawn anew where it is none (the CTC head's biases are zero there). See `vocable_text::Tokenizer::extended`.
    ///
    /// There is one text matrix for input and output, so it stays tied. Panics where an identifier is not below the
    /// vocabulary's size.
    #[must_use]
    pub fn with_vocabulary(mut self, before: &[Option<u32>], init: &Init) -> Self {
        let tokens = |weight: Tensor<2>| rows(weight, before, init.fold("tokens"));
        let weight = |weight: Tensor<2>| rows(weight.transpose(), before, init.fold("ctc")).transpose();
        let bias = |bias: Tensor<1>| {
            let kept = rows(bias.unsqueeze_dim(1), before, init.fold("bias"));
            let known: Vec<f32> = before.iter().map(|row| f32::from(u8::from(row.is_some()))).collect();
            let known = Tensor::<1>::from_data(TensorData::new(known, [before.len()]), &kept.device());
            kept.squeeze_dim(1) * known
        };
        self.tokens.weight = replaced(self.tokens.weight, tokens);
        self.ctc.weight = replaced(self.ctc.weight, weight);
        self.ctc.bias = self.ctc.bias.map(|old| replaced(old, bias));
        self
    }
}

/// Row `before[n]` of a matrix as row n; rows without one are drawn.
fn rows(old: Tensor<2>, before: &[Option<u32>], init: Init) -> Tensor<2> {
    let [count, width] = old.dims();
    let new: Tensor<2> = init.weights([before.len(), width]);
    // Drawn rows lie behind the old ones.
    let row = |(n, row): (usize, &Option<u32>)| match row {
        Some(row) => {
            assert!((*row as usize) < count, "row {row} is not in a matrix of {count}");
            i64::from(*row)
        }
        None => (count + n) as i64,
    };
    let indices: Vec<i64> = before.iter().enumerate().map(row).collect();
    let indices = Tensor::<1, Int>::from_data(TensorData::new(indices, [before.len()]), &old.device());
    Tensor::cat(vec![old, new], 0).select(0, indices)
}

fn replaced<const D: usize>(param: Param<Tensor<D>>, make: impl FnOnce(Tensor<D>) -> Tensor<D>) -> Param<Tensor<D>> {
    param.map(|old| {
        let tracked = old.is_require_grad();
        // What was made of drawn rows is no leaf of the graph.
        make(old.detach()).detach().set_require_grad(tracked)
    })
}
