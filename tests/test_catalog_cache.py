"""What is kept of catalogue files for later processes: it is never wrong, and it is fast."""

from __future__ import annotations

import importlib.util
import json
import os
from pathlib import Path

import pytest

from pvzoo.catalog import cards, catalogue, files
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


def read(file: Path) -> files.CatalogFile:
    """As a new process reads it."""
    catalogue.refresh()
    return files.read_catalog(file, "zoo")


def kept(cache: Path) -> Path:
    """The one file that is kept."""
    (found,) = (f for f in cache.rglob("*") if f.is_file())
    return found


def rewrite(place: Path, old: str, new: str) -> None:
    """Change what is kept."""
    text = place.read_text(encoding="utf-8")
    assert old in text
    place.write_text(text.replace(old, new), encoding="utf-8")


def test_what_was_kept_gives_the_same_cards(file, cache):
    first = read(file)
    assert json.loads(kept(cache).read_text())
    again = read(file)
    assert again == first
    (card,) = again.cards
    assert card.source == cards.WeightsSource(path=file.parent / "weights", rename=(("^a", "b"),))
    assert card.aliases == ("old-net",)
    assert card.metrics == (cards.CardMetric("top1", 80), cards.CardMetric("top5", 90.5))
    assert card.config == {"a": [1, 2.5, True, "x"], "b": {"c": float("inf")}}
    assert card.license is None


def test_what_was_kept_is_used(file, cache):
    read(file)
    rewrite(kept(cache), '"adapter": "timm"', '"adapter": "kept"')
    assert read(file).cards[0].adapter == "kept"


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
def test_what_was_damaged_is_ignored_and_fixed(file, cache, damage):
    first = read(file)
    place = kept(cache)
    whole = place.read_bytes()
    place.write_bytes(whole[: len(whole) // 2] if damage == "half" else damage)
    assert read(file) == first
    assert kept(cache).read_bytes() == whole


def test_what_another_release_kept_is_ignored(file, cache):
    first = read(file)
    digest, tables = json.loads(kept(cache).read_text())
    kept(cache).write_text(json.dumps({"sha256": digest, "tables": tables}))
    assert read(file) == first


def test_what_is_kept_is_checked_as_the_file_is(file, cache):
    read(file)
    rewrite(kept(cache), '"params": 7', '"licence": "mit"')
    with pytest.raises(CatalogError, match="'licence'"):
        read(file)


def test_a_default_that_a_user_may_name_is_not_thereby_let_pass_for_a_plugin(file):
    file.write_text(TEXT.replace('classification = "net"', 'classification = "foreign"'))
    catalogue.refresh()
    assert files.read_catalog(file, cards.USER).defaults == {"image-classification": "foreign"}
    with pytest.raises(CatalogError, match="'foreign'"):
        read(file)


def test_a_file_with_a_fault_is_refused_each_time(file):
    file.write_text(TEXT + "licence = 1")
    for _ in range(2):
        with pytest.raises(CatalogError, match="'licence'"):
            read(file)


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
        index = kept(cache)
        index.unlink()
        index.mkdir()
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
    """Less than a listing of pvzoo's own, and than their TOML; in ratios, as machines differ."""
    script = Path(__file__).parents[1] / "benchmarks" / "listing.py"
    spec = importlib.util.spec_from_file_location("listing", script)
    listing = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(listing)
    _, busy = zip(*listing.measure(tmp_path, times=3).values(), strict=True)
    without, cold, warm, more = busy
    assert more < without
    assert cold - without > 1.5 * (warm - without)
