//! vocable-nets
