"""FCN-8s, LcGAN's downstream segmenter.

Long, Shelhamer & Darrell, Fully Convolutional Networks for Semantic Segmentation, 2015; Karki et al., LcGAN, 2020. Its
trunk is VGG-16: Simonyan & Zisserman, Very Deep Convolutional Networks for Large-Scale Image Recognition, 2015.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from scripts.networks.layers import extend_image, init_he
from scripts.networks.recipe import remember_recipe

SCORE_INIT_STD = 0.01
CONVOLUTION_COUNTS = (2, 2, 3, 3, 3)
WIDTH_MULTIPLES = (1, 2, 4, 8, 8)


@remember_recipe
class FCN8s(nn.Module):
    """Segment an image into per-class logits from three depths of VGG-16 (Long et al., figure 3).

    The fully connected layers fc6 and fc7 are 7x7 and 1x1 convolutions with ReLU and dropout. Scores of fc7 are doubled
    in size, those of pool4 added, doubled again, those of pool3 added, and upsampled by 8. The two doublings are
    transposed convolutions that start as bilinear interpolation and learn; the last upsampling is fixed and bilinear.

    Deviations: fc6 is padded by 3, where the published network pads the image by 100 pixels and crops. The last
    upsampling repeats the border, where a transposed convolution would fade out. The scores of fc7 start from small
    random weights, those of pool4 and pool3 from zero: published are zeros for all, with which no gradient passes the
    scores in the first step. So it starts as an FCN-32s, as the published stages do.

    The input is extended at its right and lower edge by repeating the last row and column to a multiple of 32, and the
    logits are cropped back, so every size works, also in TorchScript.

    Args:
        width: channels of VGG-16's first stage.
        fc_width: channels of fc6 and fc7.
        batch_norm: see ``VGG16Trunk``.
        dropout: share of fc6's and fc7's features set to 0 in training.

    Shapes: (B, in_channels, X, Y) -> (B, out_channels, X, Y), in fp32 also under autocast.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        width: int = 64,
        fc_width: int = 4096,
        batch_norm: bool = True,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        self.size_multiple = 32
        self.width = width
        self.fc_width = fc_width
        self.batch_norm = batch_norm
        self.trunk = VGG16Trunk(in_channels, width=width, batch_norm=batch_norm)
        self.fc6 = nn.Conv2d(8 * width, fc_width, kernel_size=7, padding=3)
        self.fc7 = nn.Conv2d(fc_width, fc_width, kernel_size=1)
        self.dropout = nn.Dropout(dropout)
        self.apply(init_he)
        self.score_fc7 = nn.Conv2d(fc_width, out_channels, kernel_size=1)
        self.score_pool4 = nn.Conv2d(8 * width, out_channels, kernel_size=1)
        self.score_pool3 = nn.Conv2d(4 * width, out_channels, kernel_size=1)
        nn.init.normal_(self.score_fc7.weight, 0.0, SCORE_INIT_STD)
        nn.init.zeros_(self.score_pool4.weight)
        nn.init.zeros_(self.score_pool3.weight)
        for score in (self.score_fc7, self.score_pool4, self.score_pool3):
            nn.init.zeros_(score.bias)  # type: ignore[arg-type]
        self.upsample_fc7 = _bilinear_doubling(out_channels)
        self.upsample_pool4 = _bilinear_doubling(out_channels)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        rows, columns = x.shape[-2], x.shape[-1]
        pools = self.trunk(extend_image(x, self.size_multiple))
        scores = self.score_fc7(self._connect(pools[4]))  # (B, out_channels, X' / 32, Y' / 32)
        scores = self.upsample_fc7(scores) + self.score_pool4(pools[3])  # (B, out_channels, X' / 16, Y' / 16)
        scores = self.upsample_pool4(scores) + self.score_pool3(pools[2])  # (B, out_channels, X' / 8, Y' / 8)
        scores = F.interpolate(scores.float(), scale_factor=8.0, mode="bilinear")  # (B, out_channels, X', Y')
        return scores[..., :rows, :columns]  # (B, out_channels, X, Y)

    @torch.jit.export
    def encode(self, x: torch.Tensor) -> torch.Tensor:
        """Features for image-quality metrics: fc7 averaged over space, (B, fc_width)."""
        return self._connect(self.trunk(extend_image(x, self.size_multiple))[4]).mean(dim=(2, 3))

    def _connect(self, x: torch.Tensor) -> torch.Tensor:
        # Taps of the kernel that no pixel reaches are left out: oneDNN leaves their bfloat16 gradients uninitialised.
        rows, columns = min(3, x.shape[-2] - 1), min(3, x.shape[-1] - 1)
        weight = self.fc6.weight[:, :, 3 - rows : 4 + rows, 3 - columns : 4 + columns]
        x = F.conv2d(x, weight, self.fc6.bias, padding=(rows, columns))
        x = self.dropout(F.relu(x))  # (B, fc_width, X' / 32, Y' / 32)
        return self.dropout(F.relu(self.fc7(x)))


class VGG16Trunk(nn.Module):
    """Five stages of 3x3 convolutions with ReLU, each closed by a 2x2 max-pooling (table 1, column D).

    The convolutions keep their bias also before a batch norm, so that the layers are torchvision's, in its order.

    Args:
        width: channels of the first stage (64 as published); the next have 2, 4, 8 and 8 times as many.
        batch_norm: whether a batch norm follows each convolution (not published; it trains without pretraining).

    Shapes: (B, in_channels, X, Y) -> per stage (B, width * multiple, X / 2**(stage + 1), Y / 2**(stage + 1)).
    """

    def __init__(self, in_channels: int, *, width: int = 64, batch_norm: bool = True) -> None:
        super().__init__()
        self.stages = nn.ModuleList()
        channels = in_channels
        for count, multiple in zip(CONVOLUTION_COUNTS, WIDTH_MULTIPLES, strict=True):
            layers: list[nn.Module] = []
            for _ in range(count):
                layers.append(nn.Conv2d(channels, width * multiple, kernel_size=3, padding=1))
                channels = width * multiple
                if batch_norm:
                    layers.append(nn.BatchNorm2d(channels))
                layers.append(nn.ReLU(inplace=True))
            self.stages.append(nn.Sequential(*layers, nn.MaxPool2d(kernel_size=2)))

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        outputs: list[torch.Tensor] = []
        for stage in self.stages:
            x = stage(x)  # (B, width * multiple, X / 2**(stage + 1), Y / 2**(stage + 1))
            outputs.append(x)
        return outputs


def _bilinear_doubling(channels: int) -> nn.ConvTranspose2d:
    """A 4x4 transposed convolution of stride 2 that interpolates each channel by itself, up to its border."""
    conv = nn.ConvTranspose2d(channels, channels, kernel_size=4, stride=2, padding=1, bias=False)
    taps = torch.tensor([0.25, 0.75, 0.75, 0.25])
    with torch.no_grad():
        conv.weight.zero_()
        conv.weight[range(channels), range(channels)] = taps[:, None] * taps  # (channels, 4, 4)
    return conv
