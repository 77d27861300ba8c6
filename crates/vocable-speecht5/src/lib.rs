//! vocable-speecht5
