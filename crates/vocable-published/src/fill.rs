//! Walks over the parameters of a model, to fill them or to look at them.

use std::path::Path;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Tensor, TensorData};
use vocable_weights::WeightsError;

use crate::Layout;

/// What became of the parameters of a model.
#[derive(Debug, Default)]
pub(crate) struct Filled {
    /// Those that a tensor filled, and those whose tensor has another shape.
    pub filled: Vec<String>,
    pub misfits: Vec<String>,
    /// What to say about the latter.
    pub reshaped: Vec<String>,
    /// Those without a tensor.
    pub lacking: Vec<String>,
}

type Found<'a> = Result<Option<(vocable_weights::Tensor<'a>, Layout)>, WeightsError>;

/// Fills every parameter for which `find` knows a tensor of `file`.
pub(crate) fn fill<'a, M: Module>(
    module: M,
    file: &Path,
    find: impl FnMut(&str) -> Found<'a>,
) -> Result<(M, Filled), WeightsError> {
    let mut filler = Filler { file, find, path: Vec::new(), filled: Filled::default(), error: None };
    let module = module.map(&mut filler);
    match filler.error {
        Some(error) => Err(error),
        None => Ok((module, filler.filled)),
    }
}

struct Filler<'f, F> {
    file: &'f Path,
    find: F,
    path: Vec<String>,
    filled: Filled,
    error: Option<WeightsError>,
}

impl<'a, F: FnMut(&str) -> Found<'a>> Filler<'_, F> {
    /// The published values of a parameter of shape `ours`, in our order.
    fn values(&mut self, path: &str, ours: &[usize]) -> Result<Option<Vec<f32>>, WeightsError> {
        let Some((tensor, layout)) = (self.find)(path)? else {
            self.filled.lacking.push(path.to_owned());
            return Ok(None);
        };
        if !layout.fits(tensor.shape(), ours) {
            let (name, theirs) = (tensor.name(), tensor.shape());
            self.filled.reshaped.push(format!("{path} {ours:?}, for which {name} {theirs:?} stands"));
            self.filled.misfits.push(path.to_owned());
            return Ok(None);
        }
        let values = tensor.floats()?;
        if !finite(&values) {
            let reason = format!("{} holds a value that is not finite", tensor.name());
            return Err(WeightsError::NotWeights { path: self.file.into(), reason });
        }
        self.filled.filled.push(path.to_owned());
        Ok(Some(layout.arrange(&values, tensor.shape(), ours)))
    }
}

/// Whether all values are finite; looked at without a branch, which costs a fraction of reading them.
fn finite(values: &[f32]) -> bool {
    values.iter().fold(true, |all, value| all & value.is_finite())
}

impl<'a, F: FnMut(&str) -> Found<'a>> ModuleMapper for Filler<'_, F> {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        if self.error.is_some() {
            return param;
        }
        let path = self.path.join(".");
        let shape = param.lazy_shape();
        match self.values(&path, &shape.to_vec()) {
            Ok(None) => param,
            // What the parameter would have been is never drawn.
            Ok(Some(values)) => {
                let (id, tensor) = (param.id, Tensor::from_data(TensorData::new(values, shape), &param.lazy_device()));
                param.transform_for_load(tensor, id)
            }
            Err(error) => {
                self.error = Some(error);
                param
            }
        }
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
    /// The same, computed when the function is called.
    fn later(&self) -> Box<dyn Fn() -> Vec<f32>>;
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

    fn later(&self) -> Box<dyn Fn() -> Vec<f32>> {
        let tensor = self.clone();
        Box::new(move || Leaf::values(&tensor))
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
