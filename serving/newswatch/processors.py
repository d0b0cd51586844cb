"""The processors that this process may use."""

import math
import os
from pathlib import Path

CONTROL_GROUPS = Path("/sys/fs/cgroup")


def count_processors() -> int:
    """As many as the system lets this process run on, and in a container no more than its quota of their time, rounded up."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(allowed, math.ceil(_quota() or allowed))


def _quota() -> float | None:
    """Processors' worth of time that the container may use, by Linux's control groups (`cpu.max`, or two files in their first version)."""
    try:
        quota, period = (CONTROL_GROUPS / "cpu.max").read_text().split()
    except (OSError, ValueError):
        try:
            quota, period = ((CONTROL_GROUPS / "cpu" / f"cpu.cfs_{name}_us").read_text().strip() for name in ("quota", "period"))
        except OSError:
            return None
    return int(quota) / int(period) if quota.isdecimal() and int(quota) else None  # "max" and -1 stand for no limit
