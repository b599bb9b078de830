"""Generators in Python give what their networks give, take what they were made for, and never end where asked."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from scripts.data.contract import Dataset, DatasetError
from scripts.inferers.generation import GeneratedImages, Generator, generate, load_generator, read_masks, synthesise
from scripts.nearest_name import OptionError
from scripts.networks.one_hot import one_hot_mask
from scripts.networks.pggan import PGGANGenerator
from scripts.networks.pix2pix import Pix2PixGenerator
from scripts.networks.spade import SPADEGenerator
from tests.known_weights import write_known

SIZE = 32
PROGRESSIVE = {"image_size": 8, "latent_dim": 2, "feature_base": 8, "feature_max": 2}


def load(folder: Path, network: nn.Module, labels: int, **settings: Any) -> Generator:
    names = ["background", "core", "oedema", "rim"][: 1 + labels]
    images = Dataset(folder, "phantom", ["CT"], names, ["A", "B"])
    known = {"image_size_pixels": SIZE, "outline_class": True, "outline_threshold": -0.85, **settings}
    write_known(folder / "generator.pt", ["p0", "p1"], network=network, images=images, settings=known)
    return load_generator(folder / "generator.pt", device="cpu")


@pytest.fixture
def redgan(tmp_path: Path) -> Generator:
    torch.manual_seed(0)
    network = SPADEGenerator(4, 1, class_count=2, image_size=SIZE, width=4, embedding_dim=8)
    return load(tmp_path, network, 2, use_class=True)


@pytest.fixture
def lcgan(tmp_path: Path) -> Generator:
    torch.manual_seed(0)
    return load(tmp_path, Pix2PixGenerator(4, 1, image_size=SIZE, width=4), 2)


@pytest.fixture
def cpggan(tmp_path: Path) -> Generator:
    torch.manual_seed(0)
    network = PGGANGenerator(1, condition_channels=2, **PROGRESSIVE)
    return load(tmp_path, network, 2, image_size_pixels=8, latent_distribution="normal")


@pytest.fixture
def pggan(tmp_path: Path) -> Generator:
    torch.manual_seed(0)
    coding = {"annotation_coding": "ordinal", "annotation_levels": None}
    return load(tmp_path, PGGANGenerator(2, **PROGRESSIVE), 3, image_size_pixels=8, **coding)


def draw_masks(count: int) -> torch.Tensor:
    return torch.randint(0, 4, (count, SIZE, SIZE), generator=torch.Generator().manual_seed(1))


def test_images_are_the_networks_own(redgan: Generator) -> None:
    masks = draw_masks(3)
    made = generate(redgan, masks=masks, classes=["B", 0, "A"], batch_size=2)
    with torch.inference_mode():
        expected = redgan.network(one_hot_mask(masks[:, None], 4), torch.tensor([1, 0, 0])).clamp(-1, 1)
    torch.testing.assert_close(made.images, expected, atol=1e-5, rtol=1e-5)
    assert made.class_indices is not None
    assert made.class_indices.tolist() == [1, 0, 0]


def test_the_outline_is_no_label(redgan: Generator) -> None:
    masks = draw_masks(2)
    labels = generate(redgan, masks=masks, classes=["A", "A"]).labels
    assert labels is not None
    assert torch.equal(labels[:, 0], torch.where(masks == 3, 0, masks))


def test_noise_comes_from_the_seed_whatever_the_batch(lcgan: Generator) -> None:
    masks = draw_masks(3)
    images = [
        generate(lcgan, masks=masks, seed=seed, batch_size=size).images for seed, size in ((0, 3), (0, 1), (1, 3))
    ]
    torch.testing.assert_close(images[0], images[1], atol=1e-5, rtol=1e-5)
    assert (images[0] - images[2]).abs().max() > 1e-3


def test_boxes_reach_the_condition_of_their_label(cpggan: Generator) -> None:
    seen: list[torch.Tensor] = []
    network = cpggan.network
    network.register_forward_pre_hook(lambda _, __, kwargs: seen.append(kwargs["condition"]), with_kwargs=True)
    made = generate(cpggan, boxes=[[(1, 2, 4, 6), (0, 0, 1, 1)], []], classes=[["oedema", "core"], []])
    expected = torch.zeros(2, 2, 8, 8)
    expected[0, 1, 1:4, 2:6] = 1
    expected[0, 0, 0, 0] = 1
    assert torch.equal(seen[0], expected)
    assert made.images.shape == (2, 1, 8, 8)


def test_an_ensemble_s_member_makes_images_with_labels(pggan: Generator) -> None:
    made = generate(pggan, count=5)
    assert made.images.shape == (5, 1, 8, 8)
    assert made.labels is not None
    assert made.labels.shape == (5, 1, 8, 8)
    assert set(made.labels.unique().tolist()) <= {0, 1, 2, 3}


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"count": 3}, "redgan takes classes and masks, given is count"),
        ({"masks": draw_masks(1)}, "takes classes and masks, given is masks"),
        ({"masks": draw_masks(1), "classes": ["C"]}, "no class 'C'.*expected one of A, B"),
        ({"masks": draw_masks(2), "classes": ["A"]}, "1 classes for 2 images"),
        ({"masks": draw_masks(1) + 1, "classes": ["A"]}, "expected labels from 0 to 3"),
        ({"masks": draw_masks(1)[:, 1:], "classes": ["A"]}, r"expected \(N, 32, 32\)"),
    ],
)
def test_what_a_generator_cannot_take_is_named(redgan: Generator, asked: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        generate(redgan, **asked)


def test_a_generator_that_knows_a_held_out_patient_is_refused(redgan: Generator) -> None:
    with pytest.raises(DatasetError, match="was trained on patient 'p1' of the held-out split"):
        load_generator(redgan.weights.file, held_out={"p1", "p9"})


def test_the_stream_never_ends_and_draws_from_the_pool(redgan: Generator) -> None:
    masks = draw_masks(3)
    stream = GeneratedImages(redgan, masks=masks, classes=["A", "B", "A"], batch_size=4)
    found = list(islice(stream, 30))
    pool = [torch.where(mask == 3, 0, mask) for mask in masks]
    drawn = [next(n for n in range(3) if torch.equal(element["label"][0], pool[n])) for element in found]
    assert set(drawn) == {0, 1, 2}
    assert [element["class_index"].item() for element in found] == [(0, 1, 0)[n] for n in drawn]


def test_workers_draw_for_themselves(pggan: Generator) -> None:
    loader = torch.utils.data.DataLoader(GeneratedImages(pggan, batch_size=2), batch_size=2, num_workers=2)
    first, second = islice(iter(loader), 2)
    assert not torch.equal(first["image"], second["image"])


def test_masks_and_sets_are_for_systems_that_have_them(pggan: Generator, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="of pggan_ensemble, which makes images without masks"):
        read_masks(pggan, tmp_path)
    with pytest.raises(OptionError, match="did you mean --image_count"):
        synthesise(pggan.weights.file, tmp_path / "made", image_counts=3)
