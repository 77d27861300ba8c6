//! vocable-text
#![allow(missing_docs)]

pub mod grammar;
pub mod mini;
