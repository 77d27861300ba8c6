//! speecht5-experiments
