//! Modules under published names.

use std::borrow::Cow;

use burn::module::Module;
use vocable_weights::{Dtype, OwnedTensor, Tensor, View};

use crate::{Layout, visit};

/// A tensor as it is published; its values are made when they are written.
pub struct Published {
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Box<dyn Fn() -> Vec<u8>>,
}

impl Published {
    /// A counter at zero, as a norm that nobody trained has it.
    fn counter() -> Self {
        Self { dtype: Dtype::I64, shape: Vec::new(), bytes: Box::new(|| vec![0; 8]) }
    }
}

impl From<OwnedTensor> for Published {
    fn from(tensor: OwnedTensor) -> Self {
        let OwnedTensor { dtype, shape, bytes } = tensor;
        Self { dtype, shape, bytes: Box::new(move || bytes.clone()) }
    }
}

impl From<Tensor<'_>> for Published {
    fn from(tensor: Tensor) -> Self {
        OwnedTensor::from(tensor).into()
    }
}

impl View for Published {
    fn dtype(&self) -> Dtype {
        self.dtype
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Owned((self.bytes)())
    }

    fn data_len(&self) -> usize {
        self.shape.iter().product::<usize>() * self.dtype.bitsize() / 8
    }
}

/// The parameters of a module for which `names` knows names and their layouts, under each of them; `taps` are those of an
/// ungrouped convolution at a path, whose own shape does not tell.
pub fn published<M: Module, N: IntoIterator<Item = (String, Layout)>>(
    module: &M,
    names: impl Fn(&str) -> N,
    taps: impl Fn(&str) -> usize,
) -> Vec<(String, Published)> {
    let mut tensors = Vec::new();
    visit(module, |path, leaf| {
        for (name, layout) in names(path) {
            let ours = leaf.shape();
            let shape = layout.published_shape(&ours, taps(path));
            let (values, theirs) = (leaf.later(), shape.clone());
            let bytes =
                move || layout.publish(values(), &ours, &theirs).iter().flat_map(|value| value.to_le_bytes()).collect();
            tensors.push((name, Published { dtype: Dtype::F32, shape, bytes: Box::new(bytes) }));
        }
    });
    let norms: Vec<String> =
        tensors.iter().filter_map(|(name, _)| Some(name.strip_suffix("running_var")?.into())).collect();
    tensors.extend(norms.iter().map(|norm| (format!("{norm}num_batches_tracked"), Published::counter())));
    tensors
}
