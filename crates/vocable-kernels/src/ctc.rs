//! Connectionist temporal classification (Graves et al. 2006): the likelihood of a label sequence summed over all its
//! alignments, and its analytic gradient.

mod lattice;
mod wide;

use burn::tensor::{Tensor, TensorData};
use rayon::prelude::*;

use crate::fused::{self, Array, Level};
pub(crate) use lattice::utterance;

/// What CTC finds for a batch.
#[derive(Clone, Debug)]
pub struct Ctc {
    /// Every utterance's negative log-likelihood in nats; infinite where no alignment exists.
    pub negative_log_likelihood: Vec<f64>,
    /// The gradient of the sum of the finite ones with respect to the logits, `[batch, time, classes]`; none where the
    /// logits are in no graph. [`known_gradient`](crate::known_gradient()) takes it into the graph.
    pub gradient: Option<Tensor<3>>,
}

/// The CTC loss of `logits` (`[batch, time, classes]`, before any softmax) and its gradient.
///
/// `frames` holds every utterance's valid frames; later ones have no influence and no gradient. `targets` holds the label
/// sequences without blanks; an empty one is the sequence of blanks alone. An utterance without any alignment (fewer
/// frames than labels plus repetitions) has an infinite loss and no gradient.
///
/// Log-softmax and the forward–backward recursion run on the host, one job per utterance, in `f64` with a wide exponent.
///
/// # Panics
/// If lengths and shapes disagree, or a label is the blank or no class.
pub fn ctc(logits: &Tensor<3>, frames: &[usize], targets: &[Vec<u32>], blank: u32) -> Ctc {
    let [batch, time, classes] = logits.dims();
    assert!(
        frames.len() == batch && targets.len() == batch,
        "CTC: {} lengths and {} targets for a batch of {batch}",
        frames.len(),
        targets.len()
    );
    assert!((blank as usize) < classes, "CTC: blank {blank} is no class of {classes}");
    assert!(frames.iter().all(|&frames| frames <= time), "CTC: {frames:?} frames in a batch of {time}");
    let size = time * classes;
    let mut gradient = if logits.is_tracked() { vec![0.0; batch * size] } else { Vec::new() };
    let mut gradients = gradient.chunks_mut(size.max(1)).map(Some).collect::<Vec<_>>();
    gradients.resize_with(batch, || None);
    let host = Host::new(logits.clone().detach());
    let host = host.values();
    let negative_log_likelihood = (gradients, frames, targets)
        .into_par_iter()
        .enumerate()
        .map(|(item, (gradient, &frames, target))| {
            let valid = frames * classes;
            let logits = &host[item * size..][..valid];
            let gradient = gradient.map(|gradient| &mut gradient[..valid]);
            utterance(Level::detect(), logits, classes, target, blank, gradient)
        })
        .collect();
    let gradient = (!gradient.is_empty()).then(|| {
        let place = (&logits.device(), logits.dtype());
        Tensor::from_data(TensorData::new(gradient, [batch, time, classes]), place)
    });
    Ctc { negative_log_likelihood, gradient }
}

/// A tensor's elements on the host, copied only where they are not there already.
enum Host {
    Array(Array),
    Copy(Vec<f32>),
}

impl Host {
    fn new<const D: usize>(tensor: Tensor<D>) -> Self {
        match fused::arrays([tensor.inner().into_dispatch()]) {
            Ok([array]) => Self::Array(array),
            Err([tensor]) => {
                Self::Copy(Tensor::<D>::from_dispatch(tensor).try_into_vec_as().expect("a float tensor has floats"))
            }
        }
    }

    fn values(&self) -> &[f32] {
        match self {
            Self::Array(array) => array.values(),
            Self::Copy(values) => values,
        }
    }
}
