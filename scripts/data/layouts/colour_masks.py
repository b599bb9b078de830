"""Pictures with masks painted in a colour per type, and a table of colours; so BHSD is often passed on."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from PIL import Image

from scripts.data.contract import Dataset, DatasetError, Item, parse_value, show_colour
from scripts.data.layouts.files import pair_images, read_rows

BACKGROUND = "background"


def read_colour_masks(source: Path, *, colours: str, modality: Any = None) -> Dataset:
    """Images in `images`, masks of the same name in `masks`: RGB or RGBA pictures without loss, such as PNG.

    The labels are the types in the order of `colours`, a CSV file with columns colour (#rrggbb, or "r,g,b" in quotes)
    and type; several colours may be one type. Black is background unless the table says otherwise, and transparency is
    ignored. Masks are not read here: `doctor` names a colour that is not in the table.

    Raises:
        DatasetError: a folder or the table is missing or malformed, an image without mask or the reverse, a mask
            that is no colour picture.
    """
    from scripts.data.layouts.contents import complete_description  # loads MONAI: not at --help

    labels, label_values = _read_colours(Path(colours).expanduser().absolute())
    items: list[Item] = []
    for image, mask in pair_images(source / "images", source / "masks").values():
        _check_mode(mask)
        items.append({"image": str(image), "label": str(mask), "class": None})
    found = complete_description(items, labels=labels, label_values=label_values, modality=modality)
    return Dataset(source, source.name, splits={"training": items}, **found)


def _read_colours(file: Path) -> tuple[list[str], dict[int, int]]:
    """Names of the labels, background first, and colour code 0xRRGGBB -> label."""
    labels, values = [BACKGROUND], dict[int, int]()
    for line, row in read_rows(file, "colour", "type"):
        code = _parse_colour(row["colour"])
        if code is None or not row["type"]:
            raise DatasetError(
                f'{file}, row {line}: colour {row["colour"]!r}, type {row["type"]!r}; expected #rrggbb or "r,g,b" '
                "(0 to 255), and a name."
            )
        if code in values:
            raise DatasetError(f"{file}, row {line}: {show_colour(code)} is listed twice. Keep one row of it.")
        if row["type"] not in labels:
            labels.append(row["type"])
        values[code] = labels.index(row["type"])
    if len(labels) == 1:
        raise DatasetError(f"{file} names no type but background. Write a row with colour and type for each colour.")
    return labels, values


def _parse_colour(text: str) -> int | None:
    numbers = re.fullmatch(r"\(?\s*(\d{1,3})\s*,\s*(\d{1,3})\s*,\s*(\d{1,3})\s*\)?", text)
    if numbers:
        red, green, blue = map(int, numbers.groups())
        return red << 16 | green << 8 | blue if max(red, green, blue) < 256 else None
    return parse_value(text) if re.fullmatch("#[0-9a-fA-F]{6}", text) else None


def _check_mode(mask: Path) -> None:
    try:
        with Image.open(mask) as picture:
            mode = picture.mode
    except OSError:
        raise DatasetError(f"{mask} is no picture that can be read. Replace it by an RGB PNG.") from None
    if mode not in ("RGB", "RGBA"):
        raise DatasetError(
            f"{mask} holds numbers (mode {mode}), expected an RGB or RGBA picture. Convert it, or prepare the folder "
            "as layout table or decathlon with --label_values."
        )
