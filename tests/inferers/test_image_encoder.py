from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from scripts.data.contract import DatasetError
from scripts.data.feature_format import FeatureDescription, hash_file
from scripts.data.feature_source import FeatureSource
from scripts.inferers.features import FeatureInferer
from scripts.inferers.image_encoder import ImageEncoder, load_encoder
from scripts.networks.feature_unet import FeatureUNet
from scripts.networks.weights import Weights
from tests.known_weights import write_known

IMAGES = FeatureDescription(
    level="image",
    feature_shape=(2, 32, 32),
    network_sha256="0" * 64,
    network_file="unet.pt",
    trained_on=["p1"],
    dataset="phantom",
    classes=["LGG", "HGG"],
    image_size=32,
    image_channels=["FLAIR", "T1"],
    minimum=-1.0,
)


@pytest.fixture
def unet(tmp_path: Path) -> tuple[FeatureUNet, Weights]:
    torch.manual_seed(0)
    network = FeatureUNet(2, features=[4, 4, 8, 8, 8])
    return network, write_known(tmp_path / "unet.pt", ["p1", "p7"], network=network)


def make_source(folder: Path, description: FeatureDescription) -> FeatureSource:
    about = {"features": description.to_json(), "mean": [0.0, 0.0], "std": [1.0, 1.0]}
    files = (folder / f"{name}.pt" for name in ("generator", "discriminator"))
    return FeatureSource(*(write_known(file, ["p1", "p2"], features=about) for file in files))


def make_encoder(folder: Path, unet: tuple[FeatureUNet, Weights], **choices: int) -> ImageEncoder:
    return ImageEncoder(*unet, make_source(folder, IMAGES), FeatureInferer("bottleneck", **choices))


def items(*classes: str) -> list[dict[str, str]]:
    return [{"class": name} for name in classes]


def test_features_are_what_the_unet_makes_of_images_cut_to_their_range(tmp_path: Path, unet) -> None:
    images = 3 * torch.randn(2, 2, 32, 32)
    features = make_encoder(tmp_path, unet)(images)
    expected = unet[0].extract(images.clamp(-1, 1), "bottleneck")
    torch.testing.assert_close(features, expected)
    pooled = make_encoder(tmp_path, unet, pooled_size=1)(images)
    torch.testing.assert_close(pooled, expected.mean(dim=(2, 3), keepdim=True))


def test_the_features_say_whom_generator_and_unet_know(tmp_path: Path, unet) -> None:
    description = make_encoder(tmp_path, unet).description
    assert (description.level, description.feature_shape, description.minimum) == ("bottleneck", (8, 2, 2), 0.0)
    assert description.trained_on == ["p1", "p2", "p7"]
    assert description.network_sha256 == hash_file(unet[1].file)
    inferer = FeatureInferer("bottleneck", torch.bfloat16)
    assert ImageEncoder(*unet, make_source(tmp_path, IMAGES), inferer).description.precision == "bfloat16"


def test_a_picture_has_a_row_for_each_class_and_channel(tmp_path: Path, unet) -> None:
    encoder = make_encoder(tmp_path, unet)
    encoder.write_picture(tmp_path / "none.png")
    assert not (tmp_path / "none.png").exists()
    encoder.show(torch.ones(3, 2, 32, 32), items("LGG", "HGG", "HGG"))
    encoder.write_picture(tmp_path / "images.png")
    picture = np.asarray(Image.open(tmp_path / "images.png").convert("L"))
    assert picture.shape[0] == 4 * 98
    assert (picture[5:90, -90:-10] == 255).all()


def test_a_generator_of_other_features_is_refused(tmp_path: Path, unet) -> None:
    source = make_source(tmp_path, replace(IMAGES, level="encoder_1"))
    with pytest.raises(DatasetError, match="level 'encoder_1', expected 'image' where model_file is given"):
        ImageEncoder(*unet, source, FeatureInferer("bottleneck"))


def test_a_generator_of_pooled_images_is_refused(tmp_path: Path, unet) -> None:
    source = make_source(tmp_path, replace(IMAGES, feature_shape=(2, 8, 8)))
    with pytest.raises(DatasetError, match=r"images of \(8, 8\) pixels, expected \(32, 32\), as the U-Net sees"):
        ImageEncoder(*unet, source, FeatureInferer("bottleneck"))


def test_the_encoder_is_there_where_weights_are_named(tmp_path: Path, unet) -> None:
    source, inferer = make_source(tmp_path, IMAGES), FeatureInferer("bottleneck")
    assert load_encoder(None, source, inferer, device=torch.device("cpu")) is None
    encoder = load_encoder(unet[1], source, inferer, device=torch.device("cpu"))
    images = torch.rand(1, 2, 32, 32)
    torch.testing.assert_close(encoder(images), unet[0].extract(images, "bottleneck"))
