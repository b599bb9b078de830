"""Grids of slices as PNG: what was real, what was asked for, what was made."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from scripts.data.atomic import replacing
from scripts.data.contract import Dataset, DatasetError

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


def check_shown_channel(channel: int, description: Dataset) -> None:
    """Raises a DatasetError for a channel that the images of a data set have not."""
    if not 0 <= channel < description.channel_count:
        raise DatasetError(
            f"shown_channel is {channel}, expected 0..{description.channel_count - 1} "
            f"({', '.join(description.modality)}). Pass --shown_channel with one of these."
        )


def channel_picture(image: np.ndarray, modality: Sequence[str], channel: int) -> np.ndarray:
    """One of `image_pictures`: of a channel, or the one in colour."""
    pictures = image_pictures(image, modality)
    return pictures[channel if len(pictures) > 1 else 0]


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


def tile_maps(maps: np.ndarray, width: int) -> np.ndarray:
    """Maps (N, H, W) as a square of pictures with rows = y, white lines between them, about `width` pixels wide."""
    side = math.ceil(math.sqrt(len(maps)))
    scale = max(1, width // (side * (maps.shape[1] + 1)))
    height, length = (scale * maps.shape[axis] + 1 for axis in (2, 1))
    tiled = np.full((side * height - 1, side * length - 1), 255, np.uint8)
    for n, values in enumerate(maps):
        y, x = (n // side) * height, (n % side) * length
        tiled[y : y + height - 1, x : x + length - 1] = np.kron(values.T, np.ones((scale, scale), np.uint8))
    return tiled
