"""The wheel: the bundle's folder as the package `lesion_gan_augmentation`. pyproject.toml says all else.

The code of every MONAI bundle is called `scripts`, and a process can hold only one package of that name. So in the
wheel the code calls itself `lesion_gan_augmentation.scripts`, and its command `lesion-gan`.
"""

import re
import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

ROOT, NAME = Path(__file__).parent, "lesion_gan_augmentation"
NEEDS_CLONE = ("scripts/distribution/bundle.py", "scripts/distribution/checks.py")
RENAMED = {
    r"\bpython -m scripts\b": "lesion-gan",
    r"(?<![\w./])scripts(?=\.[a-z_])": f"{NAME}.scripts",
    r"\bfrom scripts import\b": f"from {NAME}.scripts import",
}


class BuildBundle(build_py):
    """Copies code, configs and weights into one package, under its own name."""

    def run(self) -> None:
        super().run()
        if self.editable_mode:
            return
        package = Path(self.build_lib) / NAME
        shutil.rmtree(package, ignore_errors=True)
        for folder in ("scripts", "configs", "models"):
            for file in (ROOT / folder).rglob("*"):
                name = str(file.relative_to(ROOT))
                if file.is_file() and "__pycache__" not in name and name not in NEEDS_CLONE:
                    self._place(file, package / name)
        self._place(ROOT / "configs" / "metadata.json", package / "metadata.json")
        self._place(Path(self.build_lib) / f"{NAME}.py", package / "__init__.py")
        (Path(self.build_lib) / f"{NAME}.py").unlink()

    def _place(self, file: Path, target: Path) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        if file.parts[-2] == "models" or file.suffix in (".pt", ".png"):  # weights name networks as in a clone
            shutil.copyfile(file, target)
            return
        text = file.read_text(encoding="utf-8")
        for pattern, name in RENAMED.items():
            text = re.sub(pattern, name, text)
        target.write_text(text, encoding="utf-8")


setup(cmdclass={"build_py": BuildBundle})
