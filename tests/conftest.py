"""What all tests share."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real images: $REAL_DATA_DIR, or shared/data beside the repository; the test skips without it."""
    folder = Path(os.environ.get("REAL_DATA_DIR") or Path(__file__).parents[2] / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(
            f"no real data: {folder} does not exist; set REAL_DATA_DIR to the folder that holds lgg_mri, wbc ..."
        )
    return folder


@pytest.fixture
def write_series() -> Callable[..., list[Path]]:
    """A function that writes a DICOM series without any DICOM library: explicit little endian, one file per slice.

    Its arguments: folder, stored numbers (Z, Y, X) int16, then by name: `tags` ("ggggeeee": (type, text)) to add or
    replace, None to leave out; `order`, the number in the file's name of each slice; `uid` of the series. Slice z
    lies 5 mm above slice z - 1; rows run to the patient's left, columns to the back; pixels are 0.5 mm.
    """

    def element(tag: str, kind: str, value: bytes) -> bytes:
        head = struct.pack("<HH", int(tag[:4], 16), int(tag[4:], 16)) + kind.encode()
        value += b" " * (len(value) % 2) if kind in ("CS", "DS", "LO") else b"\0" * (len(value) % 2)
        return head + struct.pack("<xxI" if kind in ("OB", "OW") else "<H", len(value)) + value

    def write(
        folder: Path,
        stored: np.ndarray,
        *,
        tags: Mapping[str, tuple[str, str] | None] | None = None,
        order: Sequence[int] | None = None,
        uid: str = "1.2.3",
    ) -> list[Path]:
        folder.mkdir(parents=True, exist_ok=True)
        files = []
        for z, plane in enumerate(stored):
            texts: dict[str, tuple[str, str] | None] = {
                "00080016": ("UI", "1.2.840.10008.5.1.4.1.1.2"),
                "00080018": ("UI", f"{uid}.{z}"),
                "00080021": ("DA", "20200101"),
                "00080060": ("CS", "CT"),
                "0020000d": ("UI", "1.2"),
                "0020000e": ("UI", uid),
                "00200032": ("DS", f"0\\0\\{5 * z}"),
                "00200037": ("DS", "1\\0\\0\\0\\1\\0"),
                "00280004": ("CS", "MONOCHROME2"),
                "00280030": ("DS", "0.5\\0.5"),
                "00281052": ("DS", "-1024"),
                "00281053": ("DS", "2"),
                **(tags or {}),
            }
            numbers = {"00280002": 1, "00280010": plane.shape[0], "00280011": plane.shape[1], "00280100": 16}
            numbers |= {"00280101": 16, "00280102": 15, "00280103": 1}
            elements = {tag: element(tag, *(given[0], given[1].encode())) for tag, given in texts.items() if given}
            elements |= {tag: element(tag, "US", struct.pack("<H", number)) for tag, number in numbers.items()}
            elements["7fe00010"] = element("7fe00010", "OW", plane.astype("<i2").tobytes())
            syntax = element("00020010", "UI", b"1.2.840.10008.1.2.1")
            meta = element("00020000", "UL", struct.pack("<I", len(syntax))) + syntax
            files.append(folder / f"{z if order is None else order[z]:03d}.dcm")
            files[-1].write_bytes(bytes(128) + b"DICM" + meta + b"".join(elements[tag] for tag in sorted(elements)))
        return files

    return write


@pytest.fixture
def write_features() -> Callable[..., Path]:
    """A function that writes a feature set of the classes HGG and LGG, whose even channels differ in mean.

    Its arguments: folder, rows as {split: "HHHLLL..."}, every three of which are a patient's, the first "tr0" in the
    training split; then by name: `synthetic`, and keys of `FeatureDescription` to replace.
    """

    def write(folder: Path, rows: Mapping[str, str], *, synthetic: bool = False, **replaced: object) -> Path:
        from scripts.data.feature_format import FeatureDescription
        from scripts.data.feature_writer import FeatureWriter

        content = {"level": "bottleneck", "feature_shape": (4, 3, 3), "network_sha256": "a" * 64, "dataset": "phantom"}
        content |= {"network_file": "model.pt", "trained_on": ["tr0"], "classes": ["HGG", "LGG"], "dtype": "float32"}
        content |= {"image_size": 48, "image_channels": ["FLAIR"], **replaced}
        description = FeatureDescription(**content)  # type: ignore[arg-type]
        rng = np.random.default_rng(len(rows) + synthetic)
        with FeatureWriter(folder, description, sum(map(len, rows.values()))) as writer:
            for split, letters in rows.items():
                for n, letter in enumerate(letters):
                    shift = np.zeros(description.feature_shape)
                    shift[::2] = 1 if letter == "H" else -1
                    item = {
                        "source": f"{folder.name}_{split}{n}",
                        "patient": None if synthetic else f"{split[:2]}{n // 3}",
                        "class": {"H": "HGG", "L": "LGG"}[letter],
                        "split": split,
                        "synthetic": {"system": "feature_acgan"} if synthetic else None,
                    }
                    writer.append((rng.normal(size=shift.shape) + shift)[None], [item])
            writer.finish()
        return folder

    return write
