//! AdamW over a whole module, with clipping by the global gradient norm and a state that is keyed by names.
//!
//! The update itself is Burn's [`AdamW`]. Its `ModuleOptimizer` is not used, for three reasons: it keys the state by
//! identities that differ in every process, it clips every parameter by itself, and its file is not reproducible.

use std::collections::BTreeMap;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::optim::{AdamW, AdamWConfig, AdamWState, AdaptiveMomentumState, GradientsParams, Optimizer};
use burn::tensor::{Tensor, TensorData};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};

use crate::TrainError;
use crate::parameters::{Path, parameters};

/// AdamW with decoupled weight decay, and clipping by the norm over all parameters.
///
/// fairseq's own Adam adds `eps` before it corrects the second moment's bias, Burn's (and PyTorch's) after; the two
/// differ only where a gradient is about as small as `eps`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OptimiserConfig {
    /// Decay of the first moment.
    pub beta1: f64,
    /// Decay of the second moment.
    pub beta2: f64,
    /// Added to the root of the second moment.
    pub eps: f64,
    /// A parameter shrinks by `weight_decay · learning rate` in every update.
    pub weight_decay: f64,
    /// Largest gradient norm over all parameters; larger gradients are scaled down to it. 0 never clips.
    pub clip: f64,
}

impl OptimiserConfig {
    /// Checks every range; the error names the field.
    pub fn check(&self) -> Result<(), TrainError> {
        for (name, value, valid) in [
            ("beta1", self.beta1, (0.0..1.0).contains(&self.beta1)),
            ("beta2", self.beta2, (0.0..1.0).contains(&self.beta2)),
            ("eps", self.eps, self.eps > 0.0 && self.eps.is_finite()),
            (
                "weight_decay",
                self.weight_decay,
                self.weight_decay >= 0.0 && self.weight_decay.is_finite(),
            ),
            ("clip", self.clip, self.clip >= 0.0 && self.clip.is_finite()),
        ] {
            if !valid {
                return Err(TrainError::Config(format!(
                    "optimiser.{name} is {value}, out of its range"
                )));
            }
        }
        Ok(())
    }
}

/// The optimiser of one run: the recipe and the moments of every parameter that ever had a gradient.
pub struct Optimiser {
    adamw: AdamW,
    clip: f64,
    moments: BTreeMap<String, Moments>,
}

/// Adam's state of one parameter, without its shape.
struct Moments {
    /// Updates in which the parameter had a gradient; the bias correction counts these only.
    time: usize,
    first: Tensor<1>,
    second: Tensor<1>,
}

impl Optimiser {
    /// An optimiser that has seen nothing.
    pub fn new(config: &OptimiserConfig) -> Self {
        let adamw = AdamWConfig::new()
            .with_beta_1(config.beta1 as f32)
            .with_beta_2(config.beta2 as f32)
            .with_epsilon(config.eps as f32)
            .with_weight_decay(config.weight_decay as f32)
            .build();
        Self {
            adamw,
            clip: config.clip,
            moments: BTreeMap::new(),
        }
    }

    /// One update of every parameter that has a gradient; the others stay as they are, moments and decay included.
    ///
    /// `gradients` are sums over `micro_batches` micro-batches; their mean is clipped and applied. Returns the module
    /// and the norm of the mean gradient before clipping. When that norm is not finite, nothing changes.
    pub fn step<M: Module>(
        &mut self,
        module: M,
        gradients: GradientsParams,
        micro_batches: usize,
        learning_rate: f64,
    ) -> (M, f64) {
        let mean = 1.0 / micro_batches as f64;
        let norm = gradient_norm(&module, &gradients) * mean;
        if !norm.is_finite() {
            return (module, norm);
        }
        // The small constant is fairseq's: it keeps a norm of zero away from the division.
        let clip = if self.clip > 0.0 {
            (self.clip / (norm + 1e-6)).min(1.0)
        } else {
            1.0
        };
        let mut update = Update {
            optimiser: self,
            gradients,
            scale: mean * clip,
            learning_rate,
            path: Path::default(),
        };
        (module.map(&mut update), norm)
    }

    /// The state as a safetensors file: `NAME.moment_1` and `NAME.moment_2` of the parameter's number of elements and
    /// `NAME.time` for every parameter that ever had a gradient. Equal states give equal bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut tensors: Vec<(String, Dtype, usize, Vec<u8>)> = Vec::with_capacity(3 * self.moments.len());
        for (name, moments) in &self.moments {
            let floats = |tensor: &Tensor<1>| {
                let values: Vec<f32> = tensor
                    .clone()
                    .into_data()
                    .convert::<f32>()
                    .try_into_vec()
                    .expect("converted to f32");
                values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>()
            };
            let length = moments.first.dims()[0];
            tensors.push((format!("{name}.moment_1"), Dtype::F32, length, floats(&moments.first)));
            tensors.push((format!("{name}.moment_2"), Dtype::F32, length, floats(&moments.second)));
            let time = (moments.time as u64).to_le_bytes().to_vec();
            tensors.push((format!("{name}.time"), Dtype::U64, 1, time));
        }
        let views = tensors.iter().map(|(name, dtype, length, bytes)| {
            let view = TensorView::new(*dtype, vec![*length], bytes).expect("the length fits the bytes");
            (name.as_str(), view)
        });
        safetensors::serialize(views, None).expect("names and lengths are valid")
    }

    /// Takes over a state written by [`Optimiser::to_bytes`] for the same module.
    ///
    /// The error says which parameter is unknown to the module, of another size or incomplete.
    pub fn load<M: Module>(&mut self, module: &M, bytes: &[u8]) -> Result<(), String> {
        let file = SafeTensors::deserialize(bytes).map_err(|error| format!("not a safetensors file: {error}"))?;
        let mut moments = BTreeMap::new();
        for parameter in parameters(module) {
            let name = parameter.name;
            let Ok(time) = file.tensor(&format!("{name}.time")) else {
                continue;
            };
            let time = time
                .data()
                .try_into()
                .map_err(|_| format!("{name}.time is not one whole number"))?;
            let length = parameter.shape.iter().product::<usize>();
            let device = parameter.device.without_autodiff();
            let tensor = |part: &str| {
                let view = file
                    .tensor(&format!("{name}.{part}"))
                    .map_err(|_| format!("{name}.{part} is missing"))?;
                if view.dtype() != Dtype::F32 || view.shape() != [length] {
                    return Err(format!(
                        "{name}.{part} has shape {:?}, but the parameter {length} elements",
                        view.shape()
                    ));
                }
                let values = view
                    .data()
                    .chunks_exact(4)
                    .map(|four| f32::from_le_bytes(four.try_into().unwrap()));
                let data = TensorData::new(values.collect::<Vec<f32>>(), [length]);
                Ok(Tensor::<1>::from_data(data, &device))
            };
            let (first, second) = (tensor("moment_1")?, tensor("moment_2")?);
            moments.insert(
                name,
                Moments {
                    time: u64::from_le_bytes(time) as usize,
                    first,
                    second,
                },
            );
        }
        if 3 * moments.len() != file.len() {
            let unknown = file.names().into_iter().find(|name| {
                name.rsplit_once('.')
                    .is_none_or(|(parameter, _)| !moments.contains_key(parameter))
            });
            return Err(format!(
                "{} belongs to no parameter of the model",
                unknown.unwrap_or("a tensor")
            ));
        }
        self.moments = moments;
        Ok(())
    }
}

/// The Euclidean norm over all gradients of a module's parameters, on the host in f64.
///
/// Rows are summed on the device and their sums on the host in a fixed order: a whole-tensor sum on the CPU joins its
/// chunks in the order in which threads finish.
pub fn gradient_norm<M: Module>(module: &M, gradients: &GradientsParams) -> f64 {
    let mut rows = SquaredRows {
        gradients,
        sums: Vec::new(),
    };
    module.visit(&mut rows);
    if rows.sums.is_empty() {
        return 0.0;
    }
    let sums = Tensor::cat(rows.sums, 0).into_data().convert::<f32>();
    sums.iter::<f32>().map(f64::from).sum::<f64>().sqrt()
}

struct SquaredRows<'a> {
    gradients: &'a GradientsParams,
    sums: Vec<Tensor<1>>,
}

impl ModuleVisitor for SquaredRows<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(gradient) = self.gradients.get::<D>(param.id) {
            self.sums.push(gradient.square().sum_dim(D - 1).flatten(0, D - 1));
        }
    }
}

struct Update<'a> {
    optimiser: &'a mut Optimiser,
    gradients: GradientsParams,
    scale: f64,
    learning_rate: f64,
    path: Path,
}

impl ModuleMapper for Update<'_> {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.path.enter(name, container);
    }

    fn exit_module(&mut self, _name: &str, container: &str) {
        self.path.exit(container);
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let Some(gradient) = self.gradients.remove::<D>(param.id) else {
            return param;
        };
        let gradient = if self.scale == 1.0 {
            gradient
        } else {
            gradient.mul_scalar(self.scale)
        };
        let (id, tensor, mapper) = param.consume();
        // Outside of the graph a tensor forgets how it takes part in it.
        let (tracked, strategy) = (tensor.is_require_grad(), tensor.gradient_checkpointing_strategy());
        let (shape, name) = (tensor.dims(), self.path.name());
        let state = self.optimiser.moments.remove(&name).map(|moments| {
            AdamWState::new(AdaptiveMomentumState::new(
                moments.time,
                moments.first.reshape(shape),
                moments.second.reshape(shape),
            ))
        });

        let (updated, state) = self
            .optimiser
            .adamw
            .step(self.learning_rate, tensor.inner(), gradient, state);
        let AdaptiveMomentumState {
            time,
            moment_1,
            moment_2,
            ..
        } = state.expect("AdamW has a state").momentum;
        let moments = Moments {
            time,
            first: moment_1.flatten(0, D - 1),
            second: moment_2.flatten(0, D - 1),
        };
        self.optimiser.moments.insert(name, moments);

        let mut updated = Tensor::from_inner(updated);
        if let Some(strategy) = strategy {
            updated = updated.with_gradient_checkpointing_strategy(strategy);
        }
        Param::from_mapped_value(id, updated.set_require_grad(tracked), mapper)
    }
}
