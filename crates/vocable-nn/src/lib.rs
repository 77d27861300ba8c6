//! vocable-nn
