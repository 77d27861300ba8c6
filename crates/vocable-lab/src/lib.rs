//! vocable-lab
