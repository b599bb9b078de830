"""Every file whose bytes become pixels is found."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts.data.contract import DatasetError
from scripts.data.pixel_files import pixel_files


@pytest.mark.parametrize(
    ("name", "text", "others"),
    [
        ("a.mhd", "NDims = 3\nElementDataFile = b.raw\n", ["b.raw"]),
        ("a.mhd", "ElementDataFile = LIST\nb.raw\nc.raw\n", ["b.raw", "c.raw"]),
        ("a.mhd", "ElementDataFile = s%02d.raw 1 3 2\n", ["s01.raw", "s03.raw"]),
        ("a.mha", "ElementDataFile = LOCAL\n\0\0", []),
        ("a.nhdr", "NRRD0004\ndata file: b.raw.gz\n", ["b.raw.gz"]),
        ("a.nrrd", "NRRD0004\ntype: short\n\ndata file: b.raw\n", []),
        ("a.hdr", "", ["a.img", "a.mat"]),
        ("a.img.gz", "", ["a.hdr.gz"]),
        ("a.nii.gz", "", []),
    ],
)
def test_other_files_are_named_by_the_header_or_sisters(
    tmp_path: Path, name: str, text: str, others: list[str]
) -> None:
    for file, content in ((name, text), *((other, "") for other in others)):
        (tmp_path / file).write_text(content)
    (tmp_path / "unrelated.raw").touch()
    assert sorted(pixel_files(str(tmp_path / name))) == sorted(str(tmp_path / file) for file in (name, *others))


def test_a_missing_file_of_pixels_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.mhd").write_text("ElementDataFile = b.raw\n")
    with pytest.raises(DatasetError, match=r"a\.mhd names .*b\.raw, which is not there"):
        pixel_files(str(tmp_path / "a.mhd"))
