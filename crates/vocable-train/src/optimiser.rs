//! AdamW over a whole module, with clipping by the global gradient norm and a state that is keyed by names.
//!
//! The update itself is [`vocable_kernels::AdamW`], in place on the CPU. Burn's `ModuleOptimizer` is not used, for three
//! reasons: it keys the state by identities that differ in every process, it clips every parameter by itself, and its file
//! is not reproducible.

use std::collections::BTreeMap;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::{Tensor, TensorData};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};
use vocable_kernels::AdamW;

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
            ("weight_decay", self.weight_decay, self.weight_decay >= 0.0 && self.weight_decay.is_finite()),
            ("clip", self.clip, self.clip >= 0.0 && self.clip.is_finite()),
        ] {
            if !valid {
                return Err(TrainError::Config(format!("optimiser.{name} is {value}, out of its range")));
            }
        }
        Ok(())
    }
}

/// The optimiser of one run: the recipe and the moments of every parameter that ever had a gradient.
#[derive(Debug)]
pub struct Optimiser {
    config: OptimiserConfig,
    moments: BTreeMap<String, Moments>,
}

/// Adam's state of one parameter, without its shape.
#[derive(Debug)]
struct Moments {
    /// Updates in which the parameter had a gradient; the bias correction counts these only.
    time: usize,
    first: Tensor<1>,
    second: Tensor<1>,
}

impl Optimiser {
    /// An optimiser that has seen nothing.
    pub fn new(config: &OptimiserConfig) -> Self {
        Self { config: config.clone(), moments: BTreeMap::new() }
    }

    /// One update of every parameter that has a gradient; the others stay as they are, moments and decay included.
    ///
    /// `gradients` are `multiple` times their mean over the micro-batches: as many times as there are micro-batches, and as the
    /// loss was scaled by. The mean is clipped and applied. Returns the module
    /// and the norm of the mean gradient before clipping. When that norm is not finite, nothing changes.
    pub fn step<M: Module>(
        &mut self,
        module: M,
        gradients: GradientsParams,
        multiple: f64,
        learning_rate: f64,
    ) -> (M, f64) {
        let mean = 1.0 / multiple;
        let norm = gradient_norm(&module, &gradients) * mean;
        if !norm.is_finite() {
            return (module, norm);
        }
        let OptimiserConfig { beta1, beta2, eps, weight_decay, clip } = self.config;
        // The small constant is fairseq's: it keeps a norm of zero away from the division.
        let clip = if clip > 0.0 { (clip / (norm + 1e-6)).min(1.0) } else { 1.0 };
        let gradient_scale = mean * clip;
        let adamw = AdamW { beta1, beta2, eps, weight_decay, learning_rate, gradient_scale, time: 0 };
        let mut update = Update { adamw, moments: &mut self.moments, gradients, path: Path::default() };
        (module.map(&mut update), norm)
    }

    /// The state as a safetensors file: `NAME.moment_1` and `NAME.moment_2` of the parameter's number of elements and
    /// `NAME.time` for every parameter that ever had a gradient. Equal states give equal bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut tensors: Vec<(String, Dtype, usize, Vec<u8>)> = Vec::with_capacity(3 * self.moments.len());
        for (name, moments) in &self.moments {
            let floats = |tensor: &Tensor<1>| {
                let values: Vec<f32> =
                    tensor.clone().into_data().convert::<f32>().try_into_vec().expect("converted to f32");
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
            let time = time.data().try_into().map_err(|_| format!("{name}.time is not one whole number"))?;
            let length = parameter.shape.iter().product::<usize>();
            let device = parameter.device.without_autodiff();
            let tensor = |part: &str| {
                let view = file.tensor(&format!("{name}.{part}")).map_err(|_| format!("{name}.{part} is missing"))?;
                if view.dtype() != Dtype::F32 || view.shape() != [length] {
                    return Err(format!(
                        "{name}.{part} has shape {:?}, but the parameter {length} elements",
                        view.shape()
                    ));
                }
                let values = view.data().chunks_exact(4).map(|four| f32::from_le_bytes(four.try_into().unwrap()));
                let data = TensorData::new(values.collect::<Vec<f32>>(), [length]);
                Ok(Tensor::<1>::from_data(data, &device))
            };
            let (first, second) = (tensor("moment_1")?, tensor("moment_2")?);
            moments.insert(name, Moments { time: u64::from_le_bytes(time) as usize, first, second });
        }
        if 3 * moments.len() != file.len() {
            let unknown = file
                .names()
                .into_iter()
                .find(|name| name.rsplit_once('.').is_none_or(|(parameter, _)| !moments.contains_key(parameter)));
            return Err(format!("{} belongs to no parameter of the model", unknown.unwrap_or("a tensor")));
        }
        self.moments = moments;
        Ok(())
    }
}

/// The Euclidean norm over all gradients of a module's parameters.
fn gradient_norm<M: Module>(module: &M, gradients: &GradientsParams) -> f64 {
    let mut found = Found { gradients, flat: Vec::new() };
    module.visit(&mut found);
    vocable_kernels::norm(found.flat)
}

struct Found<'a> {
    gradients: &'a GradientsParams,
    flat: Vec<Tensor<1>>,
}

impl ModuleVisitor for Found<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(gradient) = self.gradients.get::<D>(param.id) {
            self.flat.push(gradient.flatten(0, D - 1));
        }
    }
}

struct Update<'a> {
    /// The time is each parameter's own.
    adamw: AdamW,
    moments: &'a mut BTreeMap<String, Moments>,
    gradients: GradientsParams,
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
        let (id, tensor, mapper) = param.consume();
        // Outside of the graph a tensor forgets how it takes part in it.
        let (tracked, strategy) = (tensor.is_require_grad(), tensor.gradient_checkpointing_strategy());
        let (shape, name) = (tensor.dims(), self.path.name());
        let (tensor, gradient) = (tensor.inner().flatten::<1>(0, D - 1), gradient.flatten::<1>(0, D - 1));
        let Moments { time, first, second } = self.moments.remove(&name).unwrap_or_else(|| Moments {
            time: 0,
            first: tensor.zeros_like(),
            second: tensor.zeros_like(),
        });

        let adamw = AdamW { time: time + 1, ..self.adamw };
        let (updated, [first, second]) = adamw.update(tensor, gradient, [first, second]);
        self.moments.insert(name, Moments { time: adamw.time, first, second });

        let mut updated = Tensor::from_inner(updated.reshape(shape));
        if let Some(strategy) = strategy {
            updated = updated.with_gradient_checkpointing_strategy(strategy);
        }
        Param::from_mapped_value(id, updated.set_require_grad(tracked), mapper)
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;
    use crate::testing::Tiny;

    const CONFIG: OptimiserConfig =
        OptimiserConfig { beta1: 0.9, beta2: 0.98, eps: 1e-6, weight_decay: 0.1, clip: 0.5 };

    fn values<const D: usize>(param: &Param<Tensor<D>>) -> Vec<f32> {
        param.val().into_data().try_into_vec().unwrap()
    }

    /// Gradients of a loss whose gradient with respect to `hidden` is `2·scale·hidden`, and to the head 3 everywhere.
    fn gradients(model: &Tiny, scale: f64) -> GradientsParams {
        let loss = model.hidden.val().square().sum().mul_scalar(scale) + model.heads[0].val().sum().mul_scalar(3.0);
        GradientsParams::from_grads(loss.backward(), model)
    }

    #[test]
    fn five_updates_agree_with_the_textbook_in_double_precision() {
        let mut model = Tiny::new(1);
        let mut optimiser = Optimiser::new(&CONFIG);
        // hidden then head, in one vector: the norm is over both.
        let mut weights: Vec<f64> =
            [values(&model.hidden), values(&model.heads[0])].concat().into_iter().map(f64::from).collect();
        let hidden = values(&model.hidden).len();
        let (mut m, mut v) = (vec![0.0; weights.len()], vec![0.0; weights.len()]);
        for step in 1..=5 {
            // Sums over 4 micro-batches; the last step's gradient is too small to be clipped.
            let scale = if step == 5 { 1e-3 } else { f64::from(step) };
            let rate = 0.01 * f64::from(step);
            let head_gradient = 3.0;
            let mut g: Vec<f64> = weights
                .iter()
                .enumerate()
                .map(|(i, w)| if i < hidden { 2.0 * scale * w } else { head_gradient } / 4.0)
                .collect();
            let norm = g.iter().map(|g| g * g).sum::<f64>().sqrt();
            let factor = (CONFIG.clip / (norm + 1e-6)).min(1.0);
            g.iter_mut().for_each(|g| *g *= factor);
            for i in 0..weights.len() {
                m[i] = CONFIG.beta1 * m[i] + (1.0 - CONFIG.beta1) * g[i];
                v[i] = CONFIG.beta2 * v[i] + (1.0 - CONFIG.beta2) * g[i] * g[i];
                let first = m[i] / (1.0 - CONFIG.beta1.powi(step));
                let second = v[i] / (1.0 - CONFIG.beta2.powi(step));
                weights[i] -= rate * (CONFIG.weight_decay * weights[i] + first / (second.sqrt() + CONFIG.eps));
            }
            let gradients = gradients(&model, scale);
            let measured;
            (model, measured) = optimiser.step(model, gradients, 4.0, rate);
            assert!((measured - norm).abs() < 1e-6 * norm, "norm {measured}, not {norm}");
        }
        // Single precision throughout, weights below 1: a few units in the last place per step.
        let trained = [values(&model.hidden), values(&model.heads[0])].concat();
        for (trained, expected) in trained.iter().zip(&weights) {
            assert!((f64::from(*trained) - expected).abs() < 2e-6, "{trained}, not {expected}");
        }
    }

    #[test]
    fn a_parameter_without_gradient_is_left_alone() {
        let mut model = Tiny::new(2);
        let mut optimiser = Optimiser::new(&CONFIG);
        let before = (values(&model.rare), values(&model.hidden));
        for _ in 0..3 {
            let gradients = gradients(&model, 1.0);
            (model, _) = optimiser.step(model, gradients, 1.0, 0.1);
        }
        assert_eq!(values(&model.rare), before.0);
        assert_ne!(values(&model.hidden), before.1);
        assert_eq!(optimiser.moments.keys().collect::<Vec<_>>(), ["heads.0", "hidden"]);
    }

    #[test]
    fn without_clipping_the_norm_is_only_measured() {
        let free = OptimiserConfig { clip: 0.0, ..CONFIG };
        let model = Tiny::new(3);
        let large = gradients(&model, 1e4);
        let (_, norm) = Optimiser::new(&free).step(model, large, 1.0, 0.1);
        assert!(norm > 1e3);
        let (model, none) = Optimiser::new(&free).step(Tiny::new(3), GradientsParams::new(), 1.0, 0.1);
        assert_eq!((none, values(&model.hidden)), (0.0, values(&Tiny::new(3).hidden)));
    }

    #[test]
    fn a_gradient_that_is_not_finite_changes_nothing() {
        for bad in [f64::NAN, f64::INFINITY] {
            let mut optimiser = Optimiser::new(&CONFIG);
            let model = Tiny::new(4);
            let poisoned = gradients(&model, bad);
            let (model, norm) = optimiser.step(model, poisoned, 1.0, 0.1);
            assert!(!norm.is_finite());
            assert_eq!(values(&model.hidden), values(&Tiny::new(4).hidden));
            assert!(optimiser.moments.is_empty());
        }
    }

    #[test]
    fn the_state_survives_bytes_and_a_module_with_other_identities() {
        let mut model = Tiny::new(5);
        let mut optimiser = Optimiser::new(&CONFIG);
        for _ in 0..2 {
            let gradients = gradients(&model, 1.0);
            (model, _) = optimiser.step(model, gradients, 1.0, 0.1);
        }
        let twin = Tiny::new(5);
        assert_ne!(twin.hidden.id, model.hidden.id);
        let mut restored = Optimiser::new(&CONFIG);
        restored.load(&twin, &optimiser.to_bytes()).unwrap();
        assert_eq!(restored.to_bytes(), optimiser.to_bytes());
    }

    #[test]
    fn a_foreign_state_is_refused_by_name() {
        #[derive(Module, Debug)]
        struct Other {
            hidden: Param<Tensor<2>>,
        }
        let mut optimiser = Optimiser::new(&CONFIG);
        let model = Tiny::new(6);
        let all = gradients(&model, 1.0);
        let _ = optimiser.step(model, all, 1.0, 0.1);
        let bytes = optimiser.to_bytes();
        let other = |rows| Other { hidden: Param::from_tensor(Tensor::zeros([rows, 8], &Device::flex())) };
        let mut restored = Optimiser::new(&CONFIG);
        assert!(restored.load(&other(4), &bytes).unwrap_err().contains("heads.0"));
        assert!(restored.load(&other(5), &bytes).unwrap_err().contains("hidden.moment_1"));
        assert!(restored.load(&other(4), &bytes[..bytes.len() - 1]).unwrap_err().contains("not a safetensors file"));
        assert!(restored.moments.is_empty());
    }

    #[test]
    fn gradient_checkpointing_outlives_an_update() {
        let device = Device::flex().autodiff().gradient_checkpointing();
        #[derive(Module, Debug)]
        struct One {
            weight: Param<Tensor<1>>,
        }
        let mut model = One { weight: Param::from_data([1.0, 2.0], &device) };
        let mut optimiser = Optimiser::new(&CONFIG);
        for _ in 0..2 {
            // Weights and inputs under two strategies would panic here.
            let loss = (model.weight.val() * Tensor::<1>::from_data([3.0, 4.0], &device)).sum();
            let gradients = GradientsParams::from_grads(loss.backward(), &model);
            (model, _) = optimiser.step(model, gradients, 1.0, 0.1);
        }
        assert!(model.weight.val().gradient_checkpointing_strategy() == device.gradient_checkpointing_strategy());
    }
}
