"""Memory and processor time of this process as Linux counts them, in bytes and seconds."""

import os
import resource


def _status(field):
    with open("/proc/self/status") as status:
        for line in status:
            if line.startswith(field + ":"):
                return int(line.split()[1]) * 1024
    raise RuntimeError(f"/proc/self/status has no {field}")


def resident():
    return _status("VmRSS")


def peak():
    """Most memory since the last reset."""
    return _status("VmHWM")


def peak_of_programs():
    """Most of any program that this process has run and waited for."""
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024


def cpu():
    """Processor time so far, threads and finished programs included."""
    return sum(os.times()[:4])


def reset_peak():
    with open("/proc/self/clear_refs", "w") as clear:
        clear.write("5")
