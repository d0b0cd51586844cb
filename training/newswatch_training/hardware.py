"""The hardware that a fit computes on."""

from dataclasses import dataclass

import torch


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
