import platform
import subprocess
import sys

import pytest

FAULTS = """
import resource
import numpy as np
from newswatch_training.hardware import keep_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        np.ones(8_000_000)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

given_back = faults()
keep_memory()
np.ones(8_000_000)
print(given_back, faults())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc takes these options")
def test_kept_memory_is_not_asked_for_again() -> None:
    """In a process of its own, for the options hold until it ends."""
    ended = subprocess.run([sys.executable, "-c", FAULTS], capture_output=True, text=True, check=True)
    given_back, kept = map(int, ended.stdout.split())
    assert given_back > 1000
    assert kept < given_back / 100
