//! Fused kernels for Burn's CPU backend in `f32`, and the one bridge through which they enter Burn's graph.
//!
//! A kernel knows nothing of Burn: it maps [`Array`]s to an [`Array`] and the gradient of that back to gradients of
//! its inputs. [`run`] finds out whether the tensors live where kernels can run.

mod adamw;
mod attention;
mod buffer;
mod conv;
mod conv_transpose;
mod cross_entropy;
mod dropout;
pub(crate) mod few_queries;
pub(crate) mod few_rows;
mod gelu;
mod group_norm;
mod known;
mod layer_norm;
mod leaky_relu;
pub(crate) mod level;
mod linear;
pub(crate) mod math;
pub(crate) mod minimal_filter;
mod pointwise;
mod product;
mod softmax;
mod tanh;
mod transpose;

use std::fmt::Debug;

use burn::backend::autodiff::{
    checkpoint::{
        base::Checkpointer,
        strategy::{BalancedCheckpointing, CheckpointStrategy, NoCheckpointing},
    },
    grads::Gradients,
    ops::{Backward, Ops, OpsKind},
};
use burn::backend::{
    Autodiff, AutodiffBackend, Backend, BackendTensor, DispatchAutodiffContext, DispatchKindConversion,
    DispatchTensorKind, Flex, TensorMetadata, flex::FlexQTensor, flex::FlexTensor, tensor::FloatTensor,
};
use burn::tensor::{DType, DispatchTensor, GradientCheckpointingStrategy, Tensor};

pub(crate) use adamw::{adamw, square_sum};
pub(crate) use attention::Attention;
pub(crate) use buffer::{Array, walkable};
pub(crate) use conv::Conv;
#[cfg(test)]
pub(crate) use conv::Sizes;
pub(crate) use conv_transpose::ConvTranspose;
pub(crate) use cross_entropy::cross_entropy;
pub(crate) use dropout::{Dropout, DropoutAdd};
pub(crate) use gelu::Gelu;
pub(crate) use group_norm::{BatchNorm, GroupNormOverTime, Spread, spreads};
pub(crate) use known::Known;
pub(crate) use layer_norm::LayerNorm;
pub(crate) use leaky_relu::LeakyRelu;
pub(crate) use level::Level;
pub(crate) use linear::Linear;
pub(crate) use softmax::{Hidden, Softmax};
pub(crate) use tanh::Tanh;
pub use transpose::transposed;

/// A differentiable operation on `N` arrays.
pub(crate) trait Kernel<const N: usize>: Clone + Debug + Send + 'static {
    /// What the backward pass needs of the forward pass.
    type Saved: Clone + Debug + Send + 'static;

    /// Whether the arrays may have strides (all but the last dimension's); otherwise they are made contiguous.
    const STRIDED: bool = false;

    fn forward(&self, inputs: [Array; N]) -> (Array, Self::Saved);

    /// The gradients of those inputs whose gradient is wanted, given that of the output.
    fn backward(&self, saved: Self::Saved, gradient: Array, wanted: [bool; N]) -> [Option<Array>; N];
}

/// Runs a kernel, or gives its inputs back where they are not all `f32` on the CPU backend. Inputs in no graph are
/// constants in that of the others.
pub(crate) fn run<K: Kernel<N>, const N: usize, const D: usize>(
    kernel: &K,
    inputs: [DispatchTensor; N],
) -> Result<Tensor<D>, [DispatchTensor; N]> {
    run_with(kernel, inputs, |inputs| kernel.forward(inputs))
}

/// [`run`] with a forward pass that needs more than the kernel, of which the backward pass keeps a copy.
pub(crate) fn run_with<K: Kernel<N>, const N: usize, const D: usize>(
    kernel: &K,
    inputs: [DispatchTensor; N],
    forward: impl FnOnce([Array; N]) -> (Array, K::Saved),
) -> Result<Tensor<D>, [DispatchTensor; N]> {
    if !inputs.iter().all(runs_on) {
        return Err(inputs);
    }
    let output = match inputs.iter().map(|input| input.autodiff).reduce(DispatchAutodiffContext::merge) {
        None | Some(DispatchAutodiffContext::Disabled) => {
            let (output, _) = forward(inputs.map(|input| array::<K, N>(primitive::<Flex>(input))));
            from_primitive::<Flex>(output.into_flex())
        }
        Some(DispatchAutodiffContext::Enabled(GradientCheckpointingStrategy::Disabled)) => {
            run_tracked::<K, NoCheckpointing, N>(kernel, inputs, forward)
        }
        Some(DispatchAutodiffContext::Enabled(GradientCheckpointingStrategy::Balanced)) => {
            run_tracked::<K, BalancedCheckpointing, N>(kernel, inputs, forward)
        }
    };
    Ok(Tensor::from_dispatch(output))
}

fn run_tracked<K: Kernel<N>, C: CheckpointStrategy, const N: usize>(
    kernel: &K,
    inputs: [DispatchTensor; N],
    forward: impl FnOnce([Array; N]) -> (Array, K::Saved),
) -> DispatchTensor
where
    DispatchTensor: DispatchKindConversion<Autodiff<Flex, C>>,
{
    let inputs = inputs.map(|input| match input.autodiff {
        DispatchAutodiffContext::Disabled => Autodiff::<Flex, C>::from_inner(primitive::<Flex>(input)),
        DispatchAutodiffContext::Enabled(_) => primitive::<Autodiff<Flex, C>>(input),
    });
    let nodes = inputs.each_ref().map(|input| input.node());
    let (output, saved) = forward(inputs.map(|input| array::<K, N>(input.into_primitive())));
    from_primitive::<Autodiff<Flex, C>>(match Step(kernel.clone()).prepare::<C>(nodes).compute_bound().stateful() {
        OpsKind::Tracked(prep) => prep.finish(saved, output.into_flex()),
        OpsKind::UnTracked(prep) => prep.finish(output.into_flex()),
    })
}

/// Whether a tensor is where kernels run, in a graph or not.
pub(crate) fn runs_on(tensor: &DispatchTensor) -> bool {
    tensor.dtype() == DType::F32
        && match &tensor.kind {
            DispatchTensorKind::Flex(_) => true,
            DispatchTensorKind::Autodiff(inner) => matches!(**inner, DispatchTensorKind::Flex(_)),
            #[allow(unreachable_patterns)]
            _ => false,
        }
}

/// The arrays of tensors outside of any graph, or the tensors where they are not `f32` on the CPU backend.
pub(crate) fn arrays<const N: usize>(tensors: [DispatchTensor; N]) -> Result<[Array; N], [DispatchTensor; N]> {
    let plain = |tensor: &DispatchTensor| runs_on(tensor) && tensor.autodiff == DispatchAutodiffContext::Disabled;
    if tensors.iter().all(plain) {
        Ok(tensors.map(|tensor| Array::from_flex(primitive::<Flex>(tensor))))
    } else {
        Err(tensors)
    }
}

/// The tensor's memory, where it lies on the CPU backend outside of any graph in one of the types.
pub(crate) fn plain(tensor: &DispatchTensor, types: &[DType]) -> Option<FlexTensor> {
    let plain = types.contains(&tensor.dtype()) && tensor.autodiff == DispatchAutodiffContext::Disabled;
    match &tensor.kind {
        DispatchTensorKind::Flex(BackendTensor::Float(tensor)) if plain => Some(tensor.clone()),
        _ => None,
    }
}

/// The bytes of a quantised matrix and their scales, where it lies on the CPU backend and each scale is that of some
/// rows of one column.
pub(crate) fn columns_of_bytes(tensor: &DispatchTensor) -> Option<FlexQTensor> {
    let DType::QFloat(scheme) = tensor.dtype() else { return None };
    let columns = scheme.tensor_scale().is_none()
        && scheme.block_size().is_some_and(|block| block.to_dim_vec(2)[1] == 1)
        && tensor.autodiff == DispatchAutodiffContext::Disabled;
    match &tensor.kind {
        DispatchTensorKind::Flex(BackendTensor::Quantized(tensor)) if columns => Some(tensor.clone()),
        _ => None,
    }
}

fn array<K: Kernel<N>, const N: usize>(tensor: FlexTensor) -> Array {
    if K::STRIDED { Array::strided(tensor) } else { Array::from_flex(tensor) }
}

/// The tensor as a primitive of the backend it is known to live on.
pub(crate) fn primitive<B: Backend>(tensor: DispatchTensor) -> FloatTensor<B>
where
    DispatchTensor: DispatchKindConversion<B>,
{
    match <DispatchTensor as DispatchKindConversion<B>>::try_into_backend(tensor) {
        Ok(BackendTensor::Float(tensor)) => tensor,
        _ => unreachable!("`runs_on` has seen a float tensor of this backend"),
    }
}

pub(crate) fn from_primitive<B: Backend>(tensor: FloatTensor<B>) -> DispatchTensor
where
    DispatchTensor: DispatchKindConversion<B>,
{
    <DispatchTensor as DispatchKindConversion<B>>::from_backend(BackendTensor::Float(tensor))
}

/// A kernel's backward pass as a step of Burn's graph.
#[derive(Debug)]
struct Step<K>(K);

impl<K: Kernel<N>, const N: usize> Backward<Flex, N> for Step<K> {
    type State = K::Saved;

    fn backward(self, ops: Ops<K::Saved, N>, grads: &mut Gradients, _: &mut Checkpointer) {
        let gradient: FlexTensor = grads.consume::<Flex>(&ops.node);
        let wanted = ops.parents.each_ref().map(Option::is_some);
        let found = self.0.backward(ops.state, array::<K, N>(gradient), wanted);
        for (parent, gradient) in ops.parents.into_iter().zip(found) {
            if let (Some(parent), Some(gradient)) = (parent, gradient) {
                grads.register::<Flex>(parent.id, gradient.into_flex());
            }
        }
    }
}
