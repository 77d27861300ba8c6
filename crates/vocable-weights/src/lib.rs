#![doc = include_str!("../README.md")]

mod array;
mod error;
mod pickle;
mod pytorch;
mod tensor;
mod weights;
mod write;
mod zip;

pub use array::read_array;
pub use error::WeightsError;
pub use safetensors::{Dtype, View};
pub use tensor::{OwnedTensor, Tensor};
pub use weights::Weights;
pub use write::write_safetensors;
