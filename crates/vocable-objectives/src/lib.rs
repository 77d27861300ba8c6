//! Training objectives: what a sequence model is asked to minimise, apart from any particular model.
#![doc = include_str!("../README.md")]

pub mod losses;

pub use losses::Losses;
