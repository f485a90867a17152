"""The demo's tab for videos: what it answers, its limits, and what it refuses."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import av
import pytest
import videos
from videos import Square

from pvzoo.demo import Limits
from pvzoo.demo.client_images import keep
from pvzoo.demo.output_cache import Answers
from pvzoo.demo.video_tab import VideoTab
from pvzoo.web.model_cache import Shelf

gr = pytest.importorskip("gradio")

SQUARES = (Square(0, (5, 20), (2.0, 0.3)), Square(1, (100, 60), (-1.5, 0)))
FIRST = {"threshold": 0.5, "track": True, "every": 1}


def tab(model=None, **limits) -> VideoTab:
    model = model or videos.model()
    allowed = Limits(**limits)
    with gr.Blocks():
        return VideoTab(
            [model.name],
            model.name,
            shelf=Shelf([model], (), budget=allowed.models),
            answers=Answers(allowed),
            limits=allowed,
        )


def asked(page: VideoTab, video: object, **options) -> tuple[str, object, object]:
    """What the page shows: status, video and file of JSON Lines."""
    values = {**FIRST, **options}
    status, drawn, lines = page.answer(video, "squares", **values)
    assert tempfile.gettempdir() not in status
    return status.replace("\\", ""), drawn, lines  # without what Markdown needs


@pytest.fixture
def uploaded(tmp_path, monkeypatch):
    """A video, as a browser that uploaded it names it."""
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "gradio"))

    def upload(count=20, **options):
        source = videos.write(
            tmp_path / "street.mp4", (videos.scene(i, SQUARES) for i in range(count)), **options
        )
        return {"path": keep(source.read_bytes(), "street.mp4")}

    return upload


def count(path) -> int:
    with av.open(str(path)) as container:
        return sum(1 for _ in container.decode(video=0))


def test_a_video_comes_out_annotated_with_a_line_for_each_frame(uploaded):
    status, drawn, lines = asked(tab(), uploaded(20, sound=0.8))
    assert status.startswith("20 frames, ")
    assert count(drawn) == 20
    with av.open(drawn) as container:
        assert container.streams.audio
    rows = [
        json.loads(line)
        for line in Path(lines.value["path"]).read_text(encoding="utf-8").splitlines()
    ]
    assert [row["frame"] for row in rows] == list(range(20))
    assert {row["source"] for row in rows} == {"street.mp4"}
    assert {p["track_id"] for p in rows[-1]["predictions"]} == {0, 1}


def test_the_options_of_the_page_hold(uploaded):
    _, drawn, lines = asked(tab(), uploaded(20), every=5, track=False, threshold=0.99)
    assert count(drawn) == 4
    rows = [
        json.loads(line)
        for line in Path(lines.value["path"]).read_text(encoding="utf-8").splitlines()
    ]
    assert [row["predictions"] for row in rows] == [[]] * 4


def test_models_of_other_tasks_take_videos_too(uploaded):
    status, drawn, _ = asked(tab(videos.model("semantic-segmentation")), uploaded(6))
    assert status.startswith("6 frames")
    assert count(drawn) == 6


def test_only_the_first_seconds_and_frames_are_used(uploaded):
    video = uploaded(40)
    assert count(asked(tab(video_seconds=0.4), video)[1]) == 10
    assert count(asked(tab(video_frames=7), video)[1]) == 7


def test_large_frames_and_large_files_are_refused(uploaded):
    video = uploaded(5)
    assert "160 x 96 pixels" in asked(tab(video_pixels=10_000), video)[0]
    assert "bytes, more than 2,000" in asked(tab(max_bytes=2000), video)[0]


@pytest.mark.parametrize(
    "value",
    [
        {"path": "/etc/passwd"},
        {"path": "http://127.0.0.1/a.mp4"},
        {"path": "rtsp://127.0.0.1/a"},
        {"url": "file:///etc/passwd"},
        {"path": None},
        "street.mp4",
        7,
    ],
)
def test_only_uploaded_files_are_opened(uploaded, value):
    status, drawn, _ = asked(tab(), value)
    assert "not on the server" in status
    assert drawn is None


def test_what_is_not_a_video_is_one_sentence(uploaded):
    status, drawn, _ = asked(tab(), {"path": keep(b"only words" * 99, "street.mp4")})
    assert status.startswith("street.mp4 is not a video that can be read")
    assert drawn is None
    assert asked(tab(), None)[0] == "Choose a video."


@pytest.mark.parametrize(
    "options", [{"every": 0}, {"every": "x"}, {"threshold": 7}, {"threshold": {"a": 1}}]
)
def test_values_that_no_page_sends_are_refused(uploaded, options):
    status, drawn, _ = asked(tab(), uploaded(5), **options)
    assert drawn is None
    assert status
    assert "Traceback" not in status


def test_a_slow_network_is_given_up(uploaded):
    import time

    model = videos.model()
    compute = model.adapter.compute

    def slowly(inputs):
        time.sleep(0.3)
        return compute(inputs)

    model.adapter.compute = slowly
    status, drawn, _ = asked(tab(model, seconds=0.5), uploaded(20))
    assert drawn is None or count(drawn) < 20
    assert status
