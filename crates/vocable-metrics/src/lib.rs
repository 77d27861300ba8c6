//! vocable-metrics
