"""What is known of a synthetic set besides the scores of the networks that it taught, as dataclasses.

Each is built and written by one handler and shown by one section of the page; null in the file is NaN here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Annotated

from pydantic import BeforeValidator

Number = Annotated[float, BeforeValidator(lambda value: math.nan if value is None else value)]


@dataclass(frozen=True)
class Share:
    """A mean over patients with its 95% interval; n is their number."""

    value: Number
    low: Number
    high: Number
    n: int = 0


@dataclass(frozen=True)
class Distance:
    """A distance of synthetic from real images beside that of held-out real ones, the floor, at the same n."""

    value: Number
    low: Number
    high: Number
    floor: Number
    floor_low: Number
    floor_high: Number
    n: int


@dataclass(frozen=True)
class Specificity:
    """How often the asked class is recognised in synthetic images; `ceiling` is that of held-out real ones."""

    balanced_accuracy: Number
    chance: Number = math.nan
    ceiling: Number = math.nan
    recall: dict[str, Number] = field(default_factory=dict)
    ceiling_recall: dict[str, Number] = field(default_factory=dict)
    without_ceiling: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Neighbourhoods:
    """`scripts.metrics.coverage.compare_neighbourhoods` of synthetic, or of held-out real, with training images."""

    precision: Number
    recall: Number
    density: Number
    coverage: Number


@dataclass(frozen=True)
class Quality:
    """`quality.json`, an entry for each system or candidate.

    Attributes:
        kid: times 1000, of a user's network alone, see `scripts.metrics.feature_distance.kernel_distance`.
        neighbourhoods: of synthetic images, and as a ceiling of held-out real ones at the same n, with balls to the
            `nearest`-th neighbour.
        extractor: of the features that all but the Dice and the class are measured in.
    """

    mask_dice: Share
    mask_dice_held_out_real: Share
    frechet: Distance | None = None
    kid: Distance | None = None
    specificity: Specificity | None = None
    neighbourhoods: Neighbourhoods | None = None
    neighbourhoods_held_out_real: Neighbourhoods | None = None
    nearest: int = 0
    extractor: str = ""


@dataclass(frozen=True)
class Copies:
    """What `scripts.metrics.memorisation.find_copies` found by one measure; `median` and `real_median` are ratios."""

    median: Number
    real_median: Number
    threshold: Number
    copies: Number
    expected: Number
    p: Number


@dataclass(frozen=True)
class Memorisation:
    """The memorisation audit of a synthetic set, in its `dataset.json` and as `memorisation.json`.

    Attributes:
        verdict: "passed", "failed" or "cannot be audited".
        reason: in a sentence.
        level: of the verdict: chance of "failed" for a set that is like images of new patients.
        images: that were compared.
        held_out_patients: real ones that it is calibrated on.
        by: "pixels", "features" -> what was found.
        extractor: of the features.
        nearest: names of the images with the least ratios, by pixels or, of features, by these.
        membership_auc: of the discriminators behind the set, where their trainings left it as `membership.json`.
    """

    verdict: str
    reason: str
    level: float
    images: int
    held_out_patients: int
    by: dict[str, Copies] = field(default_factory=dict)
    extractor: str = ""
    nearest: list[str] = field(default_factory=list)
    membership_auc: list[Share] = field(default_factory=list)


@dataclass(frozen=True)
class ClassFilters:
    """How many of a class's images were kept, and by criterion rejected; an image may fail several."""

    images: int
    kept: int
    rejected: dict[str, int]


@dataclass(frozen=True)
class Filters(ClassFilters):
    """What filters made of all images, and by class where these have one."""

    by_class: dict[str, ClassFilters] = field(default_factory=dict)


@dataclass(frozen=True)
class PresencePart:
    """`contrast` by quantile of the boxes."""

    boxes: int
    present: Share
    contrast: dict[str, Number] = field(default_factory=dict)


@dataclass(frozen=True)
class BoxScores:
    """Of each box of an image; `detection` is NaN without a detector, the best IoU with a segmenter."""

    contrast: list[Number]
    detection: list[Number]


@dataclass(frozen=True)
class Dropped(BoxScores):
    name: str = ""


@dataclass(frozen=True)
class Presence:
    """`presence.json`: which boxes of which images show a lesion; the criterion is contrast, detector or segmenter.

    `direction` is the mean contrast of real boxes by channel, `threshold` what a box has to reach.
    """

    criterion: str
    threshold: Number
    images: int
    kept: int
    parts: dict[str, PresencePart]
    quantile: Number = math.nan
    every_box: bool = False
    channels: list[str] = field(default_factory=list)
    direction: list[Number] = field(default_factory=list)
    dropped: list[Dropped] = field(default_factory=list)
    filters: Filters | None = None


@dataclass(frozen=True)
class PlacementPart:
    """Shares of boxes with a lesion, and of the segmented area that lies inside an image's boxes."""

    boxes: int
    with_lesion: Share
    area_inside: Share


@dataclass(frozen=True)
class Placement:
    """`placement.json`: whether a segmenter sees the lesions in the boxes that were asked for."""

    parts: dict[str, PlacementPart]
    minimum_lesion_share: Number = math.nan
    segmenter: str = ""


@dataclass(frozen=True)
class CandidateEntry:
    """A generator considered, or a part of the real images; shares and distances as `CandidateScores` says."""

    images: int
    fcn_score: Share
    laplacian_variance: Number
    fourier_mean: Number
    called_real: Number
    nearest_training: Number
    name: str = ""
    mean_rank: Number = math.nan
    chosen: bool = False
    novelty: Number = math.nan
    presence: Share | None = None


@dataclass(frozen=True)
class Selection:
    """`selection.json`: which generator was chosen, and which of its images passed."""

    system: str
    criterion: str
    scorer: str
    notes: list[str]
    rules: dict[str, Number]
    candidates: list[CandidateEntry]
    real: dict[str, CandidateEntry]
    filters: Filters


@dataclass(frozen=True)
class AnnotationEntry:
    """The annotations of a part or a member.

    Attributes:
        lesion_images: share of the images with any lesion.
        label_percent: label -> its share of an image's pixels in %, mean over images with lesion.
        components: separate lesions per image with lesion, mean.
        rim_share: see `scripts.metrics.false_rims`; mean over patients, as is the next.
        outside_head_share: share of the lesion's pixels where all channels are dark.
    """

    images: int
    lesion_images: Number
    label_percent: dict[str, Number]
    components: Number
    rim_share: Share
    outside_head_share: Share
    member: int = -1


@dataclass(frozen=True)
class Annotations:
    """`annotations.json`: synthetic annotations beside real ones."""

    labels: list[str]
    parts: dict[str, AnnotationEntry]
    members: list[AnnotationEntry]


@dataclass(frozen=True)
class Choice:
    """`choice.json`: members in the order in which they cover held-out real images.

    Attributes:
        order: each next one adds most held-out real images that are covered; `files` and `sha256` in that order.
        coverage: after 1, 2, ... of them.
        training_coverage: the same by as many real training images, about what can be expected; NaN of too few.
        single: of each member alone, by ascending member.
        real: name of the split that was to be covered.
    """

    order: list[int]
    coverage: list[Number]
    training_coverage: list[Number]
    single: list[Number]
    k: int
    images_per_member: int
    real: str
    real_images: int
    files: list[str | None] = field(default_factory=list)
    sha256: list[str | None] = field(default_factory=list)
    features: str = ""


@dataclass(frozen=True)
class MemberDiversity:
    """How much a member's images differ, in times as much as real ones do."""

    member: int
    file: str
    diversity: Number
    collapsed: bool


@dataclass(frozen=True)
class MemberCheck:
    """`<set>_members.json`: which members of an ensemble have collapsed."""

    minimum_diversity: float
    members: list[MemberDiversity]


@dataclass
class ClassCount:
    """`synthetic_counts.json`, by class: features asked, generated for that, taken for their class, and kept."""

    asked: int
    generated: int = 0
    accepted: int = 0
    kept: int = 0
    far: int = 0  # accepted, but too far from the centre of their class

    @property
    def acceptance_rate(self) -> float:
        return self.accepted / max(self.generated, 1)
