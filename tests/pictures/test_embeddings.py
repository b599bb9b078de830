from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes

from scripts.pictures.embeddings import CLASS_COLOURS, draw_embedding


def test_classes_beyond_the_palette_take_its_colours_again(tmp_path, monkeypatch):
    used = {}
    scatter = Axes.scatter

    def note(axes, *places, **options):
        used[options["label"]] = options["color"]
        return scatter(axes, *places, **options)

    monkeypatch.setattr(Axes, "scatter", note)
    names = [f"class {n:02d}" for n in range(12)]
    rows = [{"part": "training", "class": name} for name in names]
    draw_embedding(rows, np.zeros((12, 2)), tmp_path / "a.png", title="")
    assert [used[name] for name in names] == [*CLASS_COLOURS, *CLASS_COLOURS[:4]]
    assert len(set(CLASS_COLOURS)) == 8
