//! vocable-kernels
