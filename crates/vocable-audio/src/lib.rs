//! vocable-audio
