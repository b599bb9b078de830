"""Reading pictures (PNG, JPEG, BMP, TIFF): upright, grey or red, green and blue, numbers as stored."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from scripts.data.contract import DatasetError

PICTURES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp")
COLOURS = ("RGB", "RGBA", "RGBX", "CMYK", "YCbCr")
GREYS = ("1", "L", "I", "F", "LA", "La")
LOSSY = ("JPEG", "MPO", "WEBP")
TURNED = (5, 6, 7, 8)  # EXIF orientations whose sides are exchanged when upright


def is_picture(path: str | Path) -> bool:
    """Whether a path ends like a format in which three channels are red, green and blue."""
    return str(path).lower().endswith(PICTURES)


def read_picture(path: str, *, is_label: bool = False) -> np.ndarray:
    """The pixels of a picture, upright as its EXIF tag says: (C, X, Y), of a TIFF with several pages (C, X, Y, Z).

    Grey pictures have one channel, coloured ones (RGB, CMYK, or with a palette) three; an alpha channel is left out.
    A label map with a palette keeps the numbers that are stored, since these are the labels. Grey values of 1 to 32
    bits are as stored.

    Raises:
        DatasetError: colours of 16 bits, of a colour space without red, green and blue, pages of different size, or a
            mask that is drawn in the alpha channel.
        OSError: not readable.
    """
    with _open(path) as picture:
        pages = getattr(picture, "n_frames", 1) if picture.format == "TIFF" else 1
        planes = []
        for page in range(pages):
            if pages > 1:
                picture.seek(page)
            _check_bits(picture, path)
            size = picture.size
            picture.load()
            if picture.size != size:  # Pillow garbles uncompressed grey TIFFs that are to be turned
                raise DatasetError(f"{path} is to be turned by its orientation tag. Save it upright, or as PNG.")
            planes.append(_to_array(ImageOps.exif_transpose(picture), path, is_label=is_label))
    sizes = {plane.shape for plane in planes}
    if len(sizes) > 1:
        raise DatasetError(f"{path} has {pages} pages of different size or colours. Keep the page that is the image.")
    return planes[0] if pages == 1 else np.stack(planes, axis=-1)


def read_size(path: str) -> tuple[int, int]:
    """Pixels (X, Y) of a picture when it stands upright; only the header is read."""
    with _open(path) as picture:
        tags = picture.tag_v2 if picture.format == "TIFF" else {}  # its own size may be upright already
        x, y = tags.get(256, picture.width), tags.get(257, picture.height)
        return (y, x) if picture.getexif().get(ExifTags.Base.Orientation) in TURNED else (x, y)


def is_lossy(path: str) -> bool:
    """Whether a picture's compression has changed its pixels, whatever the file is called."""
    with _open(path) as picture:
        return picture.format in LOSSY or "jpeg" in str(picture.info.get("compression", "")).lower()


def _open(path: str) -> Any:
    try:
        return Image.open(path)
    except UnidentifiedImageError:
        raise DatasetError(
            f"Cannot read {path}: no picture of a known type. Replace the file or remove its item."
        ) from None


def _check_bits(picture: Any, path: str) -> None:
    """Raises DatasetError for colours of more than 8 bits, of which Pillow would drop the lower ones unasked."""
    bits = max(picture.tag_v2.get(258, (8,))) if picture.format == "TIFF" else 8
    if picture.format == "PNG":
        with open(path, "rb") as stream:
            bits = stream.read(25)[24]  # of the header chunk, which comes first
    if bits > 8 and picture.mode in (*COLOURS, "LA"):
        raise DatasetError(
            f"{path} has colours of {bits} bits, expected 8. Save it with 8 bits per colour, or as grey."
        )


def _to_array(picture: Any, path: str, *, is_label: bool) -> np.ndarray:
    """The pixels (C, X, Y) of one upright page."""
    if is_label:
        _check_alpha(picture, path)
    if picture.mode in ("P", "PA") and not is_label:
        picture = picture.convert("RGB")
        channels = np.asarray(picture)
        if (channels == channels[..., :1]).all():
            picture = picture.getchannel(0)
    elif picture.mode in ("LA", "La", "PA"):
        picture = picture.getchannel(0)
    elif picture.mode in COLOURS:
        picture = picture.convert("RGB")
    elif picture.mode != "P" and picture.mode not in GREYS and not picture.mode.startswith("I;16"):
        raise DatasetError(f"{path} has the colour space {picture.mode}, expected grey or RGB. Save it as RGB.")
    array = np.asarray(picture)  # (Y, X[, C])
    return array.T if array.ndim == 3 else array.T[None]  # (C, X, Y)


def _check_alpha(picture: Any, path: str) -> None:
    """Raises DatasetError for a mask without any shape in its colours, but with one in its alpha channel."""
    if picture.mode not in ("RGBA", "LA"):
        return
    *colours, (low, high) = picture.getextrema()
    if low < high and all(darkest == brightest for darkest, brightest in colours):
        raise DatasetError(f"{path}: the mask is drawn in the transparency of one colour. Save it as black and white.")
