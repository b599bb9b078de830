"""Classifiers of features: the published convolutional one, and the linear baseline.

Mehra, Soliman and Sahoo, Data augmentation using feature generation for volumetric medical images, sections 3.3 and
4.2.4.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import nn

from scripts.networks.recipe import remember_recipe

CLASSIFIERS = ("cnn", "linear")


class FeatureClassifier(nn.Module):
    """Class of features by two convolutional blocks and two fully connected layers (section 4.2.4).

    A block is a 3x3 convolution, batch norm, ReLU and 2x2 max-pooling, which leaves a side of 1 as it is. Dropout comes
    before and after the first fully connected layer, whose activation is a ReLU.

    The paper gives no numbers of channels: ours shrink the published 1024x15x15 to 128 and 64 maps, then to 64 units.
    Its sigmoid is in the loss: one logit per class and a softmax are the same for two classes, and serve more.

    Args:
        feature_shape: (C, H, W) of the standardised features, any size from 1x1 on.
        class_count: K.
        widths: feature maps of the two blocks.
        hidden_dim: units of the first fully connected layer.
        dropout: share of values set to 0 in both places; .5 as published.

    Shapes: (B, C, H, W) -> logits (B, K). Batches of one have no batch statistics where a map is 1x1.
    """

    def __init__(
        self,
        feature_shape: Sequence[int],
        class_count: int,
        *,
        widths: Sequence[int] = (128, 64),
        hidden_dim: int = 64,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        channels, *size = feature_shape
        layers: list[nn.Module] = []
        for width in widths:
            window = (2 if size[0] > 1 else 1, 2 if size[1] > 1 else 1)
            layers += [
                nn.Conv2d(channels, width, kernel_size=3, padding=1, bias=False),
                nn.BatchNorm2d(width),
                nn.ReLU(inplace=True),
                nn.MaxPool2d(window),
            ]
            size = [side // stride for side, stride in zip(size, window, strict=True)]
            channels = width
        self.blocks = nn.Sequential(*layers, nn.Flatten())
        self.head = nn.Sequential(
            nn.Dropout(dropout),
            nn.Linear(channels * math.prod(size), hidden_dim),
            nn.ReLU(inplace=True),
            nn.Dropout(dropout),
            nn.Linear(hidden_dim, class_count),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.blocks(x)  # (B, widths[1] * H / 4 * W / 4)
        return self.head(x)  # (B, K)


class LinearFeatureClassifier(nn.Module):
    """Class of features by a linear layer on their means over space: the paper's first baseline (section 4.2.4).

    Shapes: (B, C, H, W) -> logits (B, K).
    """

    def __init__(self, feature_shape: Sequence[int], class_count: int) -> None:
        super().__init__()
        self.linear = nn.Linear(feature_shape[0], class_count)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.linear(x.mean(dim=(2, 3)))  # (B, K)


@remember_recipe
def build_feature_classifier(
    classifier: str,
    feature_shape: Sequence[int],
    class_count: int,
    *,
    widths: Sequence[int] = (128, 64),
    hidden_dim: int = 64,
    dropout: float = 0.5,
) -> FeatureClassifier | LinearFeatureClassifier:
    """A classifier by its name, for configs.

    Args:
        classifier: "cnn" as published, or "linear", which has none of the options.
        feature_shape, class_count, widths, hidden_dim, dropout: of `FeatureClassifier`.

    Raises:
        ValueError: another name.
    """
    if classifier not in CLASSIFIERS:
        raise ValueError(f"classifier is {classifier!r}, expected one of {', '.join(CLASSIFIERS)}. Choose one.")
    if classifier == "linear":
        return LinearFeatureClassifier(feature_shape, class_count)
    return FeatureClassifier(feature_shape, class_count, widths=widths, hidden_dim=hidden_dim, dropout=dropout)
