from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from scripts.networks.yolo import PUBLISHED_ANCHORS, SpatialPyramid, YOLOv3


def count_parameters(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


def tiny_network(**options: object) -> YOLOv3:
    """Trained statistics stand in for, so that maps are of order 1 in evaluation mode."""
    torch.manual_seed(0)
    network = YOLOv3(2, 3, width_multiplier=1 / 32, norm_momentum=1.0, **options)  # type: ignore[arg-type]
    network(torch.randn(2, 2, 64, 64))
    return network.eval()


@pytest.fixture(scope="module")
def network() -> YOLOv3:
    return tiny_network(spatial_pyramid=True)


def test_parameters_of_the_published_detector(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("kaiming_uniform_", "kaiming_normal_"):  # 62 million draws
        monkeypatch.setattr(nn.init, name, lambda weight, **options: weight)

    def layer(channels: int, out: int, kernel: int) -> int:
        return channels * out * kernel**2 + 2 * out

    expected = 40_584_928
    for width, channels, routed in ((512, 1024, 256), (256, 512 + 256, 128), (128, 256 + 128, 0)):
        expected += layer(channels, width, 1) + 2 * layer(2 * width, width, 1) + 3 * layer(width, 2 * width, 3)
        expected += 2 * width * 255 + 255
        expected += layer(width, routed, 1) if routed else 0
    assert count_parameters(YOLOv3(3, 80)) == expected == 61_949_149  # trainable, as ports to Keras count them


def test_the_spatial_pyramid_adds_one_convolution() -> None:
    extra = count_parameters(tiny_network(spatial_pyramid=True)) - count_parameters(tiny_network())
    assert extra == 4 * 16 * 16 + 2 * 16  # 4 x 512 / 32 channels to 512 / 32


def test_maps_have_three_anchors_and_five_numbers_and_the_classes(network: YOLOv3) -> None:
    maps = network(torch.zeros(2, 2, 64, 96))
    assert [tuple(m.shape) for m in maps] == [(2, 3, 8, 8, 12), (2, 3, 8, 4, 6), (2, 3, 8, 2, 3)]


def test_a_pyramid_pools_at_three_sizes_and_keeps_its_input() -> None:
    x = torch.zeros(1, 1, 15, 15)
    x[0, 0, 7, 7] = 1
    pooled = SpatialPyramid()(x)
    assert pooled.sum(dim=(0, 2, 3)).tolist() == [169, 81, 25, 1]


def test_encode_is_the_mean_of_the_coarsest_features(network: YOLOv3) -> None:
    x = torch.randn(2, 2, 64, 96)
    expected = network.backbone(x)[-1].flatten(2).sum(dim=2) / 6
    torch.testing.assert_close(network.encode(x), expected)
    assert network.encode(x).shape == (2, 32)


def test_anchors_travel_with_the_weights() -> None:
    anchors = [(float(n), float(n + 1)) for n in range(1, 10)]
    trained, loaded = tiny_network(anchors=anchors), tiny_network()
    assert loaded.anchors.tolist() == [list(map(float, a)) for a in PUBLISHED_ANCHORS]
    loaded.load_state_dict(trained.state_dict())
    assert loaded.anchors.tolist() == [list(a) for a in anchors]


@pytest.mark.parametrize(
    ("anchors", "message"),
    [
        ([(1, 1)] * 8, "expected 9 positive"),
        ([(0, 1)] * 9, "expected 9 positive"),
        (PUBLISHED_ANCHORS[::-1], "rising order. Sort the anchors"),
    ],
)
def test_wrong_anchors(anchors: list[tuple[float, float]], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        tiny_network(anchors=anchors)


def test_objectness_starts_at_its_prior() -> None:
    network = tiny_network(objectness_prior=0.2)
    for predict in network.predictions:
        nn.init.zeros_(predict[1].weight)  # type: ignore[index]
    for raw in network(torch.randn(1, 2, 32, 32)):
        torch.testing.assert_close(raw[:, :, 4].sigmoid(), torch.full_like(raw[:, :, 4], 0.2))
        assert not raw[:, :, [0, 1, 2, 3, 5, 6, 7]].any()


def test_no_class_or_prior() -> None:
    with pytest.raises(ValueError, match="objectness_prior is 1, expected a number in"):
        YOLOv3(1, objectness_prior=1)
    with pytest.raises(ValueError, match="class_count is 0, expected 1 or more"):
        YOLOv3(1, 0)


def test_every_parameter_gets_a_gradient() -> None:
    network = tiny_network(spatial_pyramid=True).train()
    sum(m.square().sum() for m in network(torch.randn(2, 2, 64, 64))).backward()  # type: ignore[union-attr]
    assert all(p.grad is not None and p.grad.any() for p in network.parameters())


def test_script_agrees_with_eager(network: YOLOv3, tmp_path: Path) -> None:
    x = torch.randn(2, 2, 96, 64)
    torch.jit.script(network).save(str(tmp_path / "network.ts"))
    loaded = torch.jit.load(str(tmp_path / "network.ts"))
    with torch.no_grad():
        torch.testing.assert_close(loaded(x), network(x))
        torch.testing.assert_close(loaded.encode(x), network.encode(x))
    assert torch.equal(loaded.anchors, network.anchors)


def test_onnx_agrees_for_other_batches(network: YOLOv3, tmp_path: Path) -> None:
    """By the exporter that traces: the newer one takes minutes for so many layers."""
    runtime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed (the 'export' extra)")
    file, options = str(tmp_path / "network.onnx"), {"input_names": ["x"], "dynamic_axes": {"x": {0: "batch"}}}
    torch.onnx.export(network, (torch.randn(2, 2, 64, 64),), file, dynamo=False, **options)  # type: ignore[arg-type]
    x = torch.randn(3, 2, 64, 64)
    maps = runtime.InferenceSession(file).run(None, {"x": x.numpy()})
    for exported, raw in zip(maps, network(x), strict=True):
        torch.testing.assert_close(torch.from_numpy(exported), raw, rtol=1e-3, atol=1e-3)


def test_autocast_is_close_and_returns_fp32(network: YOLOv3) -> None:
    x = torch.randn(2, 2, 64, 64)
    with torch.autocast("cpu", torch.bfloat16):
        maps = network(x)
    for cast, full in zip(maps, network(x), strict=True):
        assert cast.dtype == torch.float32
        assert (cast - full).abs().mean() < 0.25 * full.abs().mean()
