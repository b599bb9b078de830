"""FCN-8s, LcGAN's downstream segmenter.

Long, Shelhamer & Darrell, Fully Convolutional Networks for Semantic Segmentation, 2015; Karki et al., LcGAN, 2020.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from scripts.networks.recipe import remember_recipe
from scripts.networks.vgg import VGG16Trunk

SCORE_INIT_STD = 0.01


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
        in_channels: number of image channels.
        out_channels: number of logits per pixel.
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
        self.apply(_init_he)
        self.score_fc7 = nn.Conv2d(fc_width, out_channels, kernel_size=1)
        self.score_pool4 = nn.Conv2d(8 * width, out_channels, kernel_size=1)
        self.score_pool3 = nn.Conv2d(4 * width, out_channels, kernel_size=1)
        nn.init.normal_(self.score_fc7.weight, 0.0, SCORE_INIT_STD)
        nn.init.zeros_(self.score_pool4.weight)
        nn.init.zeros_(self.score_pool3.weight)
        for score in (self.score_fc7, self.score_pool4, self.score_pool3):
            if score.bias is not None:
                nn.init.zeros_(score.bias)
        self.upsample_fc7 = _bilinear_doubling(out_channels)
        self.upsample_pool4 = _bilinear_doubling(out_channels)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        rows, columns = x.shape[-2], x.shape[-1]
        pools = self.trunk(self._pad(x))
        scores = self.score_fc7(self._connect(pools[4]))  # (B, out_channels, X' / 32, Y' / 32)
        scores = self.upsample_fc7(scores) + self.score_pool4(pools[3])  # (B, out_channels, X' / 16, Y' / 16)
        scores = self.upsample_pool4(scores) + self.score_pool3(pools[2])  # (B, out_channels, X' / 8, Y' / 8)
        scores = F.interpolate(scores.float(), scale_factor=8.0, mode="bilinear")  # (B, out_channels, X', Y')
        return scores[..., :rows, :columns]  # (B, out_channels, X, Y)

    @torch.jit.export
    def encode(self, x: torch.Tensor) -> torch.Tensor:
        """Features for image-quality metrics: fc7 averaged over space, (B, fc_width)."""
        return self._connect(self.trunk(self._pad(x))[4]).mean(dim=(2, 3))

    def _connect(self, x: torch.Tensor) -> torch.Tensor:
        x = self.dropout(F.relu(self.fc6(x)))  # (B, fc_width, X' / 32, Y' / 32)
        return self.dropout(F.relu(self.fc7(x)))

    def _pad(self, x: torch.Tensor) -> torch.Tensor:
        pad_x = (self.size_multiple - x.shape[-2] % self.size_multiple) % self.size_multiple
        pad_y = (self.size_multiple - x.shape[-1] % self.size_multiple) % self.size_multiple
        return F.pad(x, [0, pad_y, 0, pad_x], mode="replicate")  # (B, in_channels, X', Y')


def _bilinear_doubling(channels: int) -> nn.ConvTranspose2d:
    """A 4x4 transposed convolution of stride 2 that interpolates each channel by itself, up to its border."""
    conv = nn.ConvTranspose2d(channels, channels, kernel_size=4, stride=2, padding=1, bias=False)
    taps = torch.tensor([0.25, 0.75, 0.75, 0.25])
    with torch.no_grad():
        conv.weight.zero_()
        conv.weight[range(channels), range(channels)] = taps[:, None] * taps  # (channels, 4, 4)
    return conv


def _init_he(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, mode="fan_in", nonlinearity="relu")
        if module.bias is not None:
            nn.init.zeros_(module.bias)
