"""The classes of a model and of a dataset are matched by name."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from pvzoo.errors import DataError
from pvzoo.metrics.class_match import LabelMatch


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
    with pytest.raises(DataError, match=r"'0', '1', '2' and 7 more; .* 'cat', 'dog'") as error:
        LabelMatch.of(["cat", "", "dog"], [str(i) for i in range(10)])
    assert "fine-tune" in error.value.hint


def test_what_matches_nowhere_is_told_for_both_sides() -> None:
    match = LabelMatch.of(["cat", "dog"], ["cat", "hen"])
    assert str(match) == (
        "The model does not know 1 of the data's 2 classes, which are left out: 'hen'. "
        "The data does not have 1 of the model's 2 classes: 'dog'."
    )
    assert match.common == (0,)


def test_of_many_classes_that_match_nowhere_a_count_and_three_examples_are_told() -> None:
    names = transformers_names()
    assert str(LabelMatch.of(names, ["espresso", "tripod"])) == (
        "The data does not have 998 of the model's 1,000 classes: 'tench', 'goldfish', "
        "'great white shark' and 995 more."
    )
    assert str(LabelMatch.of(["espresso", "tripod", ""], names)) == (
        "The model does not know 998 of the data's 1,000 classes, which are left out: 'tench', "
        "'goldfish', 'great white shark' and 995 more."
    )
    assert "'n01440764' (tench), 'n01443537' (goldfish)" in str(
        LabelMatch.of(["espresso", "tripod"], ids())
    )


def test_ids_of_any_shape_are_translated() -> None:
    match = LabelMatch.of(["a", "b", "c"], ["c", "a"])
    ids = np.array([[0, 1], [2, -1]])
    np.testing.assert_array_equal(match.translate(ids), [[1, -1], [0, -1]])
    np.testing.assert_array_equal(match.translate(ids.astype(np.uint8)[:1]), [[1, -1]])
    assert match.translate(np.zeros(0, dtype=np.int64)).shape == (0,)


# --- ImageNet -------------------------------------------------------------------------------------


@cache
def transformers_names() -> list[str]:
    """The names that transformers' checkpoints have: all synonyms, by the place in ImageNet-1k."""
    from timm.data import ImageNetInfo

    return ImageNetInfo().label_descriptions()


@cache
def ids() -> list[str]:
    from timm.data import ImageNetInfo

    return ImageNetInfo().label_names()


@pytest.mark.parametrize("form", ["all synonyms", "first synonym"])
def test_folders_named_by_imagenets_ids_match_every_class(form: str) -> None:
    names = transformers_names()
    if form == "first synonym":  # as torchvision and Keras have them
        names = [name.partition(",")[0] for name in names]
    order = np.random.default_rng(0).permutation(1000)
    match = LabelMatch.of(names, [ids()[i] for i in order])
    assert np.array_equal(order[list(match.to_data)], np.arange(1000))
    assert str(match) == ""
    backwards = LabelMatch.of([ids()[i] for i in order], names)
    assert backwards.to_data == tuple(order.tolist())


def test_an_id_may_be_followed_by_a_name() -> None:
    folders = ["n01440764-tench", "n02085620-Chihuahua", "n03126707_crane", "n02012849 crane"]
    match = LabelMatch.of(transformers_names(), folders)
    assert [match.to_data[i] for i in (0, 151, 517, 134)] == [0, 1, 2, 3]


def test_an_id_matches_the_name_of_its_class_in_any_other_list() -> None:
    assert LabelMatch.of(["goldfish", "tench"], ["n01440764", "n01443537"]).to_data == (1, 0)
    assert LabelMatch.of(["n01440764", "cat"], ["cat", "Tench"]).to_data == (1, 0)
    assert LabelMatch.of(["n01440764"], ["n01440764"]).to_data == (0,)


def test_a_name_that_only_looks_like_an_id_is_a_name() -> None:
    with pytest.raises(DataError, match=r"does not know any of the data's classes"):
        LabelMatch.of(["tench"], ["n99999999", "n014407641"])


def test_folders_named_by_the_first_synonym_match_all_but_what_is_there_twice() -> None:
    names = transformers_names()
    folders = sorted({name.partition(",")[0].replace(" ", "_") for name in names})
    match = LabelMatch.of(names, folders)
    assert match.only_in_data == ("crane",)
    assert "'crane' may be any of the model's classes 134 (n02012849) and 517 (n03126707)" in (
        str(match)
    )


@pytest.mark.parametrize("second", ["crane", "crane2", "crane_2", "Crane"])
def test_classes_of_one_name_are_told_apart_by_place_in_the_same_list(second: str) -> None:
    names = transformers_names()
    data = list(names)
    data[517] = second
    match = LabelMatch.of(names, data)
    assert match.to_data == tuple(range(1000))
    plain = [name.partition(",")[0] for name in names]  # "maillot" twice, too
    match = LabelMatch.of(plain, data)
    assert match.to_data == tuple(range(1000))


def test_classes_of_one_name_in_another_order_are_not_guessed() -> None:
    names = transformers_names()
    match = LabelMatch.of(names, [*names[1:], names[0]])
    assert match.only_in_data == ("crane", "crane")
    assert LabelMatch.of(["cat", "crane", "crane"], ["cat", "crane", "x"]).to_data == (0, -1, -1)


def test_a_class_that_may_be_several_is_explained_where_nothing_else_matches() -> None:
    with pytest.raises(DataError, match=r"^'crane' may be any of the model's classes 0 and 1\."):
        LabelMatch.of(["crane, bird", "crane, machine"], ["crane"])


def test_ids_in_a_message_are_explained() -> None:
    match = LabelMatch.of(["tench"], ["n01440764", "n02012849"])
    assert "which are left out: 'n02012849' (crane)" in str(match)


def test_without_timm_an_id_is_a_name_like_any_other(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    from pvzoo.metrics import imagenet

    imagenet._info.cache_clear()
    monkeypatch.setitem(sys.modules, "timm.data", None)
    try:
        match = LabelMatch.of(["tench", "n02012849"], ["n01440764", "n02012849"])
    finally:
        imagenet._info.cache_clear()
    assert match.to_data == (-1, 1)


def test_fine_tuning_keeps_what_the_model_knows_of_classes_that_are_called_by_their_ids(
    lite0: object,
) -> None:
    from datasets import Dataset

    from pvzoo.data.schema import features
    from pvzoo.training.data import classes_of
    from pvzoo.training.targets.classes import ClassificationTraining

    columns = features("image-classification", ["n03126707", "a hat", "goldfish"])
    empty = Dataset.from_dict({name: [] for name in columns}, columns)
    found = classes_of(empty, lite0.adapter, ClassificationTraining())
    assert found.kept == (517, None, 1)
