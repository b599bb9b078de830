"""Random changes of what a discriminator sees, through which gradients flow, for training from few images.

Karras et al., Training generative adversarial networks with limited data, NeurIPS 2020, section 2 and appendix B; Zhao
et al., Differentiable augmentation for data-efficient GAN training, NeurIPS 2020.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

SYMMETRIES = 8  # of a square: turns by 90 degrees, and their mirror images
LONGEST_SHIFT = 1 / 8  # of the side
HOLE = 1 / 2  # of the side
GAIN_DEVIATION = 0.5  # of the gain's logarithm to base 2
OFFSET_DEVIATION = 0.2  # of images in [-1, 1]


@dataclass(frozen=True)
class Augmentation:
    """One draw for each image of a batch, which changes any batch of that size and those channels alike.

    It is linear but for an offset, moves whole pixels, so that one-hot masks stay one-hot, and can be differentiated
    twice. Called with a view (B, C, S, S) it returns a view of that shape.

    Attributes:
        source: (B, S * S) int64, the pixel that each pixel takes.
        seen: (B, 1, S, S) bool, False in the hole, where all channels become 0.
        gain, offset: (B, C, 1, 1) of each channel, 1 and 0 of those that are no image.
    """

    source: torch.Tensor
    seen: torch.Tensor
    gain: torch.Tensor
    offset: torch.Tensor

    def __call__(self, view: torch.Tensor) -> torch.Tensor:
        coloured = view * self.gain + self.offset  # (B, C, S, S)
        source = self.source[:, None].expand(-1, view.shape[1], -1)  # (B, C, S * S)
        return coloured.flatten(2).gather(2, source).view_as(view) * self.seen


def draw_augmentation(view: torch.Tensor, image_channels: slice, probability: float) -> Augmentation:
    """Draws five changes for each image of a view, each with the probability, from PyTorch's generator of the CPU.

    - One of the eight symmetries of the square.
    - A shift of up to an eighth of the side along each axis, mirrored at the edge.
    - A hole of half the side around any pixel (cutout).
    - The image channels alone: each times ``2 ** N(0, .5)`` (contrast), and each plus ``N(0, .2)`` (brightness).

    Each can be undone in distribution while its probability is below 1, so that a generator whose changed images are
    distributed like changed real ones makes images like the real ones (Karras et al., appendix C): the mean operators
    have no eigenvalue 0. Over the symmetries they are 1 and 1 - p; over the shifts up to m, in the basis of the cosine
    transform, ``1 - p + p sum_{|t| <= m} cos(pi k t / S) / (2 m + 1)``, positive up to p = .75 whatever S; over the
    hole, 1 - p times its chance of covering a pixel.

    Of their transforms those between pixels, which would blend labels, and filters and noise, which gained them
    nothing or harmed, are left out; cutout is both papers'. The constants are theirs.

    Args:
        view: (B, C, S, S) of images in [-1, 1] and of what conditions them, of which only shape and device count.
        image_channels: of the view, whose contrast and brightness change.
        probability: p, from 0 to 1.
    """
    count, channels, size, _ = view.shape
    chosen = (torch.rand(5, count) < probability).to(view.device)
    turn = torch.randint(SYMMETRIES, (count,)).to(view.device) * chosen[0]
    longest = round(size * LONGEST_SHIFT)
    shift = torch.randint(-longest, longest + 1, (2, count)).to(view.device) * chosen[1]
    centre = torch.randint(size, (2, count)).to(view.device)
    logarithm, offset = torch.randn(2, count, channels).to(view.device) * chosen[3:, :, None]

    # The line that each line takes, along both axes: mirrored at the edge, then from the other end.
    line = torch.arange(size, device=view.device)
    lines = (line - shift[..., None]) % (2 * size)  # (2, B, S)
    lines = torch.minimum(lines, 2 * size - 1 - lines)
    is_mirrored = torch.stack([turn % 2, turn // 2 % 2])[..., None] == 1
    rows, columns = torch.where(is_mirrored, size - 1 - lines, lines)
    source = rows[:, :, None] * size + columns[:, None, :]  # (B, S, S)
    source = torch.where((turn // 4 == 1)[:, None, None], source.mT, source)

    # The hole's lines along both axes.
    side = round(size * HOLE)
    place = line - centre[..., None] + side // 2  # (2, B, S)
    hole_rows, hole_columns = (place >= 0) & (place < side)
    hole = hole_rows[:, :, None] & hole_columns[:, None, :] & chosen[2][:, None, None]  # (B, S, S)

    is_image = torch.zeros(channels, device=view.device)
    is_image[image_channels] = 1
    gain = torch.exp2(GAIN_DEVIATION * logarithm * is_image)  # (B, C)
    offset = OFFSET_DEVIATION * offset * is_image
    return Augmentation(source.flatten(1), ~hole[:, None], gain[..., None, None], offset[..., None, None])
