//! vocable-decode
