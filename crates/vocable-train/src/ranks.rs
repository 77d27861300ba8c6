//! The processes that share the updates of one run.
//!
//! The unit of work is the micro-batch: of `size` ranks, rank `r` computes the micro-batches `r`, `r + size`, … of every
//! update, and the gradients are added up before the optimiser's step, which every rank makes for itself. What a
//! micro-batch holds does not depend on the ranks, so a run may continue with another number of them.

use std::ops::Range;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::{Device, Tensor, TensorData};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::TrainError;

/// Values that are added up in one exchange: 16 MiB.
const BUCKET: usize = 4 << 20;

/// A group of processes. Every method but [`Self::rank`] and [`Self::size`] is entered by all of them together.
pub trait Ranks {
    /// The number of this process, from 0. Rank 0 alone writes.
    fn rank(&self) -> usize;

    /// How many there are, one at least.
    fn size(&self) -> usize;

    /// What every rank gives, by rank.
    fn gather(&self, bytes: &[u8]) -> Vec<Vec<u8>>;

    /// Replaces `values`, equally long on all ranks, by their sums over the ranks, bit for bit the same on all.
    fn sum(&self, values: &mut [f32]);

    /// Replaces `values`, equally long on all ranks, by those of rank 0.
    fn broadcast(&self, values: &mut [f32]);
}

/// A process by itself.
#[derive(Clone, Copy, Debug)]
pub struct Alone;

impl Ranks for Alone {
    fn rank(&self) -> usize {
        0
    }

    fn size(&self) -> usize {
        1
    }

    fn gather(&self, bytes: &[u8]) -> Vec<Vec<u8>> {
        vec![bytes.to_vec()]
    }

    fn sum(&self, _: &mut [f32]) {}

    fn broadcast(&self, _: &mut [f32]) {}
}

/// The ranks of the MPI job that this process has joined; without one, or without feature `mpi`, it is alone.
pub fn joined() -> Box<dyn Ranks> {
    #[cfg(feature = "mpi")]
    if let Some(mpi) = crate::Mpi::joined() {
        return Box::new(mpi);
    }
    Box::new(Alone)
}

/// Tells the other ranks, which [`hear`] it, what is to be done next.
pub fn announce(ranks: &dyn Ranks, work: &str) {
    if ranks.size() > 1 {
        ranks.gather(work.as_bytes());
    }
}

/// What rank 0 announces.
pub fn hear(ranks: &dyn Ranks) -> String {
    String::from_utf8_lossy(&ranks.gather(&[])[0]).into_owned()
}

/// What ranks tell one another.
#[derive(Serialize, Deserialize)]
enum Message<T> {
    Told(T),
    /// The rank gives up, for this reason.
    Failed(String),
}

/// What all ranks tell, by rank.
///
/// # Errors
/// [`TrainError::Rank`] if one of them gave up; see [`fail`].
pub(crate) fn exchange<T: Serialize + DeserializeOwned>(ranks: &dyn Ranks, own: T) -> Result<Vec<T>, TrainError> {
    if ranks.size() == 1 {
        return Ok(vec![own]);
    }
    let told = ranks.gather(&encode(&Message::Told(own)));
    let read = |(rank, bytes): (usize, Vec<u8>)| match ciborium::from_reader(bytes.as_slice()) {
        Ok(Message::Told(told)) => Ok(told),
        Ok(Message::Failed(reason)) => Err(TrainError::Rank { rank, reason }),
        Err(error) => Err(TrainError::Rank { rank, reason: format!("not understood: {error}") }),
    };
    told.into_iter().enumerate().map(read).collect()
}

/// Tells the other ranks, which are at or on their way to their next exchange, that this one gives up.
pub fn fail(ranks: &dyn Ranks, reason: &str) {
    if ranks.size() > 1 {
        ranks.gather(&encode(&Message::<()>::Failed(reason.to_owned())));
    }
}

fn encode<T: Serialize>(message: &Message<T>) -> Vec<u8> {
    let mut bytes = Vec::new();
    ciborium::into_writer(message, &mut bytes).expect("messages are plain data");
    bytes
}

/// Which parameters have a gradient, in the order of the module's fields: what [`sum_gradients`] must know of all ranks.
pub(crate) fn touched<M: Module>(ranks: &dyn Ranks, module: &M, gradients: &GradientsParams) -> Vec<bool> {
    let mut visitor = Touched { gradients, found: Vec::new() };
    if ranks.size() > 1 {
        module.visit(&mut visitor);
    }
    visitor.found
}

struct Touched<'a> {
    gradients: &'a GradientsParams,
    found: Vec<bool>,
}

impl ModuleVisitor for Touched<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.found.push(self.gradients.get::<D>(param.id).is_some());
    }
}

/// The gradients added up over the ranks, in buckets; `touched` says which parameters have one on any rank.
pub(crate) fn sum_gradients<M: Module>(
    ranks: &dyn Ranks,
    module: &M,
    gradients: GradientsParams,
    touched: &[bool],
) -> GradientsParams {
    if ranks.size() == 1 {
        return gradients;
    }
    let mut buckets = Buckets {
        ranks,
        own: gradients,
        touched: touched.iter(),
        values: Vec::new(),
        parts: Vec::new(),
        sums: GradientsParams::new(),
    };
    module.visit(&mut buckets);
    buckets.flush();
    buckets.sums
}

/// Puts the sum of a parameter's gradients where it belongs.
type Put = Box<dyn FnOnce(Vec<f32>, &mut GradientsParams)>;

struct Buckets<'a> {
    ranks: &'a dyn Ranks,
    own: GradientsParams,
    touched: std::slice::Iter<'a, bool>,
    values: Vec<f32>,
    parts: Vec<(Range<usize>, Put)>,
    sums: GradientsParams,
}

impl Buckets<'_> {
    fn flush(&mut self) {
        if self.parts.is_empty() {
            return;
        }
        self.ranks.sum(&mut self.values);
        for (range, put) in self.parts.drain(..) {
            put(self.values[range].to_vec(), &mut self.sums);
        }
        self.values.clear();
    }
}

impl ModuleVisitor for Buckets<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if !self.touched.next().expect("as many as parameters") {
            return;
        }
        let (id, shape, device) = (param.id, param.lazy_shape(), param.lazy_device().without_autodiff());
        let begin = self.values.len();
        match self.own.remove::<D>(id) {
            Some(gradient) => self.values.extend(floats(gradient)),
            None => self.values.resize(begin + shape.num_elements(), 0.0),
        }
        let put = move |values: Vec<f32>, sums: &mut GradientsParams| {
            sums.register::<D>(id, Tensor::from_data(TensorData::new(values, shape), &device));
        };
        self.parts.push((begin..self.values.len(), Box::new(put)));
        if self.values.len() >= BUCKET {
            self.flush();
        }
    }
}

/// The module with rank 0's values of all parameters and running statistics.
pub(crate) fn as_on_rank_0<M: Module>(ranks: &dyn Ranks, module: M) -> M {
    if ranks.size() == 1 {
        return module;
    }
    module.map(&mut Replace { fixed_only: false, values: |values: &mut Vec<f32>| ranks.broadcast(values) })
}

/// The values that no gradient reaches, flat: the running statistics, which the forward pass of each rank's own micro-batches
/// changes, and what is frozen. Nothing is copied.
pub(crate) fn fixed<M: Module>(module: &M) -> Vec<Tensor<1>> {
    let mut found = Fixed(Vec::new());
    module.visit(&mut found);
    found.0
}

struct Fixed(Vec<Tensor<1>>);

impl ModuleVisitor for Fixed {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if !param.is_require_grad() {
            self.0.push(param.val().reshape([-1]));
        }
    }
}

/// The module with what no gradient reaches as it was `before`.
pub(crate) fn put_back<M: Module>(module: M, before: Vec<Tensor<1>>) -> M {
    module.map(&mut PutBack(before.into_iter()))
}

struct PutBack(std::vec::IntoIter<Tensor<1>>);

impl ModuleMapper for PutBack {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        if param.is_require_grad() {
            return param;
        }
        let before = self.0.next().expect("one before for every one now");
        param.map(|tensor| before.reshape(tensor.shape()))
    }
}

/// The module with what no gradient reaches where those ranks that changed it from what it was `before` have it on the mean.
///
/// A mean lies between what the ranks have; added up, the changes of many ranks would overshoot what they are changes towards.
pub(crate) fn mean_of_changed<M: Module>(ranks: &dyn Ranks, module: M, before: Vec<Tensor<1>>) -> M {
    if ranks.size() == 1 {
        return module;
    }
    let mut before = before.into_iter();
    let values = |values: &mut Vec<f32>| {
        let before = floats(before.next().expect("one before for every one now"));
        let mut all: Vec<Vec<f32>> = ranks.gather(&to_bytes(values)).iter().map(|bytes| from_bytes(bytes)).collect();
        all.retain(|values| *values != before);
        let mean = |index: usize| {
            let sum: f64 = all.iter().map(|values| f64::from(values[index])).sum();
            (sum / all.len() as f64) as f32
        };
        *values = if all.is_empty() { before } else { (0..before.len()).map(mean).collect() };
    };
    module.map(&mut Replace { fixed_only: true, values })
}

/// Changes the values of parameters in place, keeping which of them are trained.
struct Replace<F> {
    fixed_only: bool,
    values: F,
}

impl<F: FnMut(&mut Vec<f32>)> ModuleMapper for Replace<F> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let trainable = param.is_require_grad();
        if self.fixed_only && trainable {
            return param;
        }
        param.map(|tensor| {
            let (shape, device): (_, Device) = (tensor.shape(), tensor.device());
            let mut values = floats(tensor);
            (self.values)(&mut values);
            Tensor::from_data(TensorData::new(values, shape), &device).set_require_grad(trainable)
        })
    }
}

pub(crate) fn to_bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

pub(crate) fn from_bytes(bytes: &[u8]) -> Vec<f32> {
    bytes.chunks_exact(4).map(|four| f32::from_le_bytes(four.try_into().expect("four bytes"))).collect()
}

fn floats<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.try_into_vec_as::<f32>().expect("weights are readable floats")
}

/// Compares the weights of all ranks by their hashes.
///
/// # Errors
/// [`TrainError::Diverged`] if they are not the same, bit for bit.
pub(crate) fn compare_weights<M: Module>(ranks: &dyn Ranks, module: &M, update: usize) -> Result<(), TrainError> {
    if ranks.size() == 1 {
        return Ok(());
    }
    let mut hash = Hash(Sha256::new());
    module.visit(&mut hash);
    let all = exchange(ranks, hash.0.finalize().to_vec())?;
    let others: Vec<usize> = (0..all.len()).filter(|&rank| all[rank] != all[0]).collect();
    if others.is_empty() { Ok(()) } else { Err(TrainError::Diverged { update, ranks: others }) }
}

struct Hash(Sha256);

impl ModuleVisitor for Hash {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.0.update(to_bytes(&floats(param.val())));
    }
}
