"""The hardware that a fit computes on."""

import ctypes
import platform
from dataclasses import dataclass

import torch

from newswatch.processors import count_processors

M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4  # of malloc.h


@dataclass(frozen=True)
class Hardware:
    """Where a fit computes, and in which type: bfloat16 where the processor multiplies it several times faster than float32.

    Attributes:
        processes: that share each step's articles, for machines with several GPUs.
    """

    device: torch.device
    dtype: torch.dtype
    processes: int = 1

    @classmethod
    def find(cls) -> "Hardware":
        """All GPUs if there is one, a process for each, else the CPU."""
        if torch.cuda.is_available():
            dtype = torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float32
            return cls(torch.device("cuda"), dtype, torch.cuda.device_count())
        return cls(torch.device("cpu"), torch.bfloat16 if torch.cpu._is_amx_tile_supported() else torch.float32)


def limit_threads() -> None:
    """Have torch use no more threads than there are processors for this process: it does not know a container's quota."""
    torch.set_num_threads(min(torch.get_num_threads(), count_processors()))


def keep_memory() -> None:
    """Have this process keep what it frees, for its own next tensors; without effect but on glibc.

    By default glibc gives each large tensor back and asks for the next page by page, all cleared by the system: some percent of a step of
    the encoder's training, a quarter of it with windows of 512 tokens.
    """
    if platform.libc_ver()[0] == "glibc":
        library = ctypes.CDLL(None)
        for option, value in ((M_TRIM_THRESHOLD, 2**31 - 1), (M_TOP_PAD, 2**28), (M_MMAP_MAX, 0)):
            library.mallopt(option, value)
