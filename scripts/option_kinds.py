"""What options may be, by name: one table for configs, studies and commands; loads neither MONAI nor torch."""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from scripts.untrusted import CODE, find_fault

MOST = 2**31 - 1  # of whole numbers
MOST_SEEDS = 2**32  # as NumPy takes them
MOST_FLOAT = 2.0**128  # of float32, in which networks compute


@dataclass(frozen=True)
class Kind:
    """What an option may be: a test of its value, and what to give in words."""

    fits: Callable[[Any], bool]
    words: str


def whole(low: int, high: int = MOST) -> Kind:
    """A whole number from `low` to `high`."""

    def fits(value: Any) -> bool:
        return isinstance(value, numbers.Integral) and not isinstance(value, bool) and low <= int(value) <= high

    return Kind(fits, f"a whole number {f'of {low} or more' if high == MOST else f'from {low} to {high}'}")


def number(low: float = -math.inf, high: float = math.inf, *, without: tuple[float, ...] = ()) -> Kind:
    """A finite number from `low` to `high`, but none of those `without`."""

    def fits(value: Any) -> bool:
        is_number = isinstance(value, numbers.Real) and not isinstance(value, bool)
        return is_number and low <= value <= high and abs(value) < MOST_FLOAT and value not in without

    ends = [f"{word} {end:g}" for word, end in zip(("above", "below"), (low, high), strict=True) if end in without]
    if low not in without and math.isfinite(low):
        ends.insert(0, f"from {low:g}")
    if high not in without and math.isfinite(high):
        ends.append(f"up to {high:g}")
    return Kind(fits, " ".join(["a number", " and ".join(ends)]).strip())


def list_of(kind: Kind, example: str, lengths: range = range(1, MOST)) -> Kind:
    """A list whose values are all of a kind."""

    def fits(value: Any) -> bool:
        return isinstance(value, (list, tuple)) and len(value) in lengths and all(map(kind.fits, value))

    return Kind(fits, f"a list such as {example}, each {kind.words}")


def either(*kinds: Kind) -> Kind:
    return Kind(lambda value: any(kind.fits(value) for kind in kinds), " or ".join(kind.words for kind in kinds))


def word(*words: str) -> Kind:
    return Kind(lambda value: value in words, " or ".join(map(repr, words)))


FLAG = Kind(lambda value: isinstance(value, bool), "True or False")
TEXT = Kind(lambda value: isinstance(value, str) and value != "" and find_fault(value) is None, "a text")
NAME = Kind(
    lambda value: TEXT.fits(value) or whole(-MOST).fits(value), "a name"
)  # the command line reads 1 as a number
SEED, COUNT, SIZE = whole(0, MOST_SEEDS - 1), whole(0), whole(1)
SHARE, PART, POSITIVE, RATE = (
    number(0, 1),
    number(0, 1, without=(0,)),
    number(0, without=(0,)),
    number(0, 1, without=(0,)),
)
BELOW_1, INSIDE, WEIGHT = number(0, 1, without=(1,)), number(0, 1, without=(0, 1)), number(0)
PAIR = Kind(
    lambda value: isinstance(value, (list, tuple)) and len(value) == 2 and all(map(number().fits, value))
    and value[0] < value[1],
    "a list [low, high] of two numbers with low < high, such as [0, 255]",
)  # fmt: skip
SIZES = list_of(SIZE, "[64, 128]")
COUNTS_BY_CLASS = Kind(
    lambda value: isinstance(value, Mapping) and all(map(COUNT.fits, value.values())), "{'class': number}"
)

KINDS: dict[str, Kind] = {
    name: kind
    for kind, names in (
        (
            FLAG,
            "augment balance_classes binary_mask clamp_segmenter_input fcn_batch_norm filter_by_segmenter "
            "jitter keep_all jaccard_per_class leave_out_unclassed merge_box_classes mixed_precision "
            "multi_scale outline_class projection_discriminator require_every_box spatial_pyramid strip_skull "
            "third_player trust_weights use_class use_real",
        ),
        (SEED, "seed fraction_seed member"),
        (
            SIZE,
            "batch_size max_epochs patience_epochs samples_per_epoch validation_interval_epochs val_interval "
            "checkpoint_interval_epochs picture_interval_epochs iterations_per_epoch images_per_phase "
            "total_images image_size_pixels image_size slice_batch image_count image_channels label_count "
            "most_boxes most_images most_distance_images most_features generator_width discriminator_width "
            "fcn_width fcn_fc_width embedding_dim latent_dim hidden_dim feature_base feature_max width "
            "halvings discriminator_updates pooled_size chosen_count minimum_patients limit_per_class "
            "draws_per_mask patients slices per_class cores",
        ),
        (
            COUNT,
            "fold minimum_lesion_pixels minimum_pixels most_pictures snapshot_count burn_in_iterations "
            "bright_channel shown_channel synthetic_count channel",
        ),
        (whole(0, 1), "left_out_part part"),
        (whole(0, 256), "worker_count"),
        (
            SHARE,
            "augment_share bright_share copy_paste_probability new_masks minimum_contrast_quantile "
            "minimum_detection_iou minimum_detection_score minimum_dice minimum_fcn_score minimum_kept_share "
            "minimum_lesion_share minimum_novelty minimum_presence minimum_realness score_threshold "
            "shown_threshold box_shift",
        ),
        (PART, "patient_fraction norm_momentum class_centre_quantile"),
        (BELOW_1, "adaptive_augmentation aspect_jitter box_zoom dropout mismatch_weight momentum beta"),
        (INSIDE, "objectness_prior"),
        (RATE, "learning_rate generator_learning_rate discriminator_learning_rate"),
        (POSITIVE, "width_multiplier classifier_width_multiplier gradient_norm hours"),
        (
            WEIGHT,
            "class_weight dice_weight drift_weight feature_matching_weight gradient_penalty_weight l1_weight "
            "weight_decay jaccard_smooth ema_half_life_images minimum_sharpness minimum_diversity",
        ),
        (number(), "output_scale output_shift"),
        (number(-1, 1), "outline_threshold"),
        (either(POSITIVE, word("all")), "synthetic_ratio"),
        (either(SIZE, COUNTS_BY_CLASS), "feature_count"),
        (list_of(SHARE, "[0.5, 0.0]", range(2, 3)), "flip_probability"),
        (
            SIZES,
            "encoder_widths decoder_widths unet_widths filters classifier_widths batch_size_at_4_8_16_pixels "
            "candidate_epochs",
        ),
        (list_of(SIZE, "[10, 25], or []", range(MOST)), "learning_rate_drop_epochs snapshot_epochs"),
        (list_of(whole(0, 255), "[51, 102, 204]"), "annotation_levels"),
        (list_of(list_of(POSITIVE, "[8, 12]", range(2, 3)), "[[8, 12], [16, 16]]"), "anchors"),
        (PAIR, "intensity_range"),
        (either(NAME, list_of(NAME, "['FLAIR']")), "image_channel_names allow_memorised"),
        (NAME, "only_class only_box_class class_key target_class"),
        (
            TEXT,
            "adversarial annotation_coding architecture augmented_slices balancing blurriness box_error "
            "classifier feature_dtype held_out latent_distribution level split strategy synthetic_split "
            "system vote",
        ),
    )
    for name in names.split()
}


def is_expression(value: Any) -> bool:
    """Whether MONAI reads a value as code, a reference or a macro, or builds it."""
    return "_target_" in value if isinstance(value, Mapping) else isinstance(value, str) and value.startswith(CODE)
