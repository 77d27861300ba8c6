//! vocable-objectives
