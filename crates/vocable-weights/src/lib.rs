#![doc = include_str!("../README.md")]

mod array;
mod error;
mod pickle;
mod pytorch;
mod settings;
mod tensor;
mod torch_save;
mod weights;
mod write;
mod zipped;

pub use array::{open_npy, read_array};
pub use error::WeightsError;
pub use safetensors::{Dtype, View};
pub use settings::{read_json, read_settings};
pub use tensor::{OwnedTensor, Tensor};
pub use weights::Weights;
pub use write::{write_pytorch, write_safetensors};
