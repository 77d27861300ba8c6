//! vocable-data
