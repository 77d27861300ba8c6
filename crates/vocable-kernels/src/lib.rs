//! The tensor operations a speech–text Transformer spends its time in.
//!
//! Every function takes and returns ordinary Burn tensors and is differentiable. On Burn's CPU backend in `f32` it runs
//! a fused kernel with a hand-written backward; on every other device or type it is composed of ordinary Burn
//! operations ([`composed`]). Callers cannot tell the two apart, except by time.
//!
//! Activations are channels-last: `[batch, time, channel]`. Weights are stored `[in, out]`.

mod adamw;
mod allocator;
mod attention;
pub mod composed;
mod conv;
mod cross_entropy;
mod ctc;
mod fused;
mod known;
mod norm;
mod ops;
mod recompute;
mod stored;

pub use adamw::{AdamW, norm};
pub use allocator::keep_memory;
pub use attention::{AttentionInput, attention};
pub use conv::{Window, conv_transpose1d, conv1d, conv1d_grouped};
pub use cross_entropy::{CrossEntropy, cross_entropy};
pub use ctc::{Ctc, ctc};
pub use fused::transposed;
pub use known::known_gradient;
pub use norm::{BatchNormed, batch_norm, batch_norm_with, group_norm_over_time, layer_norm};
pub use ops::{dropout, dropout_add, gelu, leading_softmax, leaky_relu, linear, masked_softmax, softmax, tanh};
pub use recompute::recompute;
pub use stored::Storage;

#[cfg(test)]
mod tests;
