"""How much of what a discriminator sees is changed, by how far it overfits (Karras et al., NeurIPS 2020, section 3)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import ignite.distributed as idist
import torch

from scripts.transforms.differentiable import draw_augmentation

HIGHEST_PROBABILITY = 0.75  # up to it `draw_augmentation` does not leak; .8 in section 2.2, for shifts between pixels
PASSES = 20  # over the training images, in which a discriminator that knows them all drives p from 0 to 1


@dataclass(eq=False)
class AdaptiveAugmentation:
    """The probability p of each change of `draw_augmentation`, driven so that the discriminator does not overfit.

    A discriminator that has learned the few training images by heart tells them all from generated ones. So p follows
    ``r = E[sign(D(real) - b)]`` (r_t of section 3): after n images it has changed by ``(r - target) / (1 - target) *
    n / (20 N)``, N training images, within [0, .75]. The boundary b between real and generated is 0 for logits. A
    Wasserstein critic's scores have no zero: there it is the midpoint between the batch's mean real and mean generated
    score, so that r is again 0 where the critic cannot tell them and 1 where it always can. Their other measure, r_v,
    suits critics too, but takes held-out scores, which few-image data sets can least spare in each training.

    Deviations: p follows r - target in place of its sign every four minibatches, which at r = target is at rest
    whatever the size of a minibatch; and its pace is in passes over the training images, not 500 thousand images, which
    are 7 passes of their largest set and 250 of their smallest. Real and generated images of a pair share one
    augmentation, and those of the discriminator's update serve the generator's: losses that compare a pair, such as
    feature matching, need that, and the marginal distributions, on which leaking depends, are the same.

    Attributes:
        target: of r, from 0 to below 1; .6 as published, 0 for none, which draws nothing.
        training_images: N, those of one pass.
        probability: p, 0 at first; part of a training's state.

    Raises:
        ValueError: a target out of range.
    """

    target: float = 0.0
    training_images: int = 1
    probability: float = field(default=0.0, init=False)

    def __post_init__(self) -> None:
        if not 0 <= self.target < 1:
            raise ValueError(
                f"adaptive_augmentation is {self.target}, expected a number from 0 (none) to below 1, such as 0.6."
            )

    def draw(self, view: torch.Tensor, image_channels: slice) -> Callable[[torch.Tensor], torch.Tensor]:
        """What changes views of this shape, (B, C, S, S), in this iteration: see `draw_augmentation`."""
        if not self.probability:
            return _unchanged
        return draw_augmentation(view, image_channels, self.probability)

    def adjust(self, real_scores: torch.Tensor, boundary: torch.Tensor | float = 0.0) -> dict[str, float]:
        """Follows the scores, of any shape (B, ...), of a batch's augmented real images.

        Returns:
            r over all ranks and the new p, for the curves; nothing without augmentation.
        """
        if not self.target:
            return {}
        ranks = idist.get_world_size()
        sign = float(idist.all_reduce((real_scores.detach() - boundary).sign().float().mean().item())) / ranks
        images = len(real_scores) * ranks
        pace = (sign - self.target) / (1 - self.target) / (PASSES * self.training_images)
        self.probability = min(HIGHEST_PROBABILITY, max(0.0, self.probability + images * pace))
        return {"discriminator_sign": sign, "augmentation_probability": self.probability}

    def state_dict(self) -> dict[str, Any]:
        return {"probability": self.probability}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.probability = state["probability"]


def _unchanged(view: torch.Tensor) -> torch.Tensor:
    return view
