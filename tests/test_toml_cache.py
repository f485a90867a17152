"""What is kept of catalogue files for later processes: it is never wrong, and it is fast."""

from __future__ import annotations

import copy
import dataclasses
import importlib.util
import json
import os
import pickle
from hashlib import sha256
from pathlib import Path

import pytest

from pvzoo import cards
from pvzoo.errors import CatalogError

TEXT = """
contract = 2
[defaults]
image-classification = "net"
[[models]]
name = "net"
aliases = ["old-net"]
task = "image-classification"
adapter = "timm"
params = 7
stuff = ["sky"]
metrics = [{ name = "top1", value = 80 }, { name = "top5", value = 90.5 }]
config = { a = [1, 2.5, true, "x"], b = { c = inf } }
[models.source]
path = "weights"
rename = [['^a', 'b']]
"""


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The cache of the test's own, in a folder that is not there yet."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("PVZOO_CACHE", str(folder))
    return folder


@pytest.fixture
def file(tmp_path: Path, cache: Path) -> Path:
    file = tmp_path / "catalog.toml"
    file.write_text(TEXT)
    return file


def read(file: Path) -> cards.CatalogFile:
    """As a new process reads it."""
    cards.refresh()
    return cards.read_catalog(file, "zoo")


def kept(cache: Path) -> Path:
    """The one file that is kept."""
    (found,) = (f for f in cache.rglob("*") if f.is_file())
    return found


def rewrite(place: Path, old: str, new: str) -> None:
    """Change what is kept as a process that kept this would have written it."""
    rest = place.read_text().partition("\n")[2]
    assert old in rest
    rest = rest.replace(old, new)
    place.write_text(json.dumps(sha256(rest.encode()).hexdigest()) + "\n" + rest)


def test_what_was_kept_gives_the_same_cards(file, cache):
    first = read(file)
    assert all(json.loads(line) for line in kept(cache).read_text().splitlines())
    again = read(file)
    assert again == first
    (card,) = again.cards
    assert card.source == cards.Source(path=file.parent / "weights", rename=(("^a", "b"),))
    assert card.aliases == ("old-net",)
    assert card.metrics == (cards.Metric("top1", 80), cards.Metric("top5", 90.5))
    assert card.config == {"a": [1, 2.5, True, "x"], "b": {"c": float("inf")}}
    assert card.license is None


def test_what_was_kept_is_used(file, cache):
    read(file)
    rewrite(kept(cache), '"adapter": "timm"', '"adapter": "kept"')
    assert read(file).cards[0].adapter == "kept"


def test_what_is_at_hand_of_a_card_is_what_its_table_says(file):
    read(file)
    (card,) = read(file).cards
    at_hand = {name: getattr(card, name) for name in cards.AT_HAND}
    assert card.adapter == "timm"  # parses the table
    assert {name: getattr(card, name) for name in cards.AT_HAND} == at_hand
    assert at_hand == {
        "name": "net",
        "aliases": ("old-net",),
        "task": "image-classification",
        "params": 7,
        "license": None,
        "license_upstream": None,
        "reported": "top1 80, top5 90.5",
    }


def test_a_card_that_was_not_parsed_can_be_copied_and_sent_to_other_processes(file):
    read(file)
    for copied in (
        pickle.loads(pickle.dumps(read(file).cards[0])),
        copy.deepcopy(read(file).cards[0]),
        dataclasses.replace(read(file).cards[0]),
    ):
        assert copied == read(file).cards[0]
        assert copied.metrics[1].value == 90.5


def test_a_change_is_seen_though_size_and_time_stay_the_same(file):
    read(file)
    stat = file.stat()
    file.write_text(TEXT.replace("params = 7", "params = 9"))
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert file.stat().st_size == stat.st_size
    assert read(file).cards[0].params == 9


@pytest.mark.parametrize(
    "damage",
    [b"", b"{", b"[]", b"null", b'{"sha256": 1}', b"\xff\x00", b"[" * 100_000, "half"],
    ids=["empty", "brace", "list", "null", "keys", "binary", "deep", "half"],
)
def test_what_was_damaged_is_ignored_and_mended(file, cache, damage):
    first = read(file)
    place = kept(cache)
    whole = place.read_bytes()
    place.write_bytes(whole[: len(whole) // 2] if damage == "half" else damage)
    assert read(file) == first
    assert kept(cache).read_bytes() == whole


def test_what_another_release_kept_is_ignored(file, cache):
    first = read(file)
    rewrite(kept(cache), '"head"', '"tables"')
    assert read(file) == first


def test_a_changed_letter_is_damage(file, cache):
    first = read(file)
    place = kept(cache)
    place.write_text(place.read_text().replace('"params": 7', '"params": 8'))
    assert read(file) == first
    assert first.cards[0].params == 7


def test_what_an_older_check_let_pass_is_checked_again(file, cache):
    read(file)
    place = kept(cache)
    rewrite(place, '"params": 7', '"licence": "mit"')  # the check it passed is this one's
    assert read(file).cards
    rewrite(place, '"passed": "', '"passed": "another ')
    with pytest.raises(CatalogError, match="'licence'"):
        read(file)


def test_a_default_that_a_user_may_name_is_not_thereby_let_pass_for_a_plugin(file):
    file.write_text(TEXT.replace('classification = "net"', 'classification = "foreign"'))
    cards.refresh()
    assert cards.read_catalog(file, cards.USER).defaults == {"image-classification": "foreign"}
    with pytest.raises(CatalogError, match="'foreign'"):
        read(file)


def test_a_file_with_a_fault_is_not_kept(file, cache):
    file.write_text(TEXT + "licence = 1")
    for _ in range(2):
        with pytest.raises(CatalogError, match="'licence'"):
            read(file)
    assert not cache.exists()


def test_dates_which_json_cannot_say_are_read_each_time(file, cache):
    file.write_text(TEXT.replace("inf", "2026-11-26"))
    assert read(file) == read(file)
    assert not [f for f in cache.rglob("*") if f.is_file()]


@pytest.mark.parametrize("where", ["file", "folder"])
def test_where_nothing_can_be_kept_everything_works(file, cache, where, monkeypatch):
    if where == "file":
        cache.write_text("in the way")
    else:
        read(file)
        place = kept(cache)
        place.unlink()
        place.mkdir()
    first = read(file)
    assert read(file) == first
    assert cache.is_file() or not [f for f in cache.rglob("*") if f.is_file()]


def test_the_users_cache_folder_is_used_where_no_other_is_named(file, monkeypatch, tmp_path):
    import platformdirs

    monkeypatch.delenv("PVZOO_CACHE")
    monkeypatch.setattr(platformdirs, "user_cache_path", lambda name, appauthor: tmp_path / name)
    read(file)
    assert kept(tmp_path / "pvzoo").parent.name == "catalogs"


def test_five_thousand_cards_of_plugins_cost_a_listing_little(tmp_path):
    """Half of what is asked for, 0.3 s, where nothing else runs; the TOML alone takes seconds."""
    script = Path(__file__).parents[1] / "benchmarks" / "listing.py"
    spec = importlib.util.spec_from_file_location("listing", script)
    listing = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(listing)
    found = listing.measure(tmp_path, times=3)
    assert found["more"][1] < 0.4
    assert found["cold"][1] > found["warm"][1] + 0.5
