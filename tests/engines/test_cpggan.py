from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import torch

from scripts.data.growth import GrowthSchedule
from scripts.engines.cpggan import CPGGANStep, spread_conditions
from scripts.networks.pggan import PGGANDiscriminator, PGGANGenerator

SCHEDULE = GrowthSchedule(image_size=8, images_per_phase=4, total_images=None, batch_sizes={4: 2, 8: 2})
BOXES = torch.tensor([[[1.0, 2, 4, 5], [0, 0, 0, 0]], [[0.0, 0, 8, 1], [6, 6, 8, 8]]])
CLASSES = torch.tensor([[0, -1], [1, 0]])


def make_step() -> CPGGANStep:
    torch.manual_seed(0)
    sizes = {"image_size": 8, "feature_base": 32, "feature_max": 4, "condition_channels": 2}
    networks = PGGANGenerator(1, latent_dim=3, **sizes), PGGANDiscriminator(1, **sizes)
    optimizers = [torch.optim.Adam(network.parameters(), lr=0.01) for network in networks]
    return CPGGANStep(*networks, *optimizers, schedule=SCHEDULE, latent_dim=3, class_count=2)


def test_the_condition_is_the_image_of_the_boxes():
    batch = {"image": torch.zeros(2, 1, 8, 8), "boxes": BOXES, "box_classes": CLASSES}
    image, condition = make_step().read(batch, torch.device("cpu"))
    expected = torch.zeros(2, 2, 8, 8)
    expected[0, 0, 1:4, 2:5] = expected[1, 1, :, :1] = expected[1, 0, 6:, 6:] = 1
    assert torch.equal(condition, expected)
    assert torch.equal(image, batch["image"])


def test_both_networks_learn_at_every_resolution():
    step = make_step()
    batch = {"image": torch.rand(2, 1, 8, 8), "boxes": BOXES, "box_classes": CLASSES}
    for iteration in (1, 3, 5):  # 4 px, fading 8 px, 8 px
        before = [parameter.clone() for parameter in step.generator.parameters()]
        state = SimpleNamespace(device=torch.device("cpu"), iteration=iteration)
        output = step(SimpleNamespace(state=state), batch)
        assert np.isfinite(output["loss"])
        after = step.generator.parameters()
        assert any(not torch.equal(old, new) for old, new in zip(before, after, strict=True))


def test_conditions_spread_over_a_data_set():
    boxes = [np.array([[n, 0, n + 1, 2]], dtype=np.float32) for n in range(5)]

    class Slices:
        class_count = 1

        def __len__(self) -> int:
            return 5

        def boxes_of(self, n: int) -> tuple[np.ndarray, np.ndarray]:
            return boxes[n], np.array([0])

        def image_of(self, n: int) -> np.ndarray:
            return np.zeros((1, 8, 8))

    drawn = spread_conditions(Slices(), 3)
    assert drawn.shape == (3, 1, 8, 8)
    assert [int(each[0].nonzero()[0, 0]) for each in drawn] == [0, 2, 4]
