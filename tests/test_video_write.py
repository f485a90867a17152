"""Annotated videos: times, sound, sizes, and what is left behind by an error; the command line."""

from __future__ import annotations

import json
from pathlib import Path

import av
import numpy as np
import pytest
import videos
from typer.testing import CliRunner
from videos import Square

import pvzoo
from pvzoo.cli import app
from pvzoo.errors import PvzooError, UsageError
from pvzoo.video import AnnotatedVideo

SQUARES = (Square(0, (5, 20), (2.0, 0.3)), Square(1, (100, 60), (-1.5, 0)))


def clip(path: Path, count: int = 40, **options) -> Path:
    return videos.write(path, (videos.scene(i, SQUARES) for i in range(count)), **options)


def annotated(source: Path, out: Path, **options) -> list[float]:
    times = []
    with AnnotatedVideo(out) as video:
        for result in videos.model().stream(source, **options):
            video.add(result)
            times.append(result.time)
    return times


def frames(path: Path) -> list[tuple[float, np.ndarray]]:
    with av.open(str(path)) as container:
        return [(f.time, f.to_ndarray(format="rgb24")) for f in container.decode(video=0)]


def loudness(path: Path) -> tuple[float, float]:
    """Seconds of sound, and the share of samples that are not silent."""
    with av.open(str(path)) as container:
        rate = container.streams.audio[0].rate
        samples = np.concatenate(
            [
                f.to_ndarray().astype(float).reshape(-1, f.samples)[0]
                for f in container.decode(audio=0)
            ]
        )
    return len(samples) / rate, float((np.abs(samples) > 0.01 * np.abs(samples).max()).mean())


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov", ".webm"])
def test_an_annotated_video_has_the_times_and_the_sound_of_the_original(tmp_path, suffix):
    source = clip(tmp_path / "in.mp4", sound=1.6)
    out = tmp_path / f"out{suffix}"
    times = annotated(source, out)
    written = frames(out)
    first = written[0][0]  # Matroska moves all by what a sound decoder needs to begin
    assert [t - first for t, _ in written] == pytest.approx(times, abs=0.002)
    assert first < 0.03
    seconds, loud = loudness(out)
    assert seconds == pytest.approx(1.6, abs=0.06)
    assert loud > 0.9
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []


def test_what_is_drawn_is_the_result(tmp_path):
    source = clip(tmp_path / "in.mp4")
    out = tmp_path / "out.mp4"
    drawn = []
    with AnnotatedVideo(out) as video:
        for result in videos.model().stream(source, track=True):
            video.add(result)
            drawn.append(np.asarray(result.plot()).astype(int))
    for (_, ours), expected in zip(frames(out), drawn, strict=True):
        assert np.abs(ours.astype(int) - expected).mean() < 6


def test_sound_that_the_container_cannot_hold_is_encoded_again(tmp_path):
    source = clip(tmp_path / "in.avi", codec="mpeg4", sound=1.6, sound_codec="pcm_s16le")
    out = tmp_path / "out.mp4"
    annotated(source, out)
    with av.open(str(out)) as container:
        assert container.streams.audio[0].codec_context.name == "aac"
    seconds, loud = loudness(out)
    assert seconds == pytest.approx(1.6, abs=0.06)
    assert loud > 0.9


def test_copied_sound_is_the_same_bytes(tmp_path):
    source = clip(tmp_path / "in.mp4", sound=1.6)
    out = tmp_path / "out.mp4"
    annotated(source, out)

    def packets(path):
        with av.open(str(path)) as container:
            return [bytes(p) for p in container.demux(audio=0) if p.size]

    assert packets(out) == packets(source)[: len(packets(out))]
    assert len(packets(out)) >= len(packets(source)) - 2


def test_a_part_has_its_own_sound(tmp_path):
    """The sound begins in the middle of the video, and so it does in the part."""
    source = tmp_path / "in.mp4"
    clip(source, 50, sound=2.0)
    out = tmp_path / "out.mp4"
    annotated(source, out, start=0.8, stop=1.4)
    assert [t for t, _ in frames(out)] == pytest.approx([i / 25 for i in range(15)], abs=0.002)
    assert loudness(out)[0] == pytest.approx(0.6, abs=0.06)


def test_transport_streams_keep_their_sound(tmp_path):
    source = clip(tmp_path / "in.ts", sound=1.6)
    out = tmp_path / "out.mp4"
    annotated(source, out)
    assert loudness(out)[0] == pytest.approx(1.6, abs=0.08)


def test_a_variable_frame_rate_and_left_out_frames_keep_their_times(tmp_path):
    times = [0.0, 0.04, 0.5, 0.52, 1.3, 1.9]
    source = clip(tmp_path / "in.mkv", 6, times=times)
    annotated(source, tmp_path / "out.mp4")
    assert [t for t, _ in frames(tmp_path / "out.mp4")] == pytest.approx(times, abs=0.002)
    steady = clip(tmp_path / "steady.mp4")
    annotated(steady, tmp_path / "some.mp4", every=10)
    assert [t for t, _ in frames(tmp_path / "some.mp4")] == pytest.approx([0, 0.4, 0.8, 1.2])


def test_an_odd_size_and_a_turned_video_are_written_upright(tmp_path):
    odd = [videos.numbered(i, (487, 361)) for i in range(3)]
    source = videos.write(tmp_path / "odd.mkv", odd, pix_fmt="yuv444p", rotation=90)
    annotated(source, tmp_path / "out.mp4")
    assert frames(tmp_path / "out.mp4")[0][1].shape == (362, 488, 3)


def test_an_error_leaves_no_file_and_an_old_one_as_it_was(tmp_path):
    source = clip(tmp_path / "in.mp4")
    out = tmp_path / "out.mp4"
    out.write_bytes(b"old")

    def fails():
        with AnnotatedVideo(out) as video:
            for result in videos.model().stream(source):
                video.add(result)
                if result.frame == 9:
                    raise RuntimeError("stop")

    with pytest.raises(RuntimeError):
        fails()
    assert out.read_bytes() == b"old"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in.mp4", "out.mp4"]


def test_what_was_written_before_ctrl_c_is_kept(tmp_path):
    source = clip(tmp_path / "in.mp4", sound=1.6)
    out = tmp_path / "out.mp4"

    def interrupted():
        with AnnotatedVideo(out) as video:
            for result in videos.model().stream(source):
                video.add(result)
                if result.frame == 9:
                    raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert len(frames(out)) == 10


def test_the_video_itself_is_not_overwritten(tmp_path):
    source = clip(tmp_path / "in.mp4")
    before = source.read_bytes()
    with pytest.raises(UsageError, match="is the video itself"):
        annotated(source, source)
    assert source.read_bytes() == before


def test_other_suffixes_and_results_of_images_are_refused(tmp_path):
    with pytest.raises(UsageError, match=r"out\.avi.*\.mp4"):
        AnnotatedVideo(tmp_path / "out.avi")
    result = videos.model().predict(videos.scene(0, SQUARES))
    with AnnotatedVideo(tmp_path / "out.mp4") as video, pytest.raises(UsageError, match="video"):
        video.add(result)
    assert not (tmp_path / "out.mp4").exists()


# --- the command line -----------------------------------------------------------------------------


@pytest.fixture
def run(monkeypatch):
    """Runs `pvzoo predict` with the model that finds squares."""
    monkeypatch.setattr(pvzoo, "load", lambda *args, **options: videos.model())

    def invoke(*arguments):
        return CliRunner().invoke(app, ["predict", "-m", "squares", *map(str, arguments)])

    return invoke


def test_the_command_writes_an_annotated_video_and_a_line_of_json_for_each_frame(run, tmp_path):
    source, out = clip(tmp_path / "in.mp4", sound=1.6), tmp_path / "out.mp4"
    done = run(source, "--save", out, "--json", "--track", "bytetrack", "--every", 2)
    assert done.exit_code == 0, done.output
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert [line["frame"] for line in lines] == list(range(0, 40, 2))
    assert lines[5]["time"] == pytest.approx(0.4)
    assert {row["track_id"] for row in lines[10]["predictions"]} == {0, 1}
    assert len(frames(out)) == 20
    assert loudness(out)[0] == pytest.approx(1.6, abs=0.06)


def test_the_command_writes_frames_to_a_folder_and_labels_to_review(run, tmp_path):
    source = clip(tmp_path / "in.mp4", 12)
    done = run(
        *(source, "--save", tmp_path / "frames", "--every", 6),
        *("--review", tmp_path / "labels", "--to", "coco"),
    )
    assert done.exit_code == 0, done.output
    names = ["in-000000.png", "in-000006.png"]
    assert sorted(p.name for p in (tmp_path / "frames").iterdir()) == names
    assert sorted(p.name for p in (tmp_path / "labels").rglob("*.png")) == names
    assert "frame 6, 0.24 s" in done.stdout


def test_a_video_is_given_alone(run, tmp_path):
    source = clip(tmp_path / "in.mp4", 3)
    done = run(source, tmp_path)
    assert isinstance(done.exception, PvzooError) or done.exit_code == 2
