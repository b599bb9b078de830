"""Stands in for `python` and `torchrun` in the documentation's commands, with tiny sizes in the bundle's configs.

`python smoke_python.py KIND WORDS...`, KIND being "python" or "torchrun": replaces itself by the real command.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

BUNDLE = ["-m", "monai.bundle"]
SIZES = "sizes.json"
SHIPPED = "configs/redgan_inference.json"  # without an own generator with that of models/, which has a size


def adapt(words: list[str]) -> list[str]:
    """The words of a command, with sizes.json behind the configs of a bundle's."""
    bundled = any(words[n : n + len(BUNDLE)] == BUNDLE for n in range(len(words)))
    if not bundled or "--config_file" not in words or (words[-1] == SHIPPED and not Path("runs/redgan").exists()):
        return words
    place = words.index("--config_file") + 1
    files = words[place].strip("[]").replace("'", "").replace('"', "").split(",")
    return [*words[:place], str([*files, SIZES]), *words[place + 1 :]]


if __name__ == "__main__":
    kind, *words = sys.argv[1:]
    launcher = ["-m", "torch.distributed.run", "--standalone"] if kind == "torchrun" else []
    os.execv(sys.executable, [sys.executable, *launcher, *adapt(words)])
