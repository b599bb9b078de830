from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from scripts.data.growth import GrowthSchedule
from scripts.experiments.benchmark_pggan import (
    BUNDLE,
    PLAIN,
    ROWS,
    Setting,
    build_step,
    estimate_days,
    format_rates,
    measure_memory,
    sampling_rows,
)
from scripts.experiments.plain_pggan import PlainConv2d
from scripts.networks.equalized import EqualizedConv2d

CPU = torch.device("cpu")
SETTING = Setting(16, 4, image_size=32, feature_base=64, feature_max=8)
LOSSES = ("loss", "discriminator_wasserstein", "gradient_penalty", "generator_wasserstein")


def gradients(network: nn.Module) -> torch.Tensor:
    """Of every weight in use, in one row; levels that didn't run have none."""
    return torch.cat([p.grad.flatten() for _, p in sorted(network.named_parameters()) if p.grad is not None])


def test_every_row_computes_the_plain_iteration() -> None:
    """Same weights, latents and mixing: same losses, same gradients of D (from the penalty, too) and of G."""
    engine, results = SimpleNamespace(state=SimpleNamespace(device=CPU)), []
    for changes in list(ROWS.values())[:-1]:  # the last row differs by bf16's rounding
        step = build_step(changes, SETTING, device=CPU)
        judged = []
        update = step.discriminator_optimizer.step

        def record(step=step, judged=judged, update=update) -> None:
            judged.append(gradients(step.discriminator))  # before G's update, which adds to them in the plain step
            step.discriminator_optimizer.param_groups[0]["lr"] = 0.0  # Adam's first step is a sign: it magnifies noise
            update()

        step.discriminator_optimizer.step = record
        torch.manual_seed(1)
        output = step(engine, SETTING.make_batch())
        results.append(([output[key] for key in LOSSES], judged[0], gradients(step.generator)))
    for losses, *networks in results[1:]:
        assert losses == pytest.approx(results[0][0], rel=1e-4, abs=1e-6)
        for own, plain in zip(networks, results[0][1:], strict=True):
            torch.testing.assert_close(own, plain, rtol=1e-3, atol=1e-5)


def test_each_call_is_the_next_iteration_at_the_resolution() -> None:
    engine, step = (
        SimpleNamespace(state=SimpleNamespace(device=CPU)),
        build_step(BUNDLE, SETTING, device=CPU),
    )
    rows = [step(engine, SETTING.make_batch()) for _ in range(2)]
    assert [(row["resolution"], row["alpha"]) for row in rows] == [(16, 1.0), (16, 1.0)]
    assert {int(state["step"]) for state in step.generator_optimizer.state.values()} == {2}  # not emptied in between


def test_plain_networks_have_plain_parts_only_and_keep_their_names() -> None:
    plain, bundle = (build_step(changes, SETTING, device=CPU) for changes in (PLAIN, BUNDLE))
    for name in ("generator", "discriminator"):
        modules = list(getattr(plain, name).modules())
        assert not any(isinstance(module, EqualizedConv2d) for module in modules)
        assert any(isinstance(module, PlainConv2d) for module in modules)
        own = getattr(bundle, name).state_dict()
        for key, value in getattr(plain, name).state_dict().items():
            torch.testing.assert_close(value, own.pop(key))
            assert value.is_contiguous()
        assert not own


def test_plain_features_stay_contiguous() -> None:
    step, layouts = build_step(PLAIN, SETTING, device=CPU), []
    for network in (step.generator, step.discriminator):
        for module in network.modules():
            if isinstance(module, PlainConv2d):
                module.register_forward_hook(lambda module, inputs, output: layouts.append(output.is_contiguous()))
    step(SimpleNamespace(state=SimpleNamespace(device=CPU)), SETTING.make_batch())
    assert layouts
    assert all(layouts)


def test_every_sampler_makes_the_same_images() -> None:
    seeds, engine = {"noise_seed": torch.arange(3)}, SimpleNamespace(state=SimpleNamespace(device=CPU))
    plain, bundle, _ = (build()(engine, seeds)["pred"] for build in sampling_rows(SETTING, device=CPU).values())
    assert plain.shape == (3, 5, 16, 16)
    torch.testing.assert_close(bundle, plain, rtol=1e-4, atol=1e-5)


def test_days_and_rates_by_hand() -> None:
    schedule = GrowthSchedule(image_size=8, images_per_phase=100, total_images=1000, batch_sizes={4: 10, 8: 5})
    rates = {4: 2.0, 8: 0.5}  # 100 images at 4 px, 900 at 8 px
    assert estimate_days(rates, schedule) == pytest.approx((100 / 2 + 900 / 0.5) / 86400)
    assert format_rates({"a": [2.0, 1.0, 9.0]}, 8) == "images per second: a 4"


def test_peak_memory_is_more_than_weights_gradients_and_moments() -> None:
    """At 4 px nearly all memory is that: four numbers of 4 bytes per weight, and the scaled weights of the passes."""
    setting = Setting(4, 1, image_size=4, feature_base=1024, feature_max=512)
    step = build_step(PLAIN, setting, device=CPU)
    weights = sum(p.numel() for network in (step.generator, step.discriminator) for p in network.parameters())
    assert 1 < measure_memory(PLAIN, setting, device=CPU) / (16 * weights / 2**30) < 4
