"""What all tests share."""

from __future__ import annotations

import os
from pathlib import Path

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
