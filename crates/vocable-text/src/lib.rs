//! vocable-text
