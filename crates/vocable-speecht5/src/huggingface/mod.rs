//! Folders of Hugging Face transformers.

mod config;
mod folder;
mod front_end;

pub use config::HfConfig;
pub use folder::{Architecture, ModelFolder, Settings, write_classifier, write_folder};
pub use front_end::FrontEnd;
