"""How a network was made: remembered by the network itself, so that its weights can say it."""

from __future__ import annotations

import functools
import importlib
import inspect
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from torch import nn

from scripts.networks.checkpoints import CheckpointError
from scripts.networks.wrapping import unwrap

PACKAGE = f"{__package__}."
PARENT = PACKAGE.partition("scripts.")[0]  # installed, `scripts` lies in a package; names in files are without it
Maker = TypeVar("Maker", bound=Callable[..., Any])


@dataclass(frozen=True)
class Recipe:
    """A class or builder function of `scripts.networks` and its arguments, plain JSON values all.

    The name is empty for a network from elsewhere, such as one that a user's `network_def` put in a config.
    """

    name: str
    arguments: dict[str, Any] = field(default_factory=dict)

    @property
    def short_name(self) -> str:
        return self.name.rsplit(".", 1)[-1]

    def build(self) -> nn.Module:
        """The network, with fresh weights.

        Raises:
            CheckpointError: no such network here, or one that does not take these arguments.
        """
        if not self.name:
            raise CheckpointError("The weights are of a network that is not this bundle's. Pass it as --network_def.")
        maker = find_maker(self.name)
        try:
            network: nn.Module = maker(**self.arguments)
        except (TypeError, ValueError, RuntimeError) as error:
            raise CheckpointError(f"{self.name} cannot be made as described: {error}. Train it again.") from None
        return network


def remember_recipe(maker: Maker) -> Maker:
    """Decorator of a network's class, or of a function that builds one: `recipe_of` tells with which arguments.

    The arguments must be plain values or tensors of finite numbers; of others it remembers None.
    """
    signature = inspect.signature(maker)

    def note(network: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        arguments = {name: _plain(value) for name, value in bound.arguments.items()}
        network.recipe = Recipe(f"{maker.__module__}.{maker.__qualname__}", arguments)  # type: ignore[assignment]

    if isinstance(maker, type):
        initialise = maker.__init__  # type: ignore[misc]

        @functools.wraps(initialise)
        def remember(self: nn.Module, *args: Any, **kwargs: Any) -> None:
            initialise(self, *args, **kwargs)
            if type(self) is maker:
                note(self, args, kwargs)

        maker.__init__ = remember  # type: ignore[misc]
        return maker

    @functools.wraps(maker)
    def build(*args: Any, **kwargs: Any) -> nn.Module:
        network: nn.Module = maker(*args, **kwargs)
        note(network, args, kwargs)
        return network

    return build  # type: ignore[return-value]


def recipe_of(network: nn.Module) -> Recipe:
    """How a network, or the one inside a wrapper, was made; a recipe without name where it does not remember."""
    recipe = getattr(unwrap(network), "recipe", None)
    return recipe if isinstance(recipe, Recipe) else Recipe("")


def find_maker(name: str) -> Callable[..., nn.Module]:
    """The class or function of that name, which must be one of `scripts.networks` that remembers its recipe.

    A description beside weights is data: no other name in it is ever imported or called.

    Raises:
        CheckpointError: any other name.
    """
    module, _, attribute = str(name).rpartition(".")
    maker = None
    if module.startswith(PACKAGE) and module.removeprefix(PACKAGE).isidentifier():
        try:
            maker = getattr(importlib.import_module(module), attribute, None)
        except ModuleNotFoundError:
            maker = None
    marked = vars(maker).get("__init__") if isinstance(maker, type) else maker  # by `remember_recipe`
    if not callable(maker) or not hasattr(marked, "__wrapped__"):
        raise CheckpointError(
            f"No network {name!r} here, expected one of scripts.networks. Train it with this version."
        )
    return maker


def _plain(value: Any) -> Any:
    """A JSON value equal to the argument, a list for a tensor; None where there is none."""
    try:
        return json.loads(json.dumps(value, allow_nan=False, default=lambda other: other.tolist()))
    except (AttributeError, TypeError, ValueError):
        return None
