"""Found and true boxes, or boxes and what a segmenter sees, drawn into an image."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

from scripts.data.atomic import replacing
from scripts.pictures.grids import LABEL_COLOURS

LEAST_SIDE, MOST_SIDE = 384, 1024  # of the drawn image, in pixels
LINE, DASH, GAP = 2, 6, 5
FONT_SIZE, ROW = 13, 18
ABSENT, PRESENT = LABEL_COLOURS[:2]


def write_overlay(
    picture: np.ndarray,
    file: str | Path,
    *,
    found: tuple[np.ndarray, np.ndarray, np.ndarray],
    true: tuple[np.ndarray, np.ndarray] | None,
    class_names: Sequence[str],
    least_score: float,
    title: str,
) -> Path:
    """Writes a picture with its boxes, and a caption under it that says what the lines mean.

    Found boxes have whole lines in the colour of their class and their score above them, true ones dashed white lines.
    Small pictures are enlarged by a whole factor to a long side of at least 384 pixels, huge ones shrunk to 1024.

    Args:
        picture: uint8 (Y, X) or (Y, X, 3).
        file: the PNG, replaced as a whole.
        found: boxes (n, 4), scores (n,) and classes (n,); boxes are x0, y0, x1, y1 in the picture's pixels, half-open.
        true: boxes (m, 4) and classes (m,); None where they are not known.
        class_names: of the classes 0..K-1; with more than one the boxes are named.
        least_score: that a box needed to be among `found`, for the caption.
        title: first line of the caption.
    """
    height, width = picture.shape[:2]
    side = max(height, width)
    scale = float(math.ceil(LEAST_SIDE / side)) if side < LEAST_SIDE else min(1.0, MOST_SIDE / side)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    drawn = Image.fromarray(picture).convert("RGB").resize(size, Image.Resampling.BICUBIC)
    _draw_marks(ImageDraw.Draw(drawn), found, true, scale=scale, names=class_names)
    canvas = Image.new("RGB", (max(size[0], LEAST_SIDE), size[1] + 3 * ROW), "white")
    canvas.paste(drawn, ((canvas.width - size[0]) // 2, 0))
    first = f"found with a score of {least_score:g} or more" + ("" if len(found[0]) else ": none")
    second = "true" + (": not known" if true is None else "" if len(true[0]) else ": none")
    _draw_caption(ImageDraw.Draw(canvas), size[1], title, first, second)
    file = Path(file)
    with replacing(file) as temporary:
        canvas.save(temporary, optimize=True)
    return file


def outline_lesion(picture: np.ndarray, boxes: np.ndarray, lesion: np.ndarray, *, side: int) -> np.ndarray:
    """A square picture enlarged, with dashed white boxes and the contours of a lesion in orange.

    Args:
        picture: uint8 (Y, X) or (Y, X, 3).
        boxes: (n, 4) in the picture's pixels, half-open.
        lesion: (Y, X) boolean.
        side: of what is returned, in pixels.

    Returns:
        uint8 (side, side, 3).
    """
    drawn = Image.fromarray(picture).convert("RGB").resize((side, side), Image.Resampling.BICUBIC)
    for box in boxes:
        _draw_dashed_box(ImageDraw.Draw(drawn), _edges(box, side / len(picture)))
    enlarged = Image.fromarray(lesion.astype(np.uint8) * 255).resize((side, side), Image.Resampling.BILINEAR)
    inside = np.asarray(enlarged) > 127
    marked = np.array(drawn)
    marked[inside & ~ndimage.binary_erosion(inside, iterations=LINE)] = LABEL_COLOURS[0]
    return marked


def frame_boxes(picture: np.ndarray, boxes: np.ndarray, present: np.ndarray, *, side: int) -> np.ndarray:
    """A picture (Y, X[, 3]) enlarged to (side, side, 3), its boxes (n, 4) framed by whether they show a lesion (n,)."""
    image = Image.fromarray(picture).convert("RGB").resize((side, side), Image.Resampling.BICUBIC)
    draw = ImageDraw.Draw(image)
    scale = np.tile([side / picture.shape[1], side / picture.shape[0]], 2)
    for box, shows in zip(boxes, present, strict=True):
        x0, y0, x1, y1 = np.round(box * scale).astype(int).tolist()
        draw.rectangle((x0 - 1, y0 - 1, x1, y1), outline=PRESENT if shows else ABSENT)
    return np.asarray(image)


def _draw_marks(
    draw: ImageDraw.ImageDraw,
    found: tuple[np.ndarray, np.ndarray, np.ndarray],
    true: tuple[np.ndarray, np.ndarray] | None,
    *,
    scale: float,
    names: Sequence[str],
) -> None:
    """Boxes first and texts over them, the highest score last."""
    boxes, scores, classes = found
    order = np.argsort(scores, kind="stable")
    corners = [_edges(boxes[n], scale) for n in order]
    colours = [LABEL_COLOURS[int(classes[n]) % len(LABEL_COLOURS)] for n in order]
    for (x0, y0, x1, y1), colour in zip(corners, colours, strict=True):
        draw.rectangle((x0 - 1, y0 - 1, x1 + 1, y1 + 1), outline="black")
        draw.rectangle((x0, y0, x1, y1), outline=colour, width=LINE)
    true_boxes, true_classes = true if true is not None else (boxes[:0], classes[:0])
    for box, number in zip(true_boxes, true_classes, strict=True):
        x0, _, _, y1 = edges = _edges(box, scale)
        _draw_dashed_box(draw, edges)
        if len(names) > 1:
            _draw_text(draw, (x0, y1 + 2), names[int(number)], (255, 255, 255))
    for n, (x0, y0, _, _), colour in zip(order, corners, colours, strict=True):
        name = f"{names[int(classes[n])]} " if len(names) > 1 else ""
        _draw_text(draw, (x0, y0 - FONT_SIZE - 4), f"{name}{scores[n]:.2f}", colour)


def _edges(box: np.ndarray, scale: float) -> tuple[int, int, int, int]:
    """First and last drawn pixel of a half-open box along both axes."""
    x0, y0, x1, y1 = (round(float(value) * scale) for value in box)
    return x0, y0, max(x0, x1 - 1), max(y0, y1 - 1)


def _draw_dashed_box(draw: ImageDraw.ImageDraw, edges: tuple[int, int, int, int]) -> None:
    x0, y0, x1, y1 = edges
    for line in ((x0, y0, x1, y0), (x1, y0, x1, y1), (x1, y1, x0, y1), (x0, y1, x0, y0)):
        _draw_dashes(draw, line)


def _draw_dashes(draw: ImageDraw.ImageDraw, line: tuple[int, int, int, int]) -> None:
    """White dashes with a black rim, along an axis."""
    x0, y0, x1, y1 = line
    length = max(abs(x1 - x0), abs(y1 - y0))
    step = np.sign(x1 - x0), np.sign(y1 - y0)
    for start in range(0, length + 1, DASH + GAP):
        end = min(start + DASH, length)
        ends = [(int(x0 + step[0] * at), int(y0 + step[1] * at)) for at in (start, end)]
        draw.line(ends, fill="black", width=LINE + 2)
        draw.line(ends, fill="white", width=LINE)


def _draw_text(draw: ImageDraw.ImageDraw, place: tuple[int, int], text: str, colour: tuple[int, int, int]) -> None:
    """Text with a black rim, moved inside the picture."""
    font = ImageFont.load_default(FONT_SIZE)
    width, height = (int(side) for side in draw.im.size)
    x = max(1, min(place[0], width - math.ceil(draw.textlength(text, font=font)) - 1))
    y = max(0, min(place[1], height - FONT_SIZE - 3))
    draw.text((x, y), text, fill=colour, font=font, stroke_width=2, stroke_fill="black")


def _draw_caption(draw: ImageDraw.ImageDraw, top: int, title: str, found: str, true: str) -> None:
    font = ImageFont.load_default(FONT_SIZE)
    while draw.textlength(title, font=font) > draw.im.size[0] - 8:
        title = f"\u2026{title[2:]}"
    draw.text((4, top + 1), title, fill="black", font=font)
    first, second = (top + row * ROW + ROW // 2 for row in (1, 2))
    draw.line((4, first, 36, first), fill=LABEL_COLOURS[0], width=LINE)
    _draw_dashes(draw, (4, second, 36, second))
    for middle, text in ((first, found), (second, true)):
        draw.text((42, middle - ROW // 2 + 1), text, fill="black", font=font)
