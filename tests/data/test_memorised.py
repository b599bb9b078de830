from __future__ import annotations

import json
from pathlib import Path

import pytest

from scripts.data.contract import DatasetError
from scripts.data.memorised import is_memorised
from scripts.data.training import training_items
from scripts.exports.entries import select_synthetic

FAILED = {"verdict": "failed", "reason": "copies."}


@pytest.fixture
def sets(tmp_path: Path) -> tuple[Path, Path]:
    """A real set of two patients, and a synthetic one of the first that failed its audit."""
    names = {"modality": {"0": "MR"}, "labels": {"0": "background", "1": "tumour"}}
    real = {"training": [{"image": "a.png", "label": "a_mask.png", "patient": "a"}]}
    made = {"training": [{"image": "s.png", "label": "s_mask.png", "synthetic": {"source_patient": "a"}}]}
    made |= {"trained_on": ["a"], "memorisation": FAILED}
    for folder, content in (("real", real), ("synthetic", made)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "dataset.json").write_text(json.dumps({**names, **content}))
    return tmp_path / "real", tmp_path / "synthetic"


def test_a_set_that_failed_is_trained_on_only_where_it_is_named(sets: tuple[Path, Path]) -> None:
    real, made = sets
    for allowed in (None, "another", [real]):
        with pytest.raises(
            DatasetError, match=r"synthetic repeats training images: copies.* --allow_memorised synthetic"
        ):
            training_items(real, synthetic_dir=made, allow_memorised=allowed)
    for allowed in ("synthetic", made, ["another", "synthetic"]):
        items = training_items(real, synthetic_dir=made, allow_memorised=allowed)
        assert [item.get("memorised") for item in items] == [None, "synthetic"]


def test_it_is_exported_only_where_it_is_named(sets: tuple[Path, Path]) -> None:
    with pytest.raises(DatasetError, match="repeats training images"):
        select_synthetic([str(sets[1])])
    summary = select_synthetic([str(sets[1])], allow_memorised="synthetic").summary("")
    assert summary["memorisation"] == [{"set": "synthetic", **FAILED}]


@pytest.mark.parametrize("verdict", ["passed", "cannot be audited"])
def test_other_verdicts_bar_nobody(verdict: str) -> None:
    assert not is_memorised(Path("set"), {"verdict": verdict})


def test_a_set_that_nobody_audited_is_told_of_once(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    for _ in range(2):
        assert not is_memorised(tmp_path, {})
    (record,) = caplog.records
    assert "nobody has looked whether it repeats training images" in record.message
