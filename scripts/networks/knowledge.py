"""What weights know: the `.json` beside them, written and read."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any, Literal, NotRequired, Protocol

import pydantic
import torch
from torch import nn
from typing_extensions import TypedDict

from scripts.data.contract import Dataset, DatasetError, write_json
from scripts.data.json_models import read_object, validated
from scripts.networks.checkpoints import CheckpointError, save_atomically
from scripts.networks.recipe import PARENT, Recipe, find_maker, recipe_of
from scripts.networks.wrapping import unwrap
from scripts.option_kinds import KINDS

IMAGES = ("modality", "labels", "classes", "label_values", "intensity_range", "slice_axis")
PACKAGES = ("torch", "monai", "numpy")


class Teacher(Protocol):
    """Weights that others learn from."""

    @property
    def trained_on(self) -> list[str]: ...

    @property
    def memorised_sets(self) -> list[str]: ...


@dataclass(frozen=True)
class Knowledge:
    """What weights know besides their network.

    They know the patients that they learned from, and whoever taught the frozen networks and synthetic sets that taught
    them (`trained_on`).
    """

    trained_on: list[str]
    validated_on: list[str] = field(default_factory=list)  # patients whose scores chose the epoch
    images: dict[str, Any] = field(
        default_factory=dict
    )  # that they are for: `IMAGES` of dataset.json; none of features
    settings: dict[str, Any] = field(default_factory=dict)  # that their users must share, such as `image_size_pixels`
    features: dict[str, Any] = field(default_factory=dict)  # what a `FeatureSet` says of itself
    memorised_sets: list[str] = field(default_factory=list)  # synthetic ones that failed their audit and were allowed


class Images(TypedDict, total=False):
    """What `IMAGES` of dataset.json are in a description."""

    modality: list[str]
    labels: list[str]
    classes: list[str]
    label_values: dict[str, int]
    intensity_range: tuple[pydantic.FiniteFloat, pydantic.FiniteFloat] | None
    slice_axis: Literal["sagittal", "coronal", "axial"] | None


class Description(TypedDict):
    """The `.json` beside weights."""

    network: Recipe
    trained_on: list[str]
    validated_on: list[str]
    images: Images
    settings: dict[str, Any]
    features: dict[str, Any]
    memorised_sets: NotRequired[list[str]]  # earlier ones know of no audit


def describe_weights(
    *,
    trained_on: Collection[str],
    validated_on: Collection[str] = (),
    taught_by: Sequence[Teacher | None] = (),
    images: Dataset | None = None,
    settings: Mapping[str, Any] | None = None,
    features: Mapping[str, Any] | None = None,
    memorised_sets: Collection[str] = (),
) -> Knowledge:
    """What a training writes beside its weights, see `Knowledge`; for configs.

    Args:
        trained_on, validated_on: patients of its own data.
        taught_by: weights that the network started from or that were frozen while it learned.
        images: description of the data set.
        settings, features: as they are.
        memorised_sets: those of its own data.
    """
    teachers = [weights for weights in taught_by if weights is not None]
    patients = {*trained_on}.union(*(weights.trained_on for weights in teachers))
    sets = {*memorised_sets}.union(*(weights.memorised_sets for weights in teachers))
    names = {} if images is None else {name: getattr(images, name) for name in IMAGES}
    return Knowledge(
        sorted(patients), sorted(validated_on), names, dict(settings or {}), dict(features or {}), sorted(sets)
    )


def write_weights(
    file: Path, network: nn.Module, knowledge: Knowledge, weights: Mapping[str, torch.Tensor] | None = None
) -> None:
    """Writes weights of a network, by default those that it has now, and before them the `.json` that describes them.

    Raises:
        CheckpointError: a value that is not finite (nothing is written), or a folder that cannot be written.
    """
    refuse_broken(unwrap(network), file, weights)
    recipe = recipe_of(network)
    versions = {name: metadata.version(name) for name in PACKAGES}
    stored = {**asdict(recipe), "name": recipe.name.removeprefix(PARENT)}
    content = {"network": stored, **asdict(knowledge), "versions": versions}
    write_json(file.with_suffix(".json"), content)
    save_atomically(unwrap(network).state_dict() if weights is None else weights, file)


def read_description(file: str | Path) -> tuple[Recipe, Knowledge] | None:
    """What the `.json` beside weights says; None where there is none.

    Raises:
        CheckpointError: not what `write_weights` wrote.
    """
    beside = Path(file).with_suffix(".json")
    if not beside.is_file():
        return None
    try:
        content = read_object(beside, "")
        description = validated(Description, content, str(beside), "")
    except DatasetError as error:
        raise CheckpointError(
            f"{beside} does not describe {file} as this version does: {error} Train the network again; weights of "
            "version 0.1.0 are not read any more."
        ) from None
    knowledge = Knowledge(**{name: content.get(name, []) for name in Knowledge.__dataclass_fields__})
    made = description["network"]
    recipe = Recipe(f"{PARENT}{made.name}" if made.name else "", made.arguments)
    for name, value in {**recipe.arguments, **knowledge.settings}.items():
        if name in KINDS and value is not None and not KINDS[name].fits(value):
            raise CheckpointError(f"{beside}: {name} is {value!r}, expected {KINDS[name].words}. Train it again.")
    if recipe.name:
        find_maker(recipe.name)
    return recipe, knowledge


def read_known_patients(file: str | Path) -> list[str]:
    """Whom weights know.

    Raises:
        CheckpointError: nothing beside them says it.
    """
    described = read_description(file)
    if described is None:
        raise CheckpointError(
            f"Nothing beside {file} says whom it was trained on. Training writes a .json beside the weights: copy it "
            "with them, or train again."
        )
    return described[1].trained_on


def refuse_broken(network: nn.Module, file: Path, weights: Mapping[str, torch.Tensor] | None = None) -> None:
    """Raises CheckpointError for NaN anywhere and for infinite parameters (a buffer may hold a bound that is none)."""
    parameters = {name for name, _ in network.named_parameters()}
    for name, tensor in (network.state_dict() if weights is None else weights).items():
        if not tensor.is_floating_point():
            continue
        if tensor.isnan().any() or (name in parameters and tensor.isinf().any()):
            raise CheckpointError(
                f"{file}: '{name}' holds NaN or infinity, so its training has diverged. Train again with a lower "
                "learning rate, or name other weights."
            )
