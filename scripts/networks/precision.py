"""In which precision a network runs on a device."""

from __future__ import annotations

import torch


def choose_precision(device: torch.device | str, mixed_precision: bool = True) -> torch.dtype:
    """bfloat16 where the device multiplies it in hardware, else float32.

    That is CUDA from Ampere on, and CPUs with AMX or AVX512-BF16. Any other device, such as Apple's MPS, gets float32,
    and so does one that is not there, which `prepare_run` refuses.
    """
    kind = str(device).split(":")[0]
    if not mixed_precision:
        return torch.float32
    if kind == "cuda" and torch.cuda.is_available():
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float32
    if kind != "cpu":
        return torch.float32
    has_bfloat16 = torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported()
    return torch.bfloat16 if has_bfloat16 else torch.float32


def autocast(device: torch.device | str, precision: torch.dtype) -> torch.autocast:
    """The autocast context of a precision that `choose_precision` chose; float32 switches it off."""
    return torch.autocast(torch.device(device).type, dtype=torch.bfloat16, enabled=precision != torch.float32)
