"""NRRD files with several layers."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts.data.contract import DatasetError
from scripts.transforms.label_values import check_layers


@pytest.mark.parametrize(("dimension", "refused"), [(4, True), (3, False), (2, False)])
def test_layers_of_overlapping_segments_are_refused(tmp_path: Path, dimension: int, refused: bool) -> None:
    file = tmp_path / "a.seg.nrrd"
    file.write_bytes(f"NRRD0004\r\ntype: uint8\r\ndimension: {dimension}\r\n\r\ndimension: 4\n".encode())
    if refused:
        with pytest.raises(DatasetError, match=r"a\.seg\.nrrd has several layers \(channels\)"):
            check_layers(str(file))
    else:
        check_layers(str(file))


def test_other_files_are_not_read(tmp_path: Path) -> None:
    check_layers(str(tmp_path / "none.nii.gz"))
