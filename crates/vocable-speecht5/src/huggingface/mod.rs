//! Folders of Hugging Face transformers.

mod config;
mod folder;
mod front_end;

use std::fs;
use std::path::Path;

use serde::de::DeserializeOwned;

use crate::ModelError;

pub use config::HfConfig;
pub use folder::{Architecture, ModelFolder, write_classifier, write_folder};
pub use front_end::FrontEnd;

fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T, ModelError> {
    let wrong = |message: String| ModelError::Weights { path: path.into(), message };
    let text = fs::read(path).map_err(|error| wrong(error.to_string()))?;
    serde_json::from_slice(&text).map_err(|error| wrong(error.to_string()))
}
