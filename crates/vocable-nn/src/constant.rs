use burn::tensor::Tensor;

/// A tensor without autodiff as a constant for computations with `other`, whichever graph that is in.
///
/// What must not learn is computed without a graph from the start (`module.valid()`), not detached from one: a graph
/// that no backward pass goes through stays in memory as long as the parameters in it.
pub fn constant_beside<const D: usize, const E: usize>(tensor: Tensor<D>, other: &Tensor<E>) -> Tensor<D> {
    match other.gradient_checkpointing_strategy() {
        Some(strategy) => tensor.autodiff().with_gradient_checkpointing_strategy(strategy),
        None => tensor,
    }
}
