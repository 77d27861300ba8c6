//! The mean of several sets of weights (spec section 6: translation takes that of its last ten checkpoints).

use std::collections::HashMap;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Tensor, TensorData};

use crate::parameters::Path;

/// Mean of float parameters by name, sums in f64.
#[derive(Default)]
pub(crate) struct Average {
    path: Path,
    sums: HashMap<String, Vec<f64>>,
    count: usize,
}

impl Average {
    /// Takes a module's parameters in.
    pub(crate) fn add<M: Module>(&mut self, module: &M) {
        module.visit(self);
        self.count += 1;
    }

    /// The module with the mean of all that were added; at least one of its kind must have been.
    pub(crate) fn into_module<M: Module>(mut self, module: M) -> M {
        module.map(&mut self)
    }
}

impl ModuleVisitor for Average {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.path.enter(name, container);
    }

    fn exit_module(&mut self, _name: &str, container: &str) {
        self.path.exit(container);
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let values = param.val().try_into_vec_as::<f32>().expect("weights are readable floats");
        let sum = self.sums.entry(self.path.name()).or_insert_with(|| vec![0.0; values.len()]);
        sum.iter_mut().zip(values).for_each(|(sum, value)| *sum += f64::from(value));
    }
}

impl ModuleMapper for Average {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.path.enter(name, container);
    }

    fn exit_module(&mut self, _name: &str, container: &str) {
        self.path.exit(container);
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let sum = &self.sums[&self.path.name()];
        let mean: Vec<f32> = sum.iter().map(|sum| (sum / self.count as f64) as f32).collect();
        param.map(|tensor| {
            let trainable = tensor.is_require_grad();
            let mean = TensorData::new(mean, tensor.dims());
            Tensor::from_data(mean, &tensor.device()).set_require_grad(trainable)
        })
    }
}
