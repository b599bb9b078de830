"""The visual Turing test: a page on which readers tell real from synthetic images, and the key to score it with.

`python -m scripts turing make` writes both, `python -m scripts turing score` scores what the readers send back.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from scripts.data.atomic import write_whole
from scripts.data.claims import claimed
from scripts.data.contract import Dataset, DatasetError, Item, image_files, read_dataset, source_patient, write_json
from scripts.data.splits import check_synthetic_sources, check_trained_on, select_items
from scripts.report.html_files import template
from scripts.report.turing_images import Candidate, check_channel, choose_candidates, draw_candidates
from scripts.report.turing_scores import SYNTHETIC, score_readers


class Turing:
    """Visual Turing test: `make` writes the page for the readers and its key, `score` scores their answers."""

    @staticmethod
    def make(
        real_dir: str,
        synthetic_dir: str,
        *,
        split: str = "test",
        fold: int | None = None,
        per_class: int = 25,
        image_size_pixels: int = 256,
        seed: int = 0,
        channel: int | None = None,
        show_boxes: bool = False,
        show_masks: bool = False,
        output: str = "turing.html",
    ) -> None:
        """Writes one HTML page with as many real as synthetic images per class, and beside it the key with the truth.

        Give readers the page alone. It needs no network and does not hold the truth: real and synthetic images went
        through the same resampling and 8 bits and are stored uncompressed, in random order. The truth stands in
        `<page>_key.json` (`turing_key.json`), which `score` needs: keep it away from the readers.

        Shown are slices with lesion; of a volume the one with most of it. Images come from as many patients as
        there are. Where one side has fewer images of a class than asked for, both show that many.

        Args:
            real_dir: folder of the real data set.
            synthetic_dir: folder of a synthetic set that was made from it.
            split: test or validation; real images that the generator learned from would be no fair comparison.
            fold: of the cross-validation; by default the lists of dataset.json.
            per_class: real images, and synthetic ones, per class; data without classes are one class.
            image_size_pixels: side of the images; no larger than the synthetic ones, to which real ones are shrunk.
            seed: of the choice of images and their order.
            channel: which one is shown, from 0; the first by default. Colour images are shown whole.
            show_boxes: draw the boxes, or those around the lesions of the label.
            show_masks: outline the lesions of the label.
            output: the page.

        Raises:
            DatasetError: sets that do not belong together, a generator that knows the patients shown, no images.
        """
        real, synthetic = read_dataset(str(real_dir)), read_dataset(str(synthetic_dir))
        _check_options(split, per_class, image_size_pixels, seed)
        channel = check_channel(real, channel)
        items = _select_pair(real, synthetic, split, fold)
        candidates, notes = choose_candidates(real, synthetic, items, per_class=per_class, seed=seed)
        size = min(image_size_pixels, *(c.view.side for c in candidates if c.truth == SYNTHETIC))
        pictures = draw_candidates(
            candidates, real.modality, size, channel=channel, boxes=bool(show_boxes), masks=bool(show_masks)
        )
        shown = _order(candidates, seed)
        page = write_turing_page(
            Path(str(output)),
            [(candidates[n], pictures[n]) for n in shown],
            real.name,
            "" if channel is None or real.channel_count == 1 else real.modality[channel],
            made={"split": split, "fold": fold, "seed": seed, "synthetic": synthetic.name},
        )
        print("\n".join([*notes, *_describe(page, candidates, size)]))

    score = staticmethod(score_readers)


def _check_options(split: str, per_class: int, image_size: int, seed: int) -> None:
    if split not in ("test", "validation"):
        raise DatasetError(f"split is {split!r}, expected test or validation: the generator learned from the others.")
    limits = (("per_class", per_class, 1), ("image_size_pixels", image_size, 8), ("seed", seed, 0))
    for name, value, least in limits:
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise DatasetError(f"{name} is {value!r}, expected a whole number from {least}.")


def _select_pair(real: Dataset, synthetic: Dataset, split: str, fold: int | None) -> tuple[list[Item], list[Item]]:
    """Real items of the split and synthetic ones, once it is known that the sets belong together and leak nothing."""
    for key, ours, theirs in (
        ("channels", real.modality, synthetic.modality),
        ("classes", real.classes, synthetic.classes),
    ):
        if ours != theirs:
            raise DatasetError(
                f"{synthetic.root} has the {key} {theirs}, {real.root} has {ours}. Name a set that was made from it."
            )
    items = select_items(real, split, fold, labelled=False)
    check_synthetic_sources(synthetic.items, real, fold)
    check_trained_on(synthetic.trained_on, synthetic.root, real, fold)
    return items, synthetic.items


def _order(candidates: Sequence[Candidate], seed: int) -> np.ndarray:
    """A random order from the seed and from what readers lack: the slices before they became pictures.

    From the seed alone anyone with this code could tell which image is which.
    """
    digest = hashlib.sha256()
    for candidate in candidates:
        digest.update(np.ascontiguousarray(np.asarray(candidate.view.image, dtype=np.float32)).tobytes())
    drawn = np.random.default_rng([seed, *np.frombuffer(digest.digest(), dtype=np.uint32).tolist()])
    return drawn.permutation(len(candidates))


def encode_picture(picture: np.ndarray) -> str:
    """A picture as an uncompressed PNG in base64: pictures of one size take the same number of bytes."""
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, "PNG", compress_level=0)
    return base64.b64encode(stream.getvalue()).decode("ascii")


def write_turing_page(
    target: Path, images: Sequence[tuple[Candidate, np.ndarray]], title: str, channel: str, made: dict[str, Any]
) -> Path:
    """Writes the page with the images in the order given, and the key `<page>_key.json` beside it."""
    shown = [
        {"id": f"i{n:03d}", "class": candidate.class_name, "png": encode_picture(picture)}
        for n, (candidate, picture) in enumerate(images, start=1)
    ]
    page = "t" + hashlib.sha256(json.dumps(shown).encode()).hexdigest()[:12]
    truth = {
        entry["id"]: {
            "truth": candidate.truth,
            "class": candidate.class_name,
            "patient": source_patient(candidate.item),
            "file": Path(image_files(candidate.item)[0]).name,
        }
        for entry, (candidate, _) in zip(shown, images, strict=True)
    }
    html = template("turing.html.j2").render(
        content={"page": page, "images": shown},
        title=title,
        channel=channel,
        total=len(shown),
        classes=len({candidate.class_name for candidate, _ in images}),
    )
    with claimed(target):  # a page and its key belong together
        write_json(key_file(target), {"page": page, "data": title, **made, "images": truth})
        write_whole(target, html)
    return target


def key_file(page: Path) -> Path:
    """Where the truth about a page stands."""
    return page.with_name(f"{page.stem}_key.json")


def _describe(page: Path, candidates: Sequence[Candidate], size: int) -> list[str]:
    counts = Counter(candidate.class_name for candidate in candidates)
    by_class = ", ".join(f"{name} {count // 2} + {count // 2}" for name, count in counts.items() if name)
    return [
        f"Wrote {page}: {len(candidates)} images of {size} x {size} pixels, half of them synthetic"
        f"{f' ({by_class})' if by_class else ''}; {page.stat().st_size / 1e6:.1f} MB.",
        f"The truth is in {key_file(page)}: keep it from the readers.",
        f"Score their files with: python -m scripts turing score {key_file(page)} turing_NAME.csv ...",
    ]
