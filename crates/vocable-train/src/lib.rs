//! vocable-train
