from __future__ import annotations

import pytest
import torch

from scripts.transforms.annotation import AnnotationChannels

LABEL = torch.tensor([[0, 1], [2, 3]]).reshape(1, 1, 2, 2)


def test_published_levels_by_hand():
    channels = AnnotationChannels(3).encode(LABEL)
    expected = torch.tensor([0, 51, 102, 204]) / 127.5 - 1
    torch.testing.assert_close(channels.flatten(), expected)


def test_the_highest_default_level_is_the_published_one():
    assert AnnotationChannels(1).encode(LABEL[..., :1, :]).flatten().tolist() == pytest.approx([-1, 204 / 127.5 - 1])
    assert ((AnnotationChannels(4).levels + 1) * 127.5).tolist() == pytest.approx([0, 51, 102, 153, 204])


def test_values_are_read_as_the_nearest_level_zero_among_them():
    grey = torch.tensor([-20.0, 25, 26, 76, 77, 152, 154, 300]).reshape(1, 1, 2, 4) / 127.5 - 1
    decoded = AnnotationChannels(3, levels=[51, 102, 204]).decode(grey)
    assert decoded.flatten().tolist() == [0, 0, 1, 1, 2, 2, 3, 3]


@pytest.mark.parametrize("coding", ["ordinal", "one_hot"])
def test_what_is_encoded_is_read_back(coding):
    annotation = AnnotationChannels(3, coding=coding)
    channels = annotation.encode(LABEL)
    assert channels.shape == (1, annotation.channel_count, 2, 2)
    assert channels.abs().max() <= 1
    assert torch.equal(annotation.decode(channels), LABEL)


def test_a_soft_edge_gets_a_false_label_in_one_channel_only():
    """Half way from background to label 3 of 204: 102, which is label 2."""
    for coding, labels in (("ordinal", {2}), ("one_hot", {0, 3})):
        annotation = AnnotationChannels(3, coding=coding, levels=[51, 102, 204])
        ends = [annotation.encode(torch.full((1, 1, 1, 1), value)) for value in (0, 3)]
        between = annotation.decode(0.5 * ends[0] + 0.5 * ends[1]).item()
        assert between in labels


@pytest.mark.parametrize("levels", [[51, 102], [51, 51.3, 204], [0, 100, 200], [100, 50, 200], [100, 200, 300]])
def test_levels_that_collide_are_refused(levels):
    with pytest.raises(ValueError, match="expected as many whole grey levels, ascending"):
        AnnotationChannels(3, levels=levels)
    with pytest.raises(ValueError, match="coding is 'grey', expected one of ordinal, one_hot"):
        AnnotationChannels(3, coding="grey")
