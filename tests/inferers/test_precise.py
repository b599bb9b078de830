from __future__ import annotations

import pytest
import torch
from monai.inferers import SimpleInferer
from torch import nn

from scripts.inferers.precise import PreciseInferer


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_products_have_the_chosen_precision_and_results_are_float32(precision: torch.dtype) -> None:
    layer, seen = nn.Linear(3, 1, bias=False), []
    layer.register_forward_hook(lambda module, given, made: seen.append(made.dtype))
    made = PreciseInferer(SimpleInferer(), precision)(torch.ones(2, 3), layer)
    assert seen == [precision]
    assert made.dtype == torch.float32
    torch.testing.assert_close(made, layer.weight.sum().expand(2, 1), rtol=0.02, atol=0.02)


def test_what_is_no_tensor_passes() -> None:
    inferer = PreciseInferer(lambda inputs, network, part: [part], torch.bfloat16)  # type: ignore[arg-type]
    assert inferer(torch.ones(1), None, part="a") == ["a"]
