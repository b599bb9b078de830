"""Imports point down: no module imports one of a higher layer."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

SCRIPTS = Path(__file__).parents[1] / "scripts"
LAYERS = (
    ("transforms", "data", "networks", "losses", "metrics", "scores", "pictures"),
    ("inferers", "handlers"),
    ("engines",),
    ("report", "experiments", "exports", "distribution"),
)
RULE = " <- ".join(", ".join(layer) for layer in LAYERS)
LAYER_OF_PACKAGE = {package: layer for layer, packages in enumerate(LAYERS) for package in packages}
Imports = dict[str, list[tuple[int, str]]]  # module -> line and full name of what it imports


def find_climbing(scripts: Path) -> list[str]:
    """Every import of a higher layer, with its file, its line and the rule."""
    files = {_module(file, scripts): file for file in sorted(scripts.rglob("*.py"))}
    imports: Imports = {module: list(_read_imports(file, module)) for module, file in files.items()}
    layers = _find_layers(imports)
    climbing = []
    for module, found in imports.items():
        for line, name in found:
            if layers.get(_target(name, imports), 0) > layers[module]:
                file = files[module].relative_to(scripts.parent)
                climbing.append(f"{file}:{line} imports {name}, against {RULE}")
    return climbing


def _module(file: Path, scripts: Path) -> str:
    parts = file.relative_to(scripts.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _read_imports(file: Path, module: str) -> Iterator[tuple[int, str]]:
    """Line and full name of every import, also of those inside functions."""
    package = module if file.name == "__init__.py" else module.rpartition(".")[0]
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parts = package.split(".")
            parents = parts[: len(parts) - node.level + 1] if node.level else []
            source = ".".join([*parents, *filter(None, [node.module])])
            yield from ((node.lineno, f"{source}.{alias.name}") for alias in node.names)


def _target(name: str, imports: Imports) -> str:
    """The module that an import reads: `scripts.data.boxes.Boxes` reads `scripts.data.boxes`; "" for a library."""
    while name and name not in imports:
        name = name.rpartition(".")[0]
    return name


def _find_layers(imports: Imports) -> dict[str, int]:
    """A package's layer; a module beside the packages is as low as what it imports lets it be."""
    packages = {module: module.split(".")[1] if "." in module else "" for module in imports}
    layers = {module: LAYER_OF_PACKAGE.get(package, 0) for module, package in packages.items()}
    beside = [module for module, package in packages.items() if package not in LAYER_OF_PACKAGE]
    for _ in beside:  # they import each other: the longest chain is as long as their number
        for module in beside:
            layers[module] = max(
                [layers[module], *(layers.get(_target(name, imports), 0) for _, name in imports[module])]
            )
    return layers


def test_every_package_has_a_layer() -> None:
    assert {file.parent.name for file in SCRIPTS.glob("*/__init__.py")} == set(LAYER_OF_PACKAGE)


def test_no_import_climbs() -> None:
    climbing = find_climbing(SCRIPTS)
    assert not climbing, "\n".join(["", *climbing])


def test_a_climbing_import_is_named(tmp_path: Path) -> None:
    sources = {
        "data/low.py": "import scripts.losses.low\ndef f():\n    from ..handlers import high\n",
        "losses/low.py": "from scripts.data import low\nfrom scripts.console import tell\n",
        "handlers/high.py": "from scripts.data.low import f\nfrom scripts.engines.step import Step\n",
        "engines/step.py": "from scripts.handlers import high\n",
        "console.py": "from scripts.opener import start\n",
        "opener.py": "import scripts.engines.step\n",
    }
    for name, source in sources.items():
        file = tmp_path / "scripts" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        (file.parent / "__init__.py").touch()
        file.write_text(source, encoding="utf-8")
    assert find_climbing(tmp_path / "scripts") == [
        f"scripts/data/low.py:3 imports scripts.handlers.high, against {RULE}",
        f"scripts/handlers/high.py:2 imports scripts.engines.step.Step, against {RULE}",
        f"scripts/losses/low.py:2 imports scripts.console.tell, against {RULE}",
    ]
