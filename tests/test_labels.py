"""The classes of a model and of a dataset are matched by name."""

from __future__ import annotations

import numpy as np
import pytest

from pvzoo.errors import DataError
from pvzoo.metrics.labels import LabelMatch


def test_names_match_whatever_the_order_case_hyphens_underscores_and_spaces() -> None:
    match = LabelMatch.of(
        ["traffic light", "Dining_Table", "T-Shirt", "cat"],
        ["cat", "t shirt", "dining  table", "TRAFFIC-LIGHT"],
    )
    assert match.to_data == (3, 2, 1, 0)
    assert str(match) == ""
    assert match.only_in_data == match.only_in_model == ()


def test_numbers_never_match() -> None:
    match = LabelMatch.of(["cat", "dog"], ["dog", "cat"])
    assert match.to_data == (1, 0)


def test_the_first_of_several_synonyms_matches_a_single_name_on_either_side() -> None:
    assert LabelMatch.of(["tabby, tabby cat"], ["tabby"]).to_data == (0,)
    assert LabelMatch.of(["tabby"], ["tabby, tabby cat"]).to_data == (0,)
    assert LabelMatch.of(["tabby, cat"], ["tabby, tabby cat"]).to_data == (0,)


def test_a_synonym_that_points_to_two_classes_points_to_none() -> None:
    match = LabelMatch.of(["crane, bird", "crane, machine", "cat"], ["crane", "cat"])
    assert match.to_data == (-1, -1, 1)
    assert match.only_in_data == ("crane",)


def test_the_whole_name_goes_before_a_synonym() -> None:
    match = LabelMatch.of(["crane, bird", "crane"], ["crane"])
    assert match.to_data == (-1, 0)


@pytest.mark.parametrize(
    "names", [["a", "A", "b"], ["a", "A"], ["-", "_"], ["t-shirt", "t shirt", "T_Shirt"]]
)
def test_classes_that_differ_in_case_hyphens_or_underscores_only_match_by_their_own_names(
    names: list[str],
) -> None:
    match = LabelMatch.of(names, names[::-1])
    assert match.to_data == tuple(range(len(names)))[::-1]
    assert str(match) == ""


def test_names_that_are_alike_match_where_the_same_ones_leave_a_pair() -> None:
    assert LabelMatch.of(["a", "A", "T-shirt"], ["A", "t shirt"]).to_data == (-1, 0, 1)
    assert LabelMatch.of(["A", "Á", "a"], ["a"]).to_data == (-1, -1, 0)
    assert LabelMatch.of(["T-shirt", "t-Shirt"], ["t shirt", "x", "t-Shirt"]).to_data == (0, 2)


def test_a_name_that_the_model_has_twice_is_not_guessed() -> None:
    match = LabelMatch.of(["crane", "crane", "cat"], ["crane", "cat"])
    assert match.to_data == (-1, -1, 1)


def test_each_class_of_the_data_has_one_of_the_model_at_most() -> None:
    match = LabelMatch.of(["tabby", "tabby, cat", "dog"], ["tabby", "dog"])
    taken = [j for j in match.to_data if j >= 0]
    assert len(set(taken)) == len(taken)
    assert match.to_data[0] == 0


def test_outputs_without_a_name_mean_nothing() -> None:
    match = LabelMatch.of(["", "cat", ""], ["", "cat"])
    assert match.to_data == (-1, 1, -1)
    assert match.only_in_model == ()
    assert match.only_in_data == ("",)


def test_without_a_common_class_the_error_shows_both_lists() -> None:
    with pytest.raises(
        DataError, match=r"'0', '1', '2', '3', '4' and 5 more; .* 'cat', 'dog'"
    ) as error:
        LabelMatch.of(["cat", "", "dog"], [str(i) for i in range(10)])
    assert "fine-tune" in error.value.hint


def test_what_matches_nowhere_is_told_for_both_sides() -> None:
    match = LabelMatch.of(["cat", "dog"], ["cat", "hen"])
    assert str(match) == (
        "The model does not know 1 of the data's 2 classes, which are left out: 'hen'. "
        "The data does not have 1 of the model's classes: 'dog'."
    )
    assert match.common == (0,)


def test_ids_of_any_shape_are_translated() -> None:
    match = LabelMatch.of(["a", "b", "c"], ["c", "a"])
    ids = np.array([[0, 1], [2, -1]])
    np.testing.assert_array_equal(match.translate(ids), [[1, -1], [0, -1]])
    np.testing.assert_array_equal(match.translate(ids.astype(np.uint8)[:1]), [[1, -1]])
    assert match.translate(np.zeros(0, dtype=np.int64)).shape == (0,)
