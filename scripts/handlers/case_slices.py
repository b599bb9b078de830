"""A slice of every patient with its reference and prediction, to be drawn when good and bad cases are known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from ignite.engine import Engine, Events

from scripts.data.atomic import replacing


class CaseSlices:
    """Attached to an evaluator: writes `<folder>/<n>.npz` for each patient, of the slice with most lesion.

    A file holds `patient`, `image` (its first file), `z` (the slice, 0 of plane images), and `label` and `pred`
    (X, Y) as uint8 on the file's own grid. The elements of `engine.state.output` hold `label` and `pred`,
    (1, X, Y[, Z]); those of `engine.state.batch` hold `patient` and `image` with its metadata.

    Args:
        folder: None writes nothing.
    """

    def __init__(self, folder: str | Path | None) -> None:
        self.folder = None if folder is None else Path(folder)
        self.areas: dict[str, int] = {}  # patient -> lesion pixels of the slice that is kept

    def attach(self, engine: Engine) -> None:
        if self.folder is not None:
            engine.add_event_handler(Events.ITERATION_COMPLETED, self._add)

    def _add(self, engine: Any) -> None:
        for element, output in zip(engine.state.batch, engine.state.output, strict=True):
            arrays = [np.asarray(output[key].cpu())[0] for key in ("label", "pred")]
            label, prediction = (array if array.ndim == 3 else array[..., None] for array in arrays)  # (X, Y, Z)
            areas = (label > 0).sum(axis=(0, 1))  # (Z,)
            z, patient = int(areas.argmax()), str(element["patient"])
            if areas[z] > self.areas.get(patient, -1):
                self.areas[patient] = int(areas[z])
                self._write(patient, element, z, label[..., z], prediction[..., z])

    def _write(self, patient: str, element: Any, z: int, label: np.ndarray, prediction: np.ndarray) -> None:
        assert self.folder is not None
        with replacing(self.folder / f"{list(self.areas).index(patient):04d}.npz") as temporary:
            np.savez_compressed(
                temporary,
                patient=patient,
                image=str(getattr(element["image"], "meta", {}).get("filename_or_obj", "")),
                z=z,
                label=label.astype(np.uint8),
                pred=prediction.astype(np.uint8),
            )
