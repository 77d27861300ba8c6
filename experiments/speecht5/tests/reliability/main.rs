//! Whole runs of the program: that they repeat, and what they survive.
#![cfg(target_os = "linux")]

mod data;
mod disk;
mod faults;
mod kills;
mod program;
mod repeat;
mod soak;
