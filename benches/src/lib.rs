//! vocable-benches
