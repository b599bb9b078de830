"""Options that a bundle's config does not have, found before a run does any work.

An override is a key of the config like any other once MONAI has parsed it. What tells a misspelt one is that nothing
refers to it, or that the component it was given to takes no such argument; the bundle's own configs have no such keys.
"""

from __future__ import annotations

import inspect
import pydoc
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from monai.bundle import ComponentLocator, ConfigComponent, ConfigExpression, ConfigParser, ReferenceResolver
from monai.bundle.utils import DEFAULT_MLFLOW_SETTINGS

from scripts.config_files import FOLDER, check_value, own_configs
from scripts.nearest_name import OptionError, suggest
from scripts.option_kinds import KINDS, is_expression
from scripts.running_config import running_call

# What MONAI itself reads: the lists it runs, the metadata, what MONAI Label shows, and the settings of --tracking.
RUNNER_KEYS = {"imports", "initialize", "run", "finalize", ConfigParser.meta_key, "displayable_configs"}
TRACKING: dict[str, Any] = DEFAULT_MLFLOW_SETTINGS
TRACKING_KEYS = set(TRACKING["configs"])


def check_options(parser: ConfigParser, ids: set[str] | None = None) -> None:
    """Refuses a config with options that its run would ignore or could not take.

    Args:
        parser: the config with its overrides, as it is about to run.
        ids: the ids that are run, beside MONAI's own.

    Raises:
        OptionError: an option that nothing uses, an argument that a component does not take, or a value of another
            kind or range than the option takes (`option_kinds.KINDS`).
    """
    config, call = parser.get(), running_call()
    base_name, base = find_base(config)
    contents = [ConfigParser.load_config_file(file) for file in call.files] if call else _overlays()
    for place in find_unused(config, RUNNER_KEYS | (ids or set())):
        if place in ConfigParser(base) or place in TRACKING_KEYS:
            continue  # a knob whose reference an override replaced; a setting of MONAI's
        elsewhere = [name for name, content in own_configs().items() if place in content]
        elsewhere.sort(key=lambda name: name.split("_")[0] != base_name.split("_")[0])  # the same system's first
        given = call is not None and place in {ReferenceResolver.normalize_id(name) for name in call.options}
        in_file = any(place in content and content[place] == config.get(place) for content in contents)
        if elsewhere and in_file and not given:
            continue  # an overlay also serves workflows that have this option
        raise OptionError(_unknown(place, base_name, _siblings(place, base or config), elsewhere))
    for place, target, argument, known in find_surplus_arguments(config, parser.locator):
        raise OptionError(f"no option --{place}::{argument}: {target} takes no {argument}{suggest(argument, known)}")
    for name, value in config.items():
        check_value(name, value, base.get(name))
        if call is not None and name in call.options and name in KINDS and is_expression(value):
            check_value(name, _evaluate(parser, name, value), base.get(name))


def read_config(file: str | Path) -> ConfigParser:
    """A config by its path, which may be relative to the working folder or, like `configs/train.json`, to the bundle's.

    Raises:
        OptionError: no such file.
    """
    parser, own = ConfigParser(), FOLDER.parent / file
    if not Path(file).is_file() and not own.is_file():
        raise OptionError(f"no config {file}{suggest(own.name, own_configs(), 'configs/')}")
    parser.read_config(str(file if Path(file).is_file() else own))
    return parser


def override(parser: ConfigParser, options: Mapping[str, Any], beside: Iterable[str]) -> None:
    """Sets options of a config that Python code has read, once it is known that the config has them.

    Args:
        parser: the config.
        options: values by id.
        beside: further options of the command that takes these, for the message.

    Raises:
        OptionError: as `check_options`.
    """
    for name in options:
        parts = ReferenceResolver.split_id(name)
        for n in range(1, max(2, len(parts))):  # the last part may be an argument that the config leaves out
            place = "::".join(parts[:n])
            if place not in parser:
                known = _siblings(place, parser.get()) + (list(beside) if n == 1 else [])
                where = f"here or in configs/{find_base(parser.get())[0]}"
                raise OptionError(f"no option --{place} {where}{suggest(place, known, '--')}")
    parser.update(dict(options))
    check_options(parser)


def walk(node: Any, place: str = "") -> Iterator[tuple[str, Any]]:
    """Every node of a config with its id, such as `train::dataset`."""
    yield place, node
    children = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, child in children:
        yield from walk(child, f"{place}::{key}" if place else str(key))


def find_references(node: Any) -> set[str]:
    """Ids that a config node refers to."""
    texts = [value for _, value in walk(node) if isinstance(value, str)]
    return {found for text in texts for found in ReferenceResolver.match_refs_pattern(text)}


def find_unused(config: Mapping[str, Any], roots: set[str]) -> list[str]:
    """Ids of top-level keys, and of keys in groups such as `train`, that nothing refers to.

    Args:
        config: a whole config.
        roots: top-level keys that are used without a reference.
    """
    used = find_references(config)

    def visit(node: Mapping[str, Any], group: str) -> Iterator[str]:
        for key, child in node.items():
            place = f"{group}{key}"
            if place in used or place in roots:
                continue
            if not any(id.startswith(f"{place}::") for id in used):
                yield place
            elif isinstance(child, dict) and "_target_" not in child:
                yield from visit(child, f"{place}::")

    return list(visit(config, ""))


def find_surplus_arguments(config: Any, locator: ComponentLocator) -> Iterator[tuple[str, str, str, set[str]]]:
    """Arguments that components do not take: the component's id and target, the argument, and what it does take."""
    for place, node in walk(config):
        if not ConfigComponent.is_instantiable(node) or node.get("_mode_") == "callable":
            continue
        known = known_arguments(find_target(node, locator))
        for argument in node:
            if known is not None and argument not in known and not (argument[0] == argument[-1] == "_"):
                yield place, str(node["_target_"]).rpartition(".")[2], argument, known


def find_target(node: dict[str, Any], locator: ComponentLocator) -> Any:
    """What a component's `_target_` names, None if there is no such thing."""
    name = ConfigComponent(node, locator=locator).resolve_module_name()
    try:
        return name if callable(name) else pydoc.locate(str(name))
    except pydoc.ErrorDuringImport:
        return None  # MONAI says so where the component is built


def known_arguments(target: Callable[..., Any] | None) -> set[str] | None:
    """Names of the arguments that a target takes, of its parents' too where it is ours and passes them on.

    None where that cannot be told: a target that does not exist, compiled code, or arguments passed on elsewhere.
    """
    try:
        own = inspect.signature(target).parameters.values()  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None
    known = {parameter.name for parameter in own}
    if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in own):
        return known
    if not isinstance(target, type) or not target.__module__.startswith(f"{__package__}."):
        return None
    makers = [vars(parent)["__init__"] for parent in target.__mro__ if "__init__" in vars(parent)]
    return known.union(*(inspect.signature(maker).parameters for maker in makers))


def find_base(config: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """The bundle's workflow that a config extends, of which it has all keys; ("", {}) for none.

    Of several it is the one that runs the same, else the one with most keys.
    """
    fitting = [(name, own) for name, own in own_configs().items() if "run" in own and set(own) <= set(config)]
    return max(fitting, key=lambda found: (found[1]["run"] == config["run"], len(found[1])), default=("", {}))


def _evaluate(parser: ConfigParser, name: str, value: str) -> Any:
    """The value of an expression that refers to nothing else; the expression itself where it does."""
    if find_references(value) or not ConfigExpression.is_expression(value):
        return value
    try:
        return parser.get_parsed_content(name)
    except Exception as error:  # whatever the user's code raises
        raise OptionError(f"--{name} is {value}, which fails: {error.__cause__ or error}") from None


def _siblings(place: str, config: dict[str, Any]) -> list[str]:
    """The ids in the group of an id."""
    group = place.rpartition("::")[0]
    node = ConfigParser(config).get(group, {})
    return [f"{group}::{key}" if group else key for key in node if key not in RUNNER_KEYS]


def _unknown(place: str, base: str, known: list[str], elsewhere: list[str]) -> str:
    where = f"configs/{base}" if base else "this config"
    if elsewhere:
        return f"no option --{place} in {where}, which would ignore it (configs/{elsewhere[0]} has it). Leave it out"
    return f"no option --{place} in {where}{suggest(place, known, '--')}"


def _overlays() -> list[dict[str, Any]]:
    return [content for content in own_configs().values() if "run" not in content]
