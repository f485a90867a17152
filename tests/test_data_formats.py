"""Formats that plugins bring."""

from __future__ import annotations

from importlib.metadata import EntryPoint

import pytest
from forked import run_command as run
from PIL import Image

from pvzoo import data
from pvzoo.data.write import write
from pvzoo.errors import DataError, UsageError
from pvzoo.plugins import registry
from pvzoo.plugins.installed import Part, installed

pytestmark = pytest.mark.usefixtures("own_cache")


@pytest.fixture
def plugin(monkeypatch):
    """A format of a plugin, and one that cannot be loaded."""
    made = [
        Part("formats", name, "my-plugin", EntryPoint(name, value, "pvzoo.formats"))
        for name, value in (("bad", "no_such_module:Bad"), ("lines", "format_plugin:Lines"))
    ]
    monkeypatch.setattr(installed(), "parts", [*installed().parts, *made])


def labelled(folder) -> None:
    folder.mkdir()
    Image.new("RGB", (20, 10)).save(folder / "a.png")
    (folder / "boxes.lines").write_text("a.png\tcat\t1\t2\t3\t4\n")


def test_a_plugins_format_is_read_checked_and_written_as_any_other(plugin, tmp_path):
    labelled(tmp_path / "in")
    found = data.load(tmp_path / "in")
    assert found[0]["objects"]["bbox"] == [[1, 2, 3, 4]]
    assert not data.check(found).errors
    write(found, tmp_path / "coco", "coco")
    write(data.load(tmp_path / "coco"), tmp_path / "out", "lines")
    assert (tmp_path / "out/boxes.lines").read_text() == "a.png\tcat\t1.0\t2.0\t3.0\t4.0\n"


def test_one_that_cannot_be_loaded_takes_no_other_down_and_is_listed(plugin, tmp_path):
    labelled(tmp_path / "in")
    assert len(data.load(tmp_path / "in")) == 1
    assert "no_such_module" in str(registry.failures("formats")["my-plugin"])
    (tmp_path / "none").mkdir()
    with pytest.raises(DataError, match=r"Lines \(a boxes.lines\)"):
        data.load(tmp_path / "none")


def test_without_the_plugin_its_format_is_none(tmp_path):
    labelled(tmp_path / "in")
    with pytest.raises(DataError, match=r"not in a format that pvzoo reads; it holds a.png, boxes"):
        data.load(tmp_path / "in")
    with pytest.raises(UsageError, match="no format 'lines'"):
        write(data.load("shapes", split="validation").select([0]), tmp_path / "out", "lines")


def test_the_command_converts_to_every_format_of_objects(tmp_path):
    labels = "0 0.5 0.5 0.2 0.4\n"
    (tmp_path / "in/images").mkdir(parents=True)
    (tmp_path / "in/labels").mkdir()
    Image.new("RGB", (20, 10)).save(tmp_path / "in/images/a.png")
    (tmp_path / "in/labels/a.txt").write_text(labels)
    (tmp_path / "in/classes.txt").write_text("cat\n")
    for form in ("cvat", "label-studio", "voc"):
        done = run("convert", tmp_path / "in", tmp_path / form, "--to", form)
        assert done.returncode == 0, done.stderr
        assert data.load(tmp_path / form)[0]["objects"]["bbox"][0] == pytest.approx([8, 3, 4, 4])
