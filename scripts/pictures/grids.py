"""Grids of slices as PNG: what was real, what was asked for, what was made."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from scripts.data.atomic import replacing

# Okabe and Ito's palette, told apart by colour-blind readers too; label n takes colour n-1.
LABEL_COLOURS = ((230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66), (213, 94, 0), (204, 121, 167))
RGB_NAMES = ("red", "green", "blue")


def write_grid(
    columns: Sequence[Sequence[np.ndarray]],
    file: str | Path,
    *,
    row_titles: Sequence[str],
    column_titles: Sequence[str] = (),
    cell_size: int = 96,
) -> Path:
    """Writes a grid of uint8 pictures (Y, X) or (Y, X, 3), columns side by side, with titles at the left and top."""
    left, top = 8 * max(map(len, row_titles), default=0) + 12, 18 if column_titles else 0
    height = max(map(len, columns))
    canvas = Image.new("RGB", (left + len(columns) * (cell_size + 2), top + height * (cell_size + 2)), "white")
    draw = ImageDraw.Draw(canvas)
    for x, column in enumerate(columns):
        if column_titles:
            draw.text((left + x * (cell_size + 2) + 2, 3), str(column_titles[x])[: cell_size // 6], fill="black")
        for y, cell in enumerate(column):
            picture = Image.fromarray(cell).convert("RGB").resize((cell_size, cell_size), Image.Resampling.BILINEAR)
            canvas.paste(picture, (left + x * (cell_size + 2), top + y * (cell_size + 2)))
    for y, title in enumerate(row_titles):
        draw.text((4, top + y * (cell_size + 2) + cell_size // 2 - 6), title, fill="black")
    file = Path(file)
    with replacing(file) as temporary:
        canvas.save(temporary, optimize=True)
    return file


def image_pictures(image: np.ndarray, modality: Sequence[str]) -> list[np.ndarray]:
    """An image (C, X, Y) in [-1, 1] as pictures with rows = y: one in colour for RGB, else one per channel."""
    scaled = ((np.clip(image, -1, 1) + 1) * 127.5).round().astype(np.uint8)
    if tuple(name.lower() for name in modality) == RGB_NAMES:
        return [scaled.transpose(2, 1, 0)]
    return [channel.T for channel in scaled]


def label_picture(label: np.ndarray, foreground_count: int) -> np.ndarray:
    """A label map (X, Y) as a colour picture with rows = y; the outline class is grey."""
    picture = np.zeros((*label.T.shape, 3), np.uint8)
    for value in range(1, int(label.max()) + 1):
        colour = LABEL_COLOURS[(value - 1) % len(LABEL_COLOURS)] if value <= foreground_count else (70, 70, 70)
        picture[value == label.T] = colour
    return picture


def picture_titles(modality: Sequence[str], prefix: str) -> list[str]:
    """Row titles that go with `image_pictures`."""
    if tuple(name.lower() for name in modality) == RGB_NAMES:
        return [prefix]
    return [f"{prefix} {name}" for name in modality]
