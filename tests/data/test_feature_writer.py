from __future__ import annotations

import contextlib
import errno
import json
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from scripts.data.contract import DatasetError
from scripts.data.feature_writer import FeatureWriter
from scripts.data.features import FeatureSet


class Killed(BaseException):
    """Nothing catches it, as nothing catches a kill."""


def write_all(folder, description, features, items, *, batch_size=4, settings=None):
    with FeatureWriter(folder, description, len(items), settings=settings) as writer:
        for start in range(writer.rows, len(items), batch_size):
            writer.append(features[start : start + batch_size], items[start : start + batch_size])
        return writer.finish()


def contents(folder) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in sorted(folder.iterdir())}


@pytest.fixture
def prepared(describe_features, make_features, make_rows):
    """Description, features (12, C, H, W) and items of a set."""
    items = make_rows()
    return describe_features(), make_features(len(items)), items


def test_numpy_reads_what_is_written(tmp_path, prepared):
    description, features, items = prepared
    made = write_all(tmp_path / "set", description, features, items)
    stored = np.load(tmp_path / "set" / "features.npy")
    assert stored.dtype == np.float16
    np.testing.assert_array_equal(stored, features.astype(np.float16))
    assert made.items == items
    assert sorted(contents(tmp_path / "set")) == ["features.npy", "manifest.json"]


def test_mean_and_std_are_those_of_the_stored_training_rows(tmp_path, prepared):
    description, features, items = prepared
    made = write_all(tmp_path / "set", description, features, items)
    training = features[:8].astype(np.float16).astype(np.float64).transpose(1, 0, 2, 3).reshape(3, -1)
    np.testing.assert_allclose(made.manifest["mean"], training.mean(axis=1), rtol=1e-12)
    np.testing.assert_allclose(made.manifest["std"], training.std(axis=1), rtol=1e-12)


@pytest.mark.parametrize("rows_before", [4, 8, 12])
def test_a_killed_run_goes_on_to_the_same_bytes(tmp_path, prepared, rows_before):
    description, features, items = prepared
    write_all(tmp_path / "whole", description, features, items)
    folder = tmp_path / "resumed"
    with contextlib.suppress(Killed), FeatureWriter(folder, description, len(items)) as writer:
        for start in range(0, rows_before, 4):
            writer.append(features[start : start + 4], items[start : start + 4])
        raise Killed
    assert not folder.exists()
    with FeatureWriter(folder, description, len(items)) as writer:
        assert writer.rows == rows_before
    write_all(folder, description, features, items)
    assert contents(folder) == contents(tmp_path / "whole")


@pytest.mark.parametrize("stage", ["numbers", "items"])
def test_killed_within_a_batch_that_batch_is_written_again(tmp_path, prepared, stage):
    description, features, items = prepared
    write_all(tmp_path / "whole", description, features, items)
    folder = tmp_path / "resumed"

    def die(*arguments):
        raise Killed

    with (
        contextlib.suppress(Killed),
        FeatureWriter(folder, description, len(items)) as writer,
    ):
        writer.append(features[:4], items[:4])
        stream = writer._array if stage == "numbers" else writer._items
        dying = SimpleNamespace(write=die, writelines=die, close=stream.close, flush=stream.flush)
        stream.write(b"\1" * 7)  # part of a batch has reached the disk
        setattr(writer, "_array" if stage == "numbers" else "_items", dying)
        writer.append(features[4:8], items[4:8])
    with FeatureWriter(folder, description, len(items)) as writer:
        assert writer.rows == 4
    write_all(folder, description, features, items)
    assert contents(folder) == contents(tmp_path / "whole")


def test_killed_while_it_is_moved_to_its_place(tmp_path, prepared, monkeypatch):
    description, features, items = prepared
    write_all(tmp_path / "set", description, features, items)
    other = {"seed": 1}

    def die(*arguments):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(FeatureWriter, "_publish", die)
        with pytest.raises(Killed):
            write_all(tmp_path / "set", description, features * 2, items, settings=other)
    before = contents(tmp_path / "set")
    made = write_all(tmp_path / "set", description, features * 2, items, settings=other)
    assert contents(tmp_path / "set") != before
    np.testing.assert_array_equal(made.features, (features * 2).astype(np.float16))


def test_a_whole_set_is_not_written_again(tmp_path, prepared):
    description, features, items = prepared
    write_all(tmp_path / "set", description, features, items)
    made = (tmp_path / "set" / "features.npy").stat().st_mtime_ns
    with FeatureWriter(tmp_path / "set", description, len(items)) as writer:
        assert writer.complete
        assert writer.rows == len(items)
        assert len(writer.finish()) == len(items)
    assert (tmp_path / "set" / "features.npy").stat().st_mtime_ns == made


def test_other_settings_begin_anew_and_the_old_set_stays_until_the_new_one_is_whole(tmp_path, prepared):
    description, features, items = prepared
    write_all(tmp_path / "set", description, features, items)
    before = contents(tmp_path / "set")
    with (
        contextlib.suppress(Killed),
        FeatureWriter(tmp_path / "set", description, 12, settings={"slices": "b"}) as writer,
    ):
        assert writer.rows == 0
        writer.append(features[:4] + 1, items[:4])
        raise Killed
    assert contents(tmp_path / "set") == before
    with FeatureWriter(tmp_path / "set", description, 12, settings={"slices": "c"}) as writer:
        assert writer.rows == 0  # what was begun had settings of its own
    made = write_all(tmp_path / "set", description, features + 1, items, settings={"slices": "b"})
    np.testing.assert_array_equal(made.features, (features + 1).astype(np.float16))
    assert [entry.name for entry in tmp_path.iterdir()] == ["set"]


def test_fewer_rows_than_announced(tmp_path, prepared):
    """As of a synthesis that keeps some of what it draws."""
    description, features, items = prepared
    with FeatureWriter(tmp_path / "set", description, 1000) as writer:
        writer.append(features, items)
        made = writer.finish({"drawn": 1000})
    assert made.features.shape == (12, 3, 4, 5)
    assert made.manifest["drawn"] == 1000
    with FeatureWriter(tmp_path / "set", description, 1000) as writer:
        assert (writer.complete, writer.rows) == (True, 12)


def test_tensors_of_any_floating_dtype(tmp_path, prepared):
    description, features, items = prepared
    with FeatureWriter(tmp_path / "set", description, 12) as writer:
        writer.append(torch.from_numpy(features).bfloat16().requires_grad_(), items)
        made = writer.finish()
    np.testing.assert_array_equal(made.features, torch.from_numpy(features).bfloat16().half().numpy())


def test_float32_keeps_every_bit(tmp_path, describe_features, make_features, make_rows):
    features, items = make_features(12), make_rows()
    made = write_all(tmp_path / "set", describe_features(dtype="float32"), features, items)
    np.testing.assert_array_equal(made.features, features)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (1e5, "largest value is 100000, which float16 cannot hold. Pass --feature_dtype float32"),
        (float("nan"), "largest value is nan, .* Mend or retrain the network"),
        (-0.5, "A feature is -0.5, expected at least 0"),
    ],
)
def test_numbers_that_do_not_fit_are_refused(tmp_path, prepared, value, message):
    description, features, items = prepared
    features[5, 1, 2, 3] = value
    with FeatureWriter(tmp_path / "set", description, 12) as writer:
        writer.append(features[:4], items[:4])
        with pytest.raises(DatasetError, match=message):
            writer.append(features[4:8], items[4:8])
        assert writer.rows == 4


def test_features_of_another_shape_and_rows_too_many_are_refused(tmp_path, prepared):
    description, features, items = prepared
    with FeatureWriter(tmp_path / "set", description, 3) as writer:
        with pytest.raises(DatasetError, match=r"Features are \(3, 4, 4\), expected \(3, 4, 5\)"):
            writer.append(features[:, :, :, :4], items)
        with pytest.raises(DatasetError, match="12 features of 12 items after 0 of 3 rows"):
            writer.append(features, items)


def test_synthetic_rows_belong_to_training(tmp_path, prepared, make_rows):
    description, features, _ = prepared
    with (
        FeatureWriter(tmp_path / "set", description, 12) as writer,
        pytest.raises(DatasetError, match=r"is of the split 'validation', expected .* training for synthetic"),
    ):
        writer.append(features, make_rows(synthetic={"seed": 1}))


def test_a_set_without_training_rows_is_refused(tmp_path, prepared):
    description, features, items = prepared
    with FeatureWriter(tmp_path / "set", description, 4) as writer:
        writer.append(features[8:], items[8:])
        with pytest.raises(DatasetError, match=r"None of the 4 features .* is a training one"):
            writer.finish()


def test_too_little_disk_is_said_before_anything_is_written(tmp_path, describe_features, monkeypatch):
    description = describe_features(feature_shape=(128, 120, 120))
    monkeypatch.setattr(shutil, "disk_usage", lambda place: SimpleNamespace(free=3e9))
    writer = FeatureWriter(tmp_path / "new" / "set", description, 1000)
    with pytest.raises(DatasetError, match=r"1000 features \(128, 120, 120\) need 3.7 GB, .* has 3.0 GB free"), writer:
        pass
    assert list(tmp_path.iterdir()) == []


def test_what_is_written_already_needs_no_room(tmp_path, prepared, monkeypatch):
    description, features, items = prepared
    with FeatureWriter(tmp_path / "set", description, 12) as writer:
        writer.append(features[:8], items[:8])
    monkeypatch.setattr(shutil, "disk_usage", lambda place: SimpleNamespace(free=4 * description.row_bytes))
    assert len(write_all(tmp_path / "set", description, features, items)) == 12


def test_a_full_disk_says_how_to_go_on(tmp_path, prepared):
    description, features, items = prepared

    def fill(*arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    with FeatureWriter(tmp_path / "set", description, 12) as writer:
        writer.append(features[:4], items[:4])
        writer._array = SimpleNamespace(write=fill, close=writer._array.close)
        with pytest.raises(DatasetError, match=r"the disk is full after 4 of 12 features, \S+ MiB more are needed"):
            writer.append(features[4:8], items[4:8])
    assert len(write_all(tmp_path / "set", description, features, items)) == 12


def test_a_folder_of_other_things_is_left_alone(tmp_path, prepared):
    description, features, items = prepared
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "thesis.tex").touch()
    with pytest.raises(DatasetError, match=r"holds thesis.tex, expected nothing or features"):
        write_all(tmp_path / "set", description, features, items)
    (tmp_path / "file").touch()
    with pytest.raises(DatasetError, match="Not a directory"):
        write_all(tmp_path / "file", description, features, items)


@pytest.mark.parametrize("damage", ["", "{", "other\n{}\n"])
def test_unreadable_progress_begins_anew(tmp_path, prepared, damage):
    description, features, items = prepared
    with FeatureWriter(tmp_path / "set", description, 12) as writer:
        writer.append(features[:4], items[:4])
    (tmp_path / ".set.making" / "items.jsonl").write_text(damage)
    assert FeatureWriter(tmp_path / "set", description, 12).rows == 0
    assert FeatureSet(write_all(tmp_path / "set", description, features, items).folder).items == items


def test_no_features_are_refused(tmp_path, prepared):
    with pytest.raises(DatasetError, match="number of features to write is 0, expected 1 or more"):
        FeatureWriter(tmp_path / "set", prepared[0], 0)


def test_the_manifest_is_plain_json(tmp_path, prepared):
    description, features, items = prepared
    write_all(tmp_path / "set", description, features, items)
    manifest = json.loads((tmp_path / "set" / "manifest.json").read_text())
    assert {"level": "decoder_3", "network_sha256": "a" * 64, "feature_shape": [3, 4, 5]}.items() <= manifest.items()
    assert manifest["items"][3] == items[3]
