from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from scripts.networks.checkpoints import CheckpointError
from scripts.networks.feature_extractor import FeatureExtractor, open_extractor


def save(folder: Path, *layers: nn.Module) -> Path:
    file = folder / "mine.ts"
    torch.jit.save(torch.jit.trace(nn.Sequential(*layers), torch.zeros(2, 3, 8, 8)), str(file))
    return file


def load(file: Path | None, network: nn.Module | None = None, **changes: Any) -> FeatureExtractor | None:
    options = {"device": torch.device("cpu"), "image_channels": 3, "image_size": 8, **changes}
    return open_extractor(file, network, **options)


def test_a_users_network_gives_the_features_and_its_name(tmp_path):
    extractor = load(save(tmp_path, nn.AdaptiveAvgPool2d(1), nn.Flatten()), image_key="original")
    assert extractor is not None
    images = torch.rand(4, 3, 8, 8)
    torch.testing.assert_close(extractor.encode(images), images.mean(dim=(2, 3)))
    assert extractor.name.startswith("mine.ts (SHA-256 ")
    assert extractor.image_key == "original"
    assert load(None) is None


def test_what_is_no_such_network_is_one_error_before_any_work(tmp_path):
    maps = save(tmp_path, nn.Conv2d(3, 2, 3))
    with pytest.raises(CheckpointError, match=r"gives \(2, 2, 6, 6\) for 2 images; expected .* from \(B, 3, 8, 8\)"):
        load(maps)
    with pytest.raises(CheckpointError, match=r"Cannot use .*mine.ts as --feature_extractor: .* \(B, 1, 8, 8\)"):
        load(maps, image_channels=1)
    (tmp_path / "text.ts").write_text("no network")
    for name in ("text.ts", "missing.ts"):
        with pytest.raises(CheckpointError, match=f"Cannot use .*{name} as --feature_extractor"):
            load(tmp_path / name)
