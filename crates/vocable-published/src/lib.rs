//! Published weights into modules of this workspace and out of them.
//!
//! A format is a value, [`Names`]: an ordered table of the parameters' paths here, their names in a file, and how their
//! values lie there ([`Layout`]). [`load`] fills a module and reports the rest; [`published`] gives what is written.

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
