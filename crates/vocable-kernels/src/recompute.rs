//! Activation checkpointing: a part of a model that keeps only its inputs and runs again in the backward pass.
//!
//! The forward pass runs the part outside of the graph and adds a single step to it. That step's backward runs the part
//! once more, on leaves of its own and therefore in a graph of its own, differentiates it with the gradient that has
//! arrived, and hands the gradients on: those of the inputs to their nodes, those of the parameters to the leaves that
//! the model holds, which need no place in the outer graph for that.

use std::fmt;
use std::marker::PhantomData;

use burn::backend::autodiff::{
    NodeId,
    checkpoint::{
        base::Checkpointer,
        strategy::{BalancedCheckpointing, CheckpointStrategy, NoCheckpointing},
    },
    grads::Gradients,
    ops::{Backward, Ops, OpsKind},
};
use burn::backend::flex::{FlexTensor, Layout};
use burn::backend::{
    Autodiff, AutodiffBackend, DispatchAutodiffContext, DispatchKindConversion, Flex, tensor::FloatTensor,
};
use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{Bytes, DType, DispatchTensor, GradientCheckpointingStrategy, Shape, Tensor};

use crate::fused::{from_primitive, primitive, runs_on};

/// What an inner graph is made of.
type Inner = Autodiff<Flex, NoCheckpointing>;

/// `run(module, inputs)`, of which only the inputs are kept for the backward pass; that runs it again.
///
/// Memory is traded for about a second forward pass; values and gradients are the same to the bit, as long as `run` is a
/// pure function: dropout is keyed, and nothing may be recorded on the way. Whatever else `run` captures must be without
/// autodiff. On a device other than the CPU, and outside of a graph, `run` is simply called.
pub fn recompute<M, R, const N: usize, const D: usize>(module: &M, inputs: [DispatchTensor; N], run: R) -> Tensor<D>
where
    M: Module + 'static,
    R: Fn(&M, [DispatchTensor; N]) -> Tensor<D> + Clone + Send + 'static,
{
    let graph = inputs[0].autodiff;
    if !inputs.iter().all(|input| runs_on(input) && input.autodiff == graph) {
        return run(module, inputs);
    }
    match graph {
        DispatchAutodiffContext::Disabled => run(module, inputs),
        DispatchAutodiffContext::Enabled(GradientCheckpointingStrategy::Disabled) => {
            tracked::<M, R, NoCheckpointing, N, D>(module, inputs, run)
        }
        DispatchAutodiffContext::Enabled(GradientCheckpointingStrategy::Balanced) => {
            tracked::<M, R, BalancedCheckpointing, N, D>(module, inputs, run)
        }
    }
}

fn tracked<M, R, C, const N: usize, const D: usize>(module: &M, inputs: [DispatchTensor; N], run: R) -> Tensor<D>
where
    M: Module + 'static,
    R: Fn(&M, [DispatchTensor; N]) -> Tensor<D> + Clone + Send + 'static,
    C: CheckpointStrategy,
    DispatchTensor: DispatchKindConversion<Autodiff<Flex, C>>,
{
    let mut inputs = inputs.map(primitive::<Autodiff<Flex, C>>);
    let mut leaves = Leaves::<C> { found: Vec::new(), strategy: PhantomData };
    module.visit(&mut leaves);
    let wanted = inputs.each_ref().map(|input| input.is_tracked());
    if !wanted.contains(&true) && leaves.found.iter().any(Option::is_some) {
        // A step is in the graph through its inputs: this one stands for the parameters.
        inputs[0] = inputs[0].clone().require_grad();
    }
    let nodes = inputs.each_ref().map(|input| input.node());
    let OpsKind::Tracked(step) = Step::<M, R, D>(PhantomData).prepare::<C>(nodes).compute_bound().stateful() else {
        return run(module, inputs.map(from_primitive::<Autodiff<Flex, C>>));
    };
    let inputs = inputs.map(|input| input.into_primitive());
    let plain = module.valid();
    let output = run(&plain, inputs.clone().map(from_primitive::<Flex>));
    let output = output.try_into_primitive::<Flex>().expect("what a recomputed part captures is without autodiff");
    let state = State { module: plain, run, inputs, wanted, leaves: leaves.found };
    Tensor::from_primitive::<Autodiff<Flex, C>>(step.finish(state, output))
}

/// What is kept for the backward pass. The module shares its parameters' memory with the model's.
#[derive(Clone)]
struct State<M, R, const N: usize> {
    module: M,
    run: R,
    inputs: [FlexTensor; N],
    /// Which inputs have a gradient.
    wanted: [bool; N],
    /// The node of each parameter in the order of a visit; none for those that do not train.
    leaves: Vec<Option<NodeId>>,
}

impl<M, R, const N: usize> fmt::Debug for State<M, R, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State").field("inputs", &self.inputs).finish_non_exhaustive()
    }
}

/// The step of the outer graph.
struct Step<M, R, const D: usize>(PhantomData<fn(M, R)>);

impl<M, R, const D: usize> fmt::Debug for Step<M, R, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Recompute")
    }
}

impl<M, R, const N: usize, const D: usize> Backward<Flex, N> for Step<M, R, D>
where
    M: Module + 'static,
    R: Fn(&M, [DispatchTensor; N]) -> Tensor<D> + Clone + Send + 'static,
{
    type State = State<M, R, N>;

    fn backward(self, ops: Ops<State<M, R, N>, N>, grads: &mut Gradients, _: &mut Checkpointer) {
        let gradient: FlexTensor = grads.consume::<Flex>(&ops.node);
        let State { module, run, inputs, wanted, leaves } = ops.state;
        let module = module.train();
        let mut inputs = inputs.into_iter().zip(wanted).map(|(input, wanted)| {
            let input = <Inner as AutodiffBackend>::from_inner(input);
            if wanted { input.require_grad() } else { input }
        });
        let inputs: [FloatTensor<Inner>; N] = std::array::from_fn(|_| inputs.next().expect("N inputs"));
        let output = run(&module, inputs.clone().map(from_primitive::<Inner>));
        let output = output.try_into_primitive::<Inner>().expect("the same operations on the same device");
        let mut found = meet(output, gradient);
        for (parent, input) in ops.parents.iter().zip(&inputs) {
            if let (Some(parent), Some(gradient)) = (parent, input.grad_remove(&mut found)) {
                grads.register::<Flex>(parent.id, gradient);
            }
        }
        module.visit(&mut HandOn { found: &mut found, leaves: leaves.into_iter(), grads });
    }
}

/// Differentiates `output`, whose gradient is `gradient`.
fn meet(output: FloatTensor<Inner>, gradient: FlexTensor) -> Gradients {
    let nothing = FlexTensor::new(Bytes::from_elems(vec![0.0_f32]), Layout::contiguous(Shape::from([1])), DType::F32);
    match Meet.prepare::<NoCheckpointing>([output.node()]).compute_bound().stateful() {
        OpsKind::Tracked(step) => {
            // Nobody reads the output: the operations before it may reuse its memory.
            drop(output);
            step.finish(gradient, nothing).backward()
        }
        OpsKind::UnTracked(_) => unreachable!("a part without any gradient is not in the graph"),
    }
}

/// The root of an inner graph: gives its parent the gradient that it holds.
#[derive(Debug)]
struct Meet;

impl Backward<Flex, 1> for Meet {
    type State = FlexTensor;

    fn backward(self, ops: Ops<FlexTensor, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let [parent] = ops.parents;
        grads.register::<Flex>(parent.expect("the parent is tracked").id, ops.state);
    }
}

/// Finds the nodes of a module's parameters.
struct Leaves<C> {
    found: Vec<Option<NodeId>>,
    strategy: PhantomData<C>,
}

impl<C: CheckpointStrategy> ModuleVisitor for Leaves<C>
where
    DispatchTensor: DispatchKindConversion<Autodiff<Flex, C>>,
{
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let leaf = param.val().try_into_primitive::<Autodiff<Flex, C>>().ok();
        self.found.push(leaf.filter(|leaf| leaf.is_tracked()).map(|leaf| leaf.id()));
    }
}

/// Hands the gradients of a module's parameters in an inner graph to the nodes of the outer one.
struct HandOn<'a, L> {
    found: &'a mut Gradients,
    leaves: L,
    grads: &'a mut Gradients,
}

impl<L: Iterator<Item = Option<NodeId>>> ModuleVisitor for HandOn<'_, L> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let Some(node) = self.leaves.next().expect("the module is the one of the forward pass") else { return };
        let own = param.val().try_into_primitive::<Inner>().expect("parameters are on the inner graph's device");
        if let Some(gradient) = own.grad_remove(self.found) {
            self.grads.register::<Flex>(node, gradient);
        }
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Distribution};
    use vocable_random::Key;

    use super::*;

    #[derive(Module, Debug)]
    struct Part {
        inner: Param<Tensor<2>>,
        outer: Param<Tensor<2>>,
        scale: Param<Tensor<1>>,
        frozen: Param<Tensor<1>>,
        unused: Param<Tensor<1>>,
    }

    impl Part {
        fn new(device: &Device) -> Self {
            let random = |shape: [usize; 2]| Tensor::<2>::random(shape, Distribution::Normal(0.0, 1.0), device);
            Self {
                inner: Param::from_tensor(random([8, 16])),
                outer: Param::from_tensor(random([16, 8])),
                scale: Param::from_tensor(random([1, 8]).squeeze_dim(0)),
                frozen: Param::from_tensor(random([1, 8]).squeeze_dim(0)).set_require_grad(false),
                unused: Param::from_tensor(random([1, 8]).squeeze_dim(0)),
            }
        }

        fn forward(&self, x: Tensor<3>, memory: Tensor<2>, key: Key) -> Tensor<3> {
            let hidden = crate::gelu(crate::linear(x.clone(), self.inner.val(), None));
            let hidden = crate::dropout(hidden, 0.3, key);
            let y = crate::linear(hidden, self.outer.val(), None);
            let y = crate::layer_norm(x + y, self.scale.val(), self.frozen.val(), 1e-5);
            y * memory.unsqueeze()
        }

        fn recomputed(&self, x: Tensor<3>, memory: Tensor<2>, key: Key) -> Tensor<3> {
            recompute(self, [x.into_dispatch(), memory.into_dispatch()], move |part: &Self, [x, memory]| {
                part.forward(Tensor::from_dispatch(x), Tensor::from_dispatch(memory), key)
            })
        }
    }

    /// Output and all gradients of three parts in a row that share a memory, the second one twice.
    fn outcome(parts: &[Part; 2], x: &Tensor<3>, memory: &Tensor<2>, recomputed: bool) -> Vec<Vec<f32>> {
        let (x, memory) = (x.clone().require_grad(), memory.clone().require_grad());
        // Inputs of a part that are no leaves.
        let (mut state, shared) = (x.clone() * 2.0, memory.clone() + 1.0);
        for (n, part) in [0, 1, 1].into_iter().enumerate() {
            let key = Key::new(3).fold(n);
            state = match recomputed {
                true => parts[part].recomputed(state, shared.clone(), key),
                false => parts[part].forward(state, shared.clone(), key),
            };
        }
        let values = |tensor: Tensor<1>| tensor.into_data().try_into_vec::<f32>().unwrap();
        let mut outcome = vec![values(state.clone().inner().flatten(0, 2))];
        let gradients = (state.clone() * state).sum().backward();
        outcome.push(values(x.grad(&gradients).unwrap().flatten(0, 2)));
        outcome.push(values(memory.grad(&gradients).unwrap().flatten(0, 1)));
        for part in parts {
            outcome.push(values(part.inner.val().grad(&gradients).unwrap().flatten(0, 1)));
            outcome.push(values(part.outer.val().grad(&gradients).unwrap().flatten(0, 1)));
            outcome.push(values(part.scale.val().grad(&gradients).unwrap()));
            assert!(part.frozen.val().grad(&gradients).is_none() && part.unused.val().grad(&gradients).is_none());
        }
        outcome
    }

    #[test]
    fn gradients_are_those_of_the_plain_pass_to_the_bit() {
        let device = Device::flex();
        for device in [device.clone().autodiff(), device.autodiff().gradient_checkpointing()] {
            let parts = [Part::new(&device), Part::new(&device)];
            let x = Tensor::random([2, 5, 8], Distribution::Default, &device);
            let memory = Tensor::random([5, 8], Distribution::Default, &device);
            let (plain, again) = (outcome(&parts, &x, &memory, false), outcome(&parts, &x, &memory, true));
            assert!(plain == again);
            assert!(plain.iter().flatten().all(|value| value.is_finite()));
            // And once more: nothing of the first pass is left behind.
            assert!(again == outcome(&parts, &x, &memory, true));
        }
    }

    #[test]
    fn an_input_without_gradient_gets_none_and_others_keep_theirs() {
        let device = Device::flex().autodiff();
        let part = Part::new(&device);
        let x = Tensor::<3>::random([2, 5, 8], Distribution::Default, &device).require_grad();
        let memory = Tensor::<2>::random([5, 8], Distribution::Default, &device);
        let gradient = |y: Tensor<3>| x.grad(&y.sum().backward()).unwrap().into_data();
        let plain = gradient(part.forward(x.clone(), memory.clone(), Key::new(1)));
        assert_eq!(gradient(part.recomputed(x.clone(), memory.clone(), Key::new(1))), plain);
    }

    #[test]
    fn parameters_get_their_gradients_where_no_input_has_one() {
        let device = Device::flex().autodiff();
        let part = Part::new(&device);
        let x = Tensor::<3>::random([2, 5, 8], Distribution::Default, &device);
        let memory = Tensor::<2>::random([5, 8], Distribution::Default, &device);
        let gradient = |y: Tensor<3>| part.inner.val().grad(&y.sum().backward()).unwrap().into_data();
        let plain = gradient(part.forward(x.clone(), memory.clone(), Key::new(1)));
        assert_eq!(gradient(part.recomputed(x.clone(), memory.clone(), Key::new(1))), plain);
        assert!(!x.is_tracked());
    }

    #[test]
    fn outside_of_a_graph_it_is_a_call() {
        let device = Device::flex();
        let part = Part::new(&device.clone().autodiff()).valid();
        let x = Tensor::<3>::random([2, 5, 8], Distribution::Default, &device);
        let memory = Tensor::<2>::random([5, 8], Distribution::Default, &device);
        let plain = part.forward(x.clone(), memory.clone(), Key::new(1)).into_data();
        assert_eq!(part.recomputed(x, memory, Key::new(1)).into_data(), plain);
    }
}
