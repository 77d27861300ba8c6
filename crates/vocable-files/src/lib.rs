#![doc = include_str!("../README.md")]

mod hash;
mod read;
mod write;

pub use hash::{hex, sha256};
pub use read::{open, read};
pub use write::{beside, destination, folder, remove_partial, sync_directory, write, write_with};
