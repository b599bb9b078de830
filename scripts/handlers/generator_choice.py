"""The early choice of a generator: of its moving averages the one whose images are most like held-out ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from ignite.engine import Engine, Events
from torch import nn
from torch.optim.swa_utils import update_bn
from torch.utils.data import default_collate

from scripts.data.slices import SliceDataset
from scripts.handlers.curves import add_row
from scripts.handlers.export import KeepBest
from scripts.metrics.sliced_wasserstein import sliced_wasserstein
from scripts.networks.knowledge import Knowledge, write_weights
from scripts.networks.wrapping import unwrap

HELD_OUT_IMAGES = 64  # judged by, at most, evenly spread over the slices
STATISTICS_IMAGES = 128  # whose batch statistics are taken, at most, evenly spread over the slices
CHUNK = 16  # images made at a time
FILE = "held_out.csv"
Batch = dict[str, Any]


class Remaker(Protocol):
    """A step that says how its generator makes images, see `RedGANStep.remake`."""

    def remake(
        self, generator: Any, batch: Batch, seeds: Sequence[int], device: torch.device
    ) -> tuple[torch.Tensor, torch.Tensor]: ...


class KeepBestGenerator(KeepBest):
    """Attached to a trainer: keeps the generator whose images are nearest to held-out ones, not the last one.

    A generator trained on few images gets worse once its discriminator knows them by heart (Karras et al., Training
    generative adversarial networks with limited data, 2020, figure 1). So four times while the epochs double, and at
    the end, images are made under the conditions of at most 64 held-out slices, always with the same noise, and their
    `sliced_wasserstein` distance from those slices decides; `held_out.csv` has it. What the end adds is kept apart: a
    training that is made longer forgets it, and ends as if it had been longer from the start.

    An average of weights has batch statistics of its own. Before each round those of batch norm are computed anew, as
    means over batches of at most 128 training slices (Izmailov et al., Averaging weights leads to wider optima and
    better generalization, 2018, section 3.2). Put this before handlers that make pictures with the network.

    Nothing is drawn from the training's random states. Under DDP every rank does the same, and rank 0 writes.

    Args:
        network: the generator's moving average.
        file: its `generator.pt`.
        knowledge: written beside the weights, see `describe_weights`; `validated_on` names the held-out patients.
        step: how images are made.
        training: slices whose conditions serve the statistics.
        held_out: slices judged by; with None the last weights are kept.
        folder: for `held_out.csv`.
        interval: epochs between rounds, at least. A training that ends before its first one keeps its last weights.
        first_epoch: the first in which the network makes full images.
    """

    def __init__(
        self,
        network: nn.Module,
        file: str | Path,
        knowledge: Knowledge,
        *,
        step: Remaker,
        training: SliceDataset,
        held_out: SliceDataset | None,
        folder: str | Path,
        interval: int = 1,
        first_epoch: int = 1,
    ) -> None:
        super().__init__(network, file, "held_out_likeness", knowledge)
        self.step = step
        self.training = training
        self.held_out = held_out
        self.scores = Path(folder) / FILE
        self.interval = interval
        self.first_epoch = first_epoch
        self.last: dict[str, torch.Tensor] = {}  # the last weights, where they are better than those of all rounds

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(Events.EPOCH_COMPLETED, self.judge)

    def judge(self, engine: Any) -> None:
        """One round, in the epochs that have one and in the last."""
        writes = not getattr(engine.state, "rank", 0)
        if self.last:  # the training has been made longer
            self.last = {}
            if writes:
                self._write()
        has_round = self._has_round(engine.state.epoch)
        if not has_round and engine.state.epoch != engine.state.max_epochs:
            return
        remaking = _Remaking(self.step, unwrap(self.network), engine.state.device)
        if len(self.training) > 1:  # batch norm takes no single pixel of one image
            update_bn(_batches(self.training, STATISTICS_IMAGES), remaking)
        if self.held_out is None or (self.best is None and not has_round):
            self.keep(engine)
            return
        distance = measure(remaking, self.held_out)
        if writes:
            add_row(self.scores, {"epoch": engine.state.epoch, "sliced_wasserstein": distance})
        engine.state.metrics[self.metric] = -distance
        if has_round:
            self(engine)
        elif self.best is not None and -distance > self.best:
            self.last = self._copy_weights()
            if writes:
                self._write()

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "last": self.last}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.last = state["last"]
        super().load_state_dict(state)

    def _write(self) -> None:
        write_weights(self.file, self.network, self.knowledge, self.last or self.weights)

    def _has_round(self, epoch: int) -> bool:
        number, rest = divmod(epoch - self.first_epoch + 1, self.interval)
        return number > 0 and rest == 0 and number % 2 ** max(0, number.bit_length() - 3) == 0


class _Remaking(nn.Module):
    """A generator that is called with batches, for `update_bn`."""

    def __init__(self, step: Remaker, generator: nn.Module, device: torch.device) -> None:
        super().__init__()
        self.step, self.generator, self.device = step, generator, device

    def forward(self, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        return self.step.remake(self.generator, batch, batch["seeds"], self.device)


@torch.no_grad()
def measure(remaking: nn.Module, slices: SliceDataset) -> float:
    """Distance of remade slices from the slices themselves, at most 64 of them; the generator in evaluation mode."""
    remaking.eval()
    pairs = [remaking(batch) for batch in _batches(slices, HELD_OUT_IMAGES)]
    real, made = (torch.cat(images) for images in zip(*pairs, strict=True))
    return sliced_wasserstein(real, made)


def _batches(slices: SliceDataset, most: int) -> Iterator[Batch]:
    """Batches of at most 16 of evenly spread slices, of sizes as equal as can be, each slice with a seed of its own."""
    places = np.unique(np.linspace(0, len(slices) - 1, min(most, len(slices))).astype(int))
    for part in np.array_split(places, -(-len(places) // CHUNK)):
        yield {**default_collate([slices[place] for place in part.tolist()]), "seeds": part.tolist()}
