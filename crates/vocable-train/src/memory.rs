//! The memory of this process, as Linux counts it.

use std::fs;

use serde::{Deserialize, Serialize};

/// Bytes of memory in use by this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    /// In use now (`VmRSS`).
    pub resident: u64,
    /// The most that was in use since [`forget_peak`], or since the process began (`VmHWM`).
    pub peak: u64,
}

/// What is in use; none where `/proc` does not tell.
pub fn memory() -> Option<Memory> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let bytes = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
        Some(kibibytes << 10)
    };
    Some(Memory { resident: bytes("VmRSS:")?, peak: bytes("VmHWM:")? })
}

/// Lets the peak begin anew; false where the system does not.
pub fn forget_peak() -> bool {
    // 5 resets the peak of the resident memory (proc(5)).
    fs::write("/proc/self/clear_refs", "5").is_ok()
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::hint::black_box;

    use super::*;

    #[test]
    fn a_peak_is_seen_and_forgotten() {
        const SIZE: u64 = 256 << 20;
        let before = memory().unwrap();
        let large = black_box(vec![1_u8; SIZE as usize]);
        let during = memory().unwrap();
        drop(large);
        // Other tests of this process may free some meanwhile, but not half of that.
        assert!(during.peak >= before.resident + SIZE / 2 && during.peak >= during.resident, "{before:?} {during:?}");
        assert!(forget_peak());
        assert!(memory().unwrap().peak < during.peak - SIZE / 2);
    }
}
