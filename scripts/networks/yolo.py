"""YOLOv3, CPGGAN's lesion detector (Redmon and Farhadi, YOLOv3: An Incremental Improvement, 2018)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import nn

from scripts.networks.darknet import DARKNET_MOMENTUM, Darknet53, build_convolution
from scripts.networks.layers import init_he, scale_width
from scripts.networks.recipe import remember_recipe

STRIDES = (8, 16, 32)
ANCHORS_PER_SCALE = 3
ANCHOR_COUNT = ANCHORS_PER_SCALE * len(STRIDES)
HEAD_WIDTHS = (128, 256, 512)
POOLING_SIZES = (5, 9, 13)
PUBLISHED_ANCHORS = ((10, 13), (16, 30), (33, 23), (30, 61), (62, 45), (59, 119), (116, 90), (156, 198), (373, 326))


@remember_recipe
class YOLOv3(nn.Module):
    """Predict boxes at three scales, three anchors each (section 2.3).

    At each scale five 1x1 and 3x3 convolutions in turn, then a 3x3 and the 1x1 that predicts. To the finer scale goes
    the output of the five: through a 1x1 to half the channels, doubled in size (nearest) and put before the backbone's
    features of that scale. Per cell and anchor come t_x, t_y, t_w, t_h, the objectness logit and one logit per class.

    Arrays are x first: cell (i, j) of a map of stride s holds the pixels from s i to s (i + 1) along X and from s j
    to s (j + 1) along Y.

    Args:
        class_count: K, number of lesion classes, 1 or more.
        anchors: nine (width along X, height along Y) in pixels of the network's input, sorted by area: the first three
            are those of stride 8. Part of the weights, so a loaded checkpoint brings its own. The default are the
            paper's for COCO at 416 pixels; see `compute_anchors` for one's own.
        width_multiplier: factor on every channel count but that of the outputs.
        spatial_pyramid: whether max-poolings over 5, 9 and 13 cells of the coarsest features are put beside them after
            the third of its five convolutions, followed by a 1x1, as in the authors' later YOLOv3-SPP.
        objectness_prior: the objectness that all anchors start with, in (0, 1), such as 0.01 (Lin et al., Focal Loss,
            2017, section 3.3). Not published for YOLOv3, whose bias starts at 0 (None): then the thousands of empty
            anchors fill the loss for the first hundreds of steps.
        norm_momentum: see `Darknet53`.

    Raises:
        ValueError: anchors that are not nine positive sizes in rising order, fewer than 1 class, a prior out of range,
            or images as in `Darknet53`.

    Shapes: (B, in_channels, X, Y) -> per stride 8, 16, 32 (B, 3, 5 + K, X/stride, Y/stride), raw, in fp32 also
    under autocast.
    """

    def __init__(
        self,
        in_channels: int,
        class_count: int = 1,
        *,
        anchors: Sequence[Sequence[float]] | torch.Tensor = PUBLISHED_ANCHORS,
        width_multiplier: float = 1.0,
        spatial_pyramid: bool = False,
        objectness_prior: float | None = None,
        norm_momentum: float = DARKNET_MOMENTUM,
    ) -> None:
        super().__init__()
        if class_count < 1:
            raise ValueError(f"class_count is {class_count}, expected 1 or more. Give all lesions one class.")
        if objectness_prior is not None and not 0 < objectness_prior < 1:
            raise ValueError(f"objectness_prior is {objectness_prior}, expected a number in (0, 1), such as 0.01.")
        self.class_count = class_count
        self.register_buffer("anchors", _check_anchors(anchors))
        self.backbone = Darknet53(in_channels, width_multiplier=width_multiplier, norm_momentum=norm_momentum)
        self.branches, self.predictions, self.routes = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        route = 0  # channels that come from the coarser scale
        for scale in reversed(range(len(STRIDES))):  # the coarsest first
            width = scale_width(HEAD_WIDTHS[scale], width_multiplier)
            channels = self.backbone.out_channels[scale] + route
            pyramid = spatial_pyramid and scale == len(STRIDES) - 1
            self.branches.append(_build_branch(channels, width, pyramid=pyramid, norm_momentum=norm_momentum))
            outputs = ANCHORS_PER_SCALE * (5 + class_count)
            self.predictions.append(
                nn.Sequential(
                    build_convolution(width, 2 * width, kernel_size=3, norm_momentum=norm_momentum),
                    nn.Conv2d(2 * width, outputs, kernel_size=1),
                )
            )
            route = 0 if scale == 0 else scale_width(HEAD_WIDTHS[scale] // 2, width_multiplier)
            if route:
                self.routes.append(build_convolution(width, route, kernel_size=1, norm_momentum=norm_momentum))
        self.routes.append(nn.Identity())  # the finest scale passes nothing on
        self.apply(init_he)
        if objectness_prior is not None:
            for predict in self.predictions:
                bias = predict[1].bias.detach()  # type: ignore[index]
                bias.view(ANCHORS_PER_SCALE, -1)[:, 4] = math.log(objectness_prior / (1 - objectness_prior))
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        features = self.backbone(x)
        features.reverse()
        outputs: list[torch.Tensor] = []
        routed = torch.empty(0, device=x.device)
        for index, (branch, predict, route) in enumerate(zip(self.branches, self.predictions, self.routes)):  # noqa: B905
            joined = features[index]
            if index > 0:
                upsampled = F.interpolate(routed, scale_factor=2.0, mode="nearest")
                joined = torch.cat([upsampled, joined], dim=1)  # (B, route + backbone, X/stride, Y/stride)
            joined = branch(joined)  # (B, head, X/stride, Y/stride)
            raw = predict(joined).float()  # (B, 3 (5 + K), X/stride, Y/stride)
            outputs.append(raw.unflatten(1, (3, 5 + self.class_count)))  # (B, 3, 5 + K, X/stride, Y/stride)
            routed = route(joined)
        outputs.reverse()
        return outputs

    @torch.jit.export
    def encode(self, x: torch.Tensor) -> torch.Tensor:
        """Features of images for t-SNE: the backbone's at stride 32 averaged over space, (B, F) in fp32."""
        return self.backbone(x)[2].float().mean(dim=(2, 3))


class SpatialPyramid(nn.Module):
    """Max-poolings of stride 1 over 13, 9 and 5 cells, put before their input (He et al., 2015; YOLOv3-SPP).

    Shapes: (B, C, X, Y) -> (B, 4 C, X, Y).
    """

    def __init__(self) -> None:
        super().__init__()
        self.poolings = nn.ModuleList(
            nn.MaxPool2d(kernel_size=size, stride=1, padding=size // 2) for size in reversed(POOLING_SIZES)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        pooled: list[torch.Tensor] = []
        for pooling in self.poolings:
            pooled.append(pooling(x))
        pooled.append(x)
        return torch.cat(pooled, dim=1)


def _build_branch(in_channels: int, width: int, *, pyramid: bool, norm_momentum: float) -> nn.Sequential:
    """Five convolutions, 1x1 to `width` and 3x3 to twice that; six with a spatial pyramid after the third."""

    def shrink(channels: int) -> nn.Sequential:
        return build_convolution(channels, width, kernel_size=1, norm_momentum=norm_momentum)

    def grow() -> nn.Sequential:
        return build_convolution(width, 2 * width, kernel_size=3, norm_momentum=norm_momentum)

    layers: list[nn.Module] = [shrink(in_channels), grow(), shrink(2 * width)]
    if pyramid:
        layers += [SpatialPyramid(), shrink((len(POOLING_SIZES) + 1) * width)]
    return nn.Sequential(*layers, grow(), shrink(2 * width))


def _check_anchors(anchors: Sequence[Sequence[float]] | torch.Tensor) -> torch.Tensor:
    sizes = torch.as_tensor(anchors, dtype=torch.float32).clone()
    if sizes.shape != (ANCHOR_COUNT, 2) or not bool((sizes > 0).all() & sizes.isfinite().all()):
        raise ValueError(
            f"The anchors are {sizes.tolist()}, expected {ANCHOR_COUNT} positive (width, height) in pixels. "
            "Compute them from the training boxes with compute_anchors."
        )
    areas = sizes.prod(dim=1)
    if bool((areas.diff() < 0).any()):
        raise ValueError(f"The anchors' areas are {areas.tolist()}, expected them in rising order. Sort the anchors.")
    return sizes
