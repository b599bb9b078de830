from __future__ import annotations

import pytest
import torch

from scripts.networks.precision import autocast, choose_precision


@pytest.mark.parametrize(
    ("has_amx", "has_avx", "expected"),
    [(True, True, torch.bfloat16), (False, True, torch.bfloat16), (False, False, torch.float32)],
)
def test_cpus_use_bfloat16_where_they_multiply_it_in_hardware(monkeypatch, has_amx, has_avx, expected):
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: has_amx)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: has_avx)
    assert choose_precision("cpu") == expected
    assert choose_precision(torch.device("cpu"), mixed_precision=False) == torch.float32
    assert choose_precision("mps") == torch.float32


@pytest.mark.parametrize(("native", "expected"), [(True, torch.bfloat16), (False, torch.float32)])
def test_gpus_that_only_emulate_bfloat16_do_not_use_it(monkeypatch, native, expected):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: native or including_emulation)
    assert choose_precision("cuda:0") == expected


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_matrix_products_have_the_chosen_precision(precision):
    x = torch.ones(2, 2)
    with autocast("cpu", precision):
        assert (x @ x).dtype == precision
    assert (x @ x).dtype == torch.float32
