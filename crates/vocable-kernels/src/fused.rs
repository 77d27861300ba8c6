//! Fused kernels for Burn's CPU backend in `f32`, and the one bridge through which they enter Burn's graph.
//!
//! A kernel knows nothing of Burn: it maps [`Array`]s to an [`Array`] and the gradient of that back to gradients of
//! its inputs. [`run`] finds out whether the tensors live where kernels can run.

mod attention;
mod buffer;
mod conv;
mod dropout;
mod gelu;
mod group_norm;
mod layer_norm;
mod level;
mod linear;
mod math;
mod product;
mod softmax;

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
    Autodiff, Backend, BackendTensor, DispatchKindConversion, Flex, flex::FlexTensor, tensor::FloatTensor,
};
use burn::tensor::{DType, DispatchTensor, Tensor};

pub(crate) use attention::Attention;
use buffer::Array;
pub(crate) use conv::Conv;
pub(crate) use dropout::Dropout;
pub(crate) use gelu::Gelu;
pub(crate) use group_norm::GroupNormOverTime;
pub(crate) use layer_norm::LayerNorm;
pub(crate) use level::Level;
pub(crate) use linear::Linear;
pub(crate) use softmax::Softmax;

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

/// Runs a kernel, or returns `None` where the tensors are not all `f32` on the CPU backend and of one graph.
pub(crate) fn run<K: Kernel<N>, const N: usize, const D: usize>(
    kernel: &K,
    inputs: [DispatchTensor; N],
) -> Option<Tensor<D>> {
    // The cheapest question first: this is the path of inference.
    run_plain(kernel, &inputs)
        .or_else(|| run_tracked::<K, NoCheckpointing, N>(kernel, &inputs))
        .or_else(|| run_tracked::<K, BalancedCheckpointing, N>(kernel, &inputs))
        .map(Tensor::from_dispatch)
}

fn run_plain<K: Kernel<N>, const N: usize>(kernel: &K, inputs: &[DispatchTensor; N]) -> Option<DispatchTensor> {
    let inputs = primitives::<Flex, N>(inputs)?;
    if !inputs.iter().all(|input| input.dtype() == DType::F32) {
        return None;
    }
    let (output, _) = kernel.forward(inputs.map(array::<K, N>));
    Some(<DispatchTensor as DispatchKindConversion<Flex>>::from_backend(BackendTensor::Float(output.into_flex())))
}

fn run_tracked<K: Kernel<N>, C: CheckpointStrategy, const N: usize>(
    kernel: &K,
    inputs: &[DispatchTensor; N],
) -> Option<DispatchTensor>
where
    DispatchTensor: DispatchKindConversion<Autodiff<Flex, C>>,
{
    let inputs = primitives::<Autodiff<Flex, C>, N>(inputs)?;
    if !inputs.iter().all(|input| input.primitive().dtype() == DType::F32) {
        return None;
    }
    let nodes = inputs.each_ref().map(|input| input.node());
    let (output, saved) = kernel.forward(inputs.map(|input| array::<K, N>(input.into_primitive())));
    let output = match Step(kernel.clone()).prepare::<C>(nodes).compute_bound().stateful() {
        OpsKind::Tracked(prep) => prep.finish(saved, output.into_flex()),
        OpsKind::UnTracked(prep) => prep.finish(output.into_flex()),
    };
    Some(<DispatchTensor as DispatchKindConversion<Autodiff<Flex, C>>>::from_backend(BackendTensor::Float(output)))
}

/// Whether a tensor is where kernels run.
pub(crate) fn runs_on<const D: usize>(tensor: &Tensor<D>) -> bool {
    let found = [tensor.clone().into_dispatch()];
    tensor.dtype() == DType::F32
        && (primitives::<Flex, 1>(&found).is_some()
            || primitives::<Autodiff<Flex, NoCheckpointing>, 1>(&found).is_some()
            || primitives::<Autodiff<Flex, BalancedCheckpointing>, 1>(&found).is_some())
}

fn array<K: Kernel<N>, const N: usize>(tensor: FlexTensor) -> Array {
    if K::STRIDED { Array::strided(tensor) } else { Array::from_flex(tensor) }
}

/// The tensors as primitives of the backend `B`, if that is where all of them live.
fn primitives<B: Backend, const N: usize>(inputs: &[DispatchTensor; N]) -> Option<[FloatTensor<B>; N]>
where
    DispatchTensor: DispatchKindConversion<B>,
{
    let found: Vec<FloatTensor<B>> = inputs
        .iter()
        .map_while(|input| match <DispatchTensor as DispatchKindConversion<B>>::try_into_backend(input.clone()) {
            Ok(BackendTensor::Float(tensor)) => Some(tensor),
            _ => None,
        })
        .collect();
    found.try_into().ok()
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
