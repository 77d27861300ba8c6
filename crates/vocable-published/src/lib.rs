#![doc = include_str!("../README.md")]

mod fill;
mod layout;
mod load;
mod names;
mod write;

pub use fill::{Leaf, visit};
pub use layout::Layout;
pub use load::{LoadReport, Meaning, load};
pub use names::{Names, Row};
pub use write::{Published, published};
