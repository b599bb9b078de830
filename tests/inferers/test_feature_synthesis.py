from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from scripts.data.class_centres import ClassCentres
from scripts.data.contract import DatasetError
from scripts.data.feature_format import FeatureDescription
from scripts.data.feature_source import FeatureSource
from scripts.data.feature_writer import FeatureWriter
from scripts.data.features import FeatureSet
from scripts.inferers.feature_synthesis import FeatureSynthesis, share_count, write_synthetic_features
from scripts.inferers.noise import ClassFeatureInferer
from scripts.networks.checkpoints import CheckpointError
from scripts.networks.weights import Weights
from scripts.scores.evidence import ClassCount
from tests.known_weights import write_known

CLASSES = ["LGG", "HGG"]
SHAPE = (1, 2, 2)
MEAN, STD = 10.0, 2.0


class Copying(nn.Module):
    """Generates the latent number, all over; asked for the second class 3 more."""

    def forward(self, latent: torch.Tensor, class_index: torch.Tensor) -> torch.Tensor:
        return (latent + 3 * class_index[:, None])[:, :, None, None].expand(-1, *SHAPE)


class Threshold(nn.Module):
    """The second class is what lies above a threshold; the source logit must not matter."""

    def __init__(self, threshold: float) -> None:
        super().__init__()
        self.threshold = threshold

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        above = x.mean(dim=(1, 2, 3)) - self.threshold
        return torch.full((len(x),), -99.0), torch.stack([-above, above], dim=1)


def describe() -> FeatureDescription:
    return FeatureDescription(
        level="bottleneck",
        feature_shape=SHAPE,
        network_sha256="0" * 64,
        network_file="model.pt",
        trained_on=["p1"],
        dataset="phantom",
        classes=CLASSES,
        image_size=32,
        image_channels=["FLAIR"],
        dtype="float32",
        minimum=0.0,
    )


@pytest.fixture
def pair(tmp_path: Path) -> dict[str, Weights]:
    """Weights of no meaning, with what training writes beside them."""
    about = {"features": describe().to_json(), "mean": [MEAN], "std": [STD]}
    return {
        name: write_known(tmp_path / f"{name}.pt", ["p1", "p2"], features=about)
        for name in ("generator", "discriminator")
    }


def make_synthesis(pair: dict[str, Weights], threshold: float = 1.5, **options: Any) -> FeatureSynthesis:
    inferer = ClassFeatureInferer(Threshold(threshold), latent_dim=1)
    source = FeatureSource(**pair)
    settings = {"device": torch.device("cpu"), "feature_count": 40, "batch_size": 7, **options}
    return FeatureSynthesis(Copying(), inferer, source, **settings)


def write(pair: dict[str, Weights], folder: Path, **options: Any) -> FeatureSet:
    return write_synthetic_features(make_synthesis(pair, **options), folder, **pair)


def draws(asked: int, count: int, seed: int = 0) -> np.ndarray:
    """The latent numbers of a class, one by one from their own seeds."""
    seeds = [np.random.SeedSequence([seed, asked, n]).generate_state(1)[0] for n in range(count)]
    return np.array([torch.randn(1, generator=torch.Generator().manual_seed(int(s))).item() for s in seeds])


def test_the_first_features_of_the_asked_class_are_kept_and_counted(pair: dict[str, Weights], tmp_path: Path) -> None:
    features = write(pair, tmp_path / "set")
    for asked, name in enumerate(CLASSES):
        values = draws(asked, 200) + 3 * asked
        places = np.flatnonzero(values > 1.5 if asked else values < 1.5)[:20]
        rows = [n for n, item in enumerate(features.items) if item["class"] == name]
        stored = np.array(features.features)[rows].mean(axis=(1, 2, 3))
        np.testing.assert_allclose(stored, np.maximum(values[places] * STD + MEAN, 0), rtol=1e-5)
        assert [features.items[row]["synthetic"]["draw"] for row in rows] == places.tolist()
        count = features.manifest["counts"][name]
        generated = int(places[-1]) + 1
        assert (count["asked"], count["generated"], count["accepted"], count["kept"]) == (20, generated, 20, 20)
        assert ClassCount(**count).acceptance_rate == pytest.approx(20 / generated)
    assert json.loads((tmp_path / "set_counts.json").read_text()) == features.manifest["counts"]


def test_items_say_where_they_come_from(pair: dict[str, Weights], tmp_path: Path) -> None:
    features = write(pair, tmp_path / "set", feature_count={"HGG": 3}, seed=5)
    assert features.description.trained_on == ["p1", "p2"]
    assert [item["class"] for item in features.items] == ["HGG"] * 3
    assert {item["split"] for item in features.items} == {"training"}
    assert len({item["source"] for item in features.items}) == 3
    first = features.items[0]["synthetic"]
    assert (first["system"], first["asked_class"], first["seed"]) == ("feature_acgan", "HGG", 5)
    above = 2 * (draws(1, first["draw"] + 1, seed=5)[-1] + 3 - 1.5)  # between the two logits
    assert first["class_probability"] == pytest.approx(1 / (1 + np.exp(-above)), abs=1e-5)
    assert features.manifest["generator_sha256"] != features.manifest["discriminator_sha256"]


def test_counts_do_not_depend_on_the_batches(pair: dict[str, Weights], tmp_path: Path) -> None:
    sets = [write(pair, tmp_path / str(size), batch_size=size) for size in (1, 7, 64)]
    for other in sets[1:]:
        assert other.manifest["counts"] == sets[0].manifest["counts"]
        np.testing.assert_array_equal(other.features, sets[0].features)


def test_all_are_kept_on_request_and_still_counted(pair: dict[str, Weights], tmp_path: Path) -> None:
    features = write(pair, tmp_path / "set", keep_all=True, feature_count={"LGG": 30})
    accepted = int((draws(0, 30) < 1.5).sum())
    count = features.manifest["counts"]["LGG"]
    assert (count["generated"], count["accepted"], count["kept"]) == (30, accepted, 30)
    assert accepted < 30
    assert sum(item["synthetic"]["accepted"] for item in features.items) == accepted


def test_features_far_from_their_class_are_dropped_and_counted(pair: dict[str, Weights], tmp_path: Path) -> None:
    """In deviations: real ones of LGG at -2 and 2, of HGG at 2 and 4; their centres 0 and 3, their limits 4 and 2."""
    values = {"LGG": (-2, 2), "HGG": (2, 4)}
    items = [{"source": f"{name}{v}", "patient": f"{name}{v}"} for name in CLASSES for v in values[name]]
    rows = [{**item, "class": item["source"][:3], "split": "training", "synthetic": None} for item in items]
    stored = torch.tensor([v * STD + MEAN for name in CLASSES for v in values[name]])[:, None, None, None]
    with FeatureWriter(tmp_path / "real", describe(), 4) as writer:
        writer.append(stored.expand(-1, *SHAPE), rows)
        real = writer.finish({})
    centres = ClassCentres(real.folder, 0.5, describe())
    spread = float(real.std[0]) / STD  # the set's own deviation, in the generator's
    assert centres.limits == pytest.approx({"LGG": 4 / spread, "HGG": 2 / spread})
    made = write(pair, tmp_path / "set", centres=centres, feature_count={"HGG": 20}, threshold=-9.0)
    latents = draws(1, 400)
    places = np.flatnonzero(np.abs(latents) <= 2)[:20]
    assert [item["synthetic"]["draw"] for item in made.items] == places.tolist()
    first = made.items[0]["synthetic"]["class_centre"]
    assert first == pytest.approx(abs(latents[places[0]]) / 2, abs=1e-3)
    assert Image.open(tmp_path / "set_dropped.png").height > 2 * 250  # a row of what was kept, one of what was not
    count = made.manifest["counts"]["HGG"]
    assert (count["kept"], count["far"]) == (20, int(places[-1]) + 1 - 20)
    again = write(pair, tmp_path / "all", centres=centres, feature_count={"HGG": 20}, threshold=-9.0, keep_all=True)
    assert len(again) == 20


def test_a_class_that_is_never_accepted_is_named(pair: dict[str, Weights], tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"0 of 1001 features asked of class 'LGG' \(0.00%\).*--class_weight"):
        write(pair, tmp_path / "set", threshold=-100.0, feature_count={"HGG": 5, "LGG": 4000})
    assert not (tmp_path / "set").exists()
    with pytest.raises(CheckpointError, match="0 of 105 features"):  # 50 for each of 2, in batches of 7
        write(pair, tmp_path / "set", threshold=-100.0, feature_count={"LGG": 2})


def test_a_rare_class_is_waited_for(pair: dict[str, Weights], tmp_path: Path) -> None:
    share = (draws(0, 2000) < -1.5).mean()  # about 1 in 15
    features = write(pair, tmp_path / "set", threshold=-1.5, feature_count={"LGG": 60}, batch_size=64)
    assert ClassCount(**features.manifest["counts"]["LGG"]).acceptance_rate == pytest.approx(share, rel=0.4)


def test_a_killed_run_ends_with_the_same_features(
    pair: dict[str, Weights], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = write(pair, tmp_path / "whole")
    append, calls = FeatureWriter.append, []

    def killed(self: FeatureWriter, *rows: Any) -> None:
        calls.append(len(rows[1]))
        if len(calls) == 4:
            raise KeyboardInterrupt
        append(self, *rows)

    monkeypatch.setattr(FeatureWriter, "append", killed)
    with pytest.raises(KeyboardInterrupt):
        write(pair, tmp_path / "resumed")
    monkeypatch.setattr(FeatureWriter, "append", lambda *rows: (calls.append(len(rows[2])), append(*rows))[1])
    resumed = write(pair, tmp_path / "resumed")
    np.testing.assert_array_equal(resumed.features, whole.features)
    assert resumed.items == whole.items
    assert resumed.manifest["counts"] == whole.manifest["counts"]
    assert sum(calls[:3]) + sum(calls[4:]) == 40  # nothing was written twice


def test_a_finished_set_is_left_alone(
    pair: dict[str, Weights], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write(pair, tmp_path / "set")
    before = (tmp_path / "set" / "features.npy").stat().st_mtime_ns
    (tmp_path / "set_counts.json").unlink()
    with caplog.at_level(logging.INFO):
        again = write(pair, tmp_path / "set")
    assert (tmp_path / "set" / "features.npy").stat().st_mtime_ns == before
    assert json.loads((tmp_path / "set_counts.json").read_text())["LGG"]["kept"] == 20
    assert "LGG: 20 asked" in caplog.text
    pair["generator"].file.write_bytes(b"another")
    assert write(pair, tmp_path / "set").manifest["generator_sha256"] != again.manifest["generator_sha256"]


def test_totals_are_shared_equally() -> None:
    assert share_count(4800, CLASSES) == {"LGG": 2400, "HGG": 2400}
    assert share_count(5, ["a", "b", "c"]) == {"a": 2, "b": 2, "c": 1}
    assert share_count({"HGG": 7, "LGG": 0}, CLASSES) == {"HGG": 7}


@pytest.mark.parametrize("wrong", [0, -2, {"GBM": 3}, {"LGG": -1}, {"LGG": 1.5}, {}, None, 2.5])
def test_what_cannot_be_asked_for(wrong: Any) -> None:
    with pytest.raises(DatasetError, match=r"feature_count is .* the generator knows LGG, HGG"):
        share_count(wrong, CLASSES)
