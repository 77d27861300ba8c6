//! The names of a module's parameters, the same in weight files, optimiser state and messages.

use burn::module::{Module, ModuleVisitor, Param, ParamId};
use burn::tensor::{Device, Tensor};

/// What is known of a float parameter without reading its values.
#[derive(Clone, Debug)]
pub struct Parameter {
    /// Field names from the root, joined by dots; variants of enumerations don't count.
    pub name: String,
    /// Burn's identity of the parameter, another one in every process.
    pub id: ParamId,
    /// Its shape.
    pub shape: Vec<usize>,
    /// The device it is on, autodiff or not.
    pub device: Device,
    /// Whether gradients are kept for it.
    pub trainable: bool,
}

/// The float parameters of a module in the order of its fields.
pub fn parameters<M: Module>(module: &M) -> Vec<Parameter> {
    let mut collector = Collector { path: Path::default(), found: Vec::new() };
    module.visit(&mut collector);
    collector.found
}

/// The fields entered on the way from a module's root to a parameter.
#[derive(Default)]
pub(crate) struct Path(Vec<String>);

impl Path {
    pub(crate) fn enter(&mut self, name: &str, container: &str) {
        if !container.starts_with("Enum:") {
            self.0.push(name.to_owned());
        }
    }

    pub(crate) fn exit(&mut self, container: &str) {
        if !container.starts_with("Enum:") {
            self.0.pop();
        }
    }

    pub(crate) fn name(&self) -> String {
        self.0.join(".")
    }
}

struct Collector {
    path: Path,
    found: Vec<Parameter>,
}

impl ModuleVisitor for Collector {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.path.enter(name, container);
    }

    fn exit_module(&mut self, _name: &str, container: &str) {
        self.path.exit(container);
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.found.push(Parameter {
            name: self.path.name(),
            id: param.id,
            shape: param.lazy_shape().to_vec(),
            device: param.lazy_device(),
            trainable: param.is_require_grad(),
        });
    }
}
