"""Any inferer in a precision of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from monai.inferers import Inferer

from scripts.networks.precision import autocast


@dataclass(eq=False)
class PreciseInferer(Inferer):
    """Calls an inferer under autocast and returns tensors in float32.

    MONAI's evaluators can do so on CUDA alone.

    Attributes:
        inferer: what is called, with whatever this is called with.
        precision: see `choose_precision`.
    """

    inferer: Inferer
    precision: torch.dtype

    def __call__(self, inputs: torch.Tensor, network: Any, *args: Any, **kwargs: Any) -> Any:
        with autocast(inputs.device, self.precision):
            made = self.inferer(inputs, network, *args, **kwargs)
        return made.float() if isinstance(made, torch.Tensor) else made
