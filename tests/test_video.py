"""Videos as inputs: frames, times, parts, damage, and what a strange file makes FFmpeg read."""

from __future__ import annotations

import copy
import pickle
import re
import threading
import tomllib
import warnings
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import av
import numpy as np
import pytest
import videos
from PIL import Image

from pvzoo.errors import ImageError, PvzooWarning, UsageError
from pvzoo.inputs.video import Video


@pytest.fixture(scope="module")
def model():
    return videos.model()


@pytest.fixture(scope="module")
def clip(tmp_path_factory) -> Path:
    """30 frames at 25 per second, with B-frames and a key frame every 8 frames."""
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    return videos.sample(path, preset="veryfast", bf="2", g="8", keyint_min="8")


def seen(results) -> list[int]:
    """The numbers that the frames of results show, read while they are streamed."""
    return [videos.number_of(result.image.open()) for result in results]


def test_every_frame_is_a_result_with_its_index_time_and_image(model, clip):
    results = []
    for result in model.stream(clip):
        assert videos.number_of(result.image.open()) == result.frame
        results.append(result)
    assert [r.frame for r in results] == list(range(30))
    assert [r.time for r in results] == pytest.approx([i / 25 for i in range(30)])
    assert {r.source for r in results} == {str(clip)}
    assert results[4].to_dict()["frame"] == 4
    assert results[4].to_dict()["time"] == pytest.approx(0.16)


def test_the_image_of_a_frame_is_decoded_again_by_its_time(model, clip):
    during = []
    kept = []
    for result in model.stream(str(clip)):
        during.append(np.asarray(result.image.open()))
        kept.append(result)
    for i in (29, 0, 13, 7, 8):
        np.testing.assert_array_equal(np.asarray(kept[i].image.open()), during[i])
    copied = pickle.loads(pickle.dumps(copy.deepcopy(kept[11])))
    np.testing.assert_array_equal(np.asarray(copied.image.open()), during[11])


def test_results_of_a_video_hold_no_pixels(model, clip):
    results = list(model.stream(clip))
    assert all(len(pickle.dumps(result)) < 4000 for result in results)
    assert all(result.image._held.frame is None for result in results)


def test_images_are_not_what_they_were_if_the_file_is_gone(model, tmp_path):
    path = videos.sample(tmp_path / "gone.mp4", 5)
    results = list(model.stream(path))
    path.unlink()
    with pytest.raises(ImageError, match=r"gone\.mp4"):
        results[2].image.open()


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        ({"every": 7}, [0, 7, 14, 21, 28]),
        ({"start": 0.5}, list(range(13, 30))),
        ({"stop": 0.4}, list(range(10))),
        ({"start": 0.4, "stop": 0.8, "every": 4}, [10, 14, 18]),
        ({"start": 0.32, "stop": 0.36}, [8]),
    ],
)
def test_a_part_has_the_same_frames_as_the_whole(model, clip, part, expected):
    results = []
    for result in model.stream(clip, **part):
        assert videos.number_of(result.image.open()) == result.frame
        results.append(result)
    assert [r.frame for r in results] == expected
    assert [r.time for r in results] == pytest.approx([i / 25 for i in expected])
    assert videos.number_of(results[-1].image.open()) == expected[-1]


def test_a_start_after_the_end_gives_nothing_and_a_warning(model, clip):
    with pytest.warns(PvzooWarning, match=r"no frames after 9.*ends at 1\.2"):
        assert list(model.stream(clip, start=9)) == []


@pytest.mark.parametrize(
    ("name", "codec"),
    [("a.ts", "mpeg2video"), ("a.mpg", "mpeg2video"), ("a.mkv", "libx264"), ("a.wmv", "wmv2")],
)
def test_a_start_gives_the_right_frames_in_containers_that_do_not_seek_exactly(
    tmp_path, name, codec
):
    frames = (videos.numbered(i) for i in range(100))
    path = videos.write(tmp_path / name, frames, codec=codec, g="12", qmin="1", qmax="2")
    for start in (0.6, 3.0):
        first = next(iter(Video(path, start=start)))
        assert first.frame == round(first.time * 25) == videos.number_of(first.open())
        assert first.time == pytest.approx(start, abs=0.05)


def test_a_video_whose_frames_grow_is_not_decoded_beyond_the_limit_of_pixels(tmp_path, monkeypatch):
    parts = [
        videos.write(tmp_path / f"{height}.h264", [np.zeros((height, width, 3), np.uint8)] * count)
        for height, width, count in ((48, 64, 400), (480, 640, 6))
    ]
    both = tmp_path / "both.h264"
    both.write_bytes(b"".join(part.read_bytes() for part in parts))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100_000)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = {frame.open().size for frame in Video(both)}
    assert found == {(64, 48)}


def test_frames_after_the_clock_has_jumped_back_are_not_lost(tmp_path):
    frames = [np.zeros((48, 64, 3), np.uint8)] * 20
    late = videos.write(tmp_path / "a.ts", frames, times=[50 + i / 25 for i in range(20)])
    early = videos.write(tmp_path / "b.ts", frames)
    both = tmp_path / "both.ts"
    both.write_bytes(late.read_bytes() + early.read_bytes())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert len(list(Video(both))) == 40


def test_a_video_that_is_not_there_is_a_sentence(tmp_path):
    with pytest.raises(ImageError, match="does not exist"):
        next(iter(Video(tmp_path / "nothing.mp4")))


def test_a_variable_frame_rate_is_honoured(model, tmp_path):
    times = [0.0, 0.04, 0.08, 0.5, 0.52, 1.3, 1.9, 1.94]
    path = videos.sample(tmp_path / "slow.mkv", len(times), times=times)
    results = list(model.stream(path))
    assert [r.time for r in results] == pytest.approx(times, abs=0.002)
    late = list(model.stream(path, start=1.0))
    assert [(r.frame, videos.number_of(r.image.open())) for r in late] == [(5, 5), (6, 6), (7, 7)]


@pytest.mark.parametrize("degrees", [90, 180, -90])
def test_rotation_in_the_metadata_is_applied(model, tmp_path, degrees):
    pixels = videos.numbered(5)
    pixels[40:60, 100:140] = videos.COLOURS[0]
    path = videos.write(tmp_path / "turned.mp4", [pixels] * 3, rotation=degrees)
    upright = np.rot90(pixels, degrees // 90)
    result = next(model.stream(path))
    assert result.size == upright.shape[:2]
    assert np.abs(np.asarray(result.image.open()).astype(int) - upright).mean() < 4
    ys, xs = np.nonzero((upright == videos.COLOURS[0]).all(axis=-1))
    truth = [xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]
    np.testing.assert_allclose(result.boxes[0], truth, atol=2)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("clip.mkv", {"pix_fmt": "yuv444p"}),
        ("clip.mp4", {"pix_fmt": "yuv420p10le"}),
        ("clip.webm", {"codec": "libvpx-vp9", "deadline": "realtime", "crf": "10"}),
        ("clip.avi", {"codec": "mpeg4", "qscale": "2"}),
        ("clip.mov", {"codec": "mjpeg", "pix_fmt": "yuvj420p"}),
        ("clip.mkv", {"codec": "ffv1", "pix_fmt": "bgr0"}),
        ("clip.ts", {}),
        ("clip.mpg", {"codec": "mpeg2video"}),
    ],
)
def test_many_containers_codecs_and_colours_are_read(model, tmp_path, name, options):
    path = videos.sample(tmp_path / name, 12, **options)
    results = []
    for result in model.stream(path):
        assert videos.number_of(result.image.open()) == result.frame
        results.append(result)
    assert [r.frame for r in results] == list(range(12))
    assert results[0].time == 0
    assert results[-1].time == pytest.approx(11 / 25, abs=0.002)
    assert videos.number_of(results[6].image.open()) == 6


def test_an_odd_size_is_kept(model, tmp_path):
    frames = [videos.numbered(i, (97, 161)) for i in range(3)]
    path = videos.write(tmp_path / "odd.mkv", frames, pix_fmt="yuv444p")
    assert [r.size for r in model.stream(path)] == [(97, 161)] * 3


def test_colours_are_those_of_ffmpeg(model, tmp_path):
    """The colour space in the file decides; here it is that of HD."""
    pixels = np.zeros((64, 96, 3), np.uint8)
    pixels[:] = (200, 60, 20)
    path = videos.write(
        tmp_path / "hd.mp4",
        [pixels] * 2,
        colorspace="bt709",
        **{"x264-params": "colormatrix=bt709"},
    )
    with av.open(str(path)) as container:
        theirs = next(container.decode(video=0)).to_image()
    ours = next(model.stream(path)).image.open()
    np.testing.assert_array_equal(np.asarray(ours), np.asarray(theirs))


# --- damage ---------------------------------------------------------------------------------------


def test_a_video_that_ends_early_gives_what_was_read_and_a_warning(model, tmp_path):
    path = videos.sample(tmp_path / "whole.mp4", 100, faststart=True)
    data = path.read_bytes()
    short = tmp_path / "short.mp4"
    short.write_bytes(data[: len(data) // 2])
    with pytest.warns(PvzooWarning, match=r"short\.mp4"):
        results = list(model.stream(short))
    assert 20 < len(results) < 80
    assert [r.frame for r in results] == list(range(len(results)))


def test_damage_in_the_middle_is_warned_of(model, tmp_path):
    path = videos.sample(tmp_path / "hurt.ts", 60, g="10")
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    rng = np.random.default_rng(0)
    data[middle : middle + 3000] = rng.integers(0, 256, 3000, np.uint8).tobytes()
    path.write_bytes(data)
    with pytest.warns(PvzooWarning, match="damaged"):
        results = list(model.stream(path))
    assert len(results) > 30


def test_a_video_without_its_index_is_refused_with_one_sentence(model, tmp_path):
    path = videos.sample(tmp_path / "cut.mp4", 30)
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(ImageError, match=r"cut\.mp4 is not a video that can be read"):
        list(model.stream(path))


def test_a_video_without_frames_is_refused(model, tmp_path):
    path = tmp_path / "none.mkv"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        out.start_encoding()
    with pytest.raises(ImageError, match=r"none\.mkv"):
        list(model.stream(path))


def test_only_sound_is_not_a_video(model, tmp_path):
    path = tmp_path / "song.mp4"
    with av.open(str(path), "w") as out:
        tone = out.add_stream("aac", rate=48000)
        block = av.AudioFrame.from_ndarray(np.zeros((1, 48000), np.int16), "s16", "mono")
        block.sample_rate = 48000
        out.mux(tone.encode(block))
        out.mux(tone.encode())
    with pytest.raises(ImageError, match=r"song\.mp4 is not a video: it has only sound"):
        list(model.stream(path))


def test_a_wrong_suffix_does_not_matter(model, tmp_path, clip):
    path = tmp_path / "clip.dat"
    path.write_bytes(clip.read_bytes())
    assert len(list(model.stream(path))) == 30


@pytest.mark.parametrize("content", [b"", b"these are only words\n" * 50, b"\0" * 5000])
def test_what_is_not_a_video_is_refused_with_one_sentence(model, tmp_path, content):
    path = tmp_path / "fake.mp4"
    path.write_bytes(content)
    with pytest.raises(ImageError, match=r"fake\.mp4 (is|has)"):
        list(model.stream(path))


def test_an_image_that_is_called_a_video_is_refused(model, tmp_path):
    path = tmp_path / "image.mp4"
    Image.new("RGB", (64, 64)).save(path, format="JPEG")
    with pytest.raises(ImageError, match="not a video"):
        list(model.stream(path))


def test_predict_refuses_a_video_and_names_stream(model, clip):
    with pytest.raises(ImageError, match=r"video.*model\.stream"):
        model.predict(clip)


def test_huge_frames_are_refused(model, clip, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10_000)
    with pytest.raises(ImageError, match=r"clip\.mp4.*(pixels|read)"):
        list(model.stream(clip))


# --- strangers' files -----------------------------------------------------------------------------


@pytest.fixture
def server(tmp_path_factory):
    """A web server on this machine, which notes what is asked of it."""
    folder = tmp_path_factory.mktemp("served")
    asked: list[str] = []

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *args):
            asked.append(self.path)

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder)))
    threading.Thread(target=httpd.serve_forever, daemon=True).start()
    yield folder, f"http://127.0.0.1:{httpd.server_port}", asked
    httpd.shutdown()


@pytest.mark.parametrize("suffix", [".mp4", ".m3u8", ".txt", ".mpd", ".mkv", ".sdp"])
def test_a_file_that_names_other_files_or_addresses_reads_none_of_them(
    model, tmp_path, clip, server, suffix
):
    _, address, asked = server
    lists = {
        "hls": "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{}\n#EXT-X-ENDLIST\n",
        "concat": "ffconcat version 1.0\nfile '{}'\n",
        "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\nc=IN IP4 127.0.0.1\nm=video 5004 RTP/AVP 96\n"
        "a=rtpmap:96 H264/90000\na={}\n",
        "dash": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011"><Period>'
        '<AdaptationSet mimeType="video/mp4"><Representation id="1"><BaseURL>{}</BaseURL>'
        "</Representation></AdaptationSet></Period></MPD>",
    }
    for kind, text in lists.items():
        for target in (clip, f"{address}/secret.mp4"):
            path = tmp_path / f"{kind}{suffix}"
            path.write_text(text.format(target))
            with pytest.raises(ImageError):
                list(model.stream(path))
    assert asked == []


def test_a_reference_of_a_movie_to_another_file_is_not_followed(model, tmp_path, clip):
    """QuickTime movies may name the file that their pixels are in."""
    data = clip.read_bytes()
    entry = b"\0\0\0\x0curl \0\0\0\x01"  # "in this file"
    assert entry in data
    name = str(clip).encode() + b"\0"
    outside = (len(name) + 12).to_bytes(4, "big") + b"url \0\0\0\0" + name
    path = tmp_path / "refers.mp4"
    path.write_bytes(data.replace(entry, outside).replace(b"mdat", b"free"))
    with pytest.raises(ImageError):
        list(model.stream(path))


@pytest.mark.parametrize(
    "name", ["concat:a.mp4|b.mp4", "lavfi:testsrc", "http:x.mp4", "%03d.mp4", "pipe:0", "a:b.mp4"]
)
def test_a_file_name_is_never_a_protocol_or_pattern(model, tmp_path, clip, name, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path(name).write_bytes(clip.read_bytes())
    assert len(list(model.stream(name))) == 30


# --- live -----------------------------------------------------------------------------------------


def test_an_address_that_the_caller_names_is_read_and_its_images_live_until_the_next(
    model, clip, server
):
    folder, address, _ = server
    (folder / "live.mp4").write_bytes(clip.read_bytes())
    results = []
    for result in model.stream(f"{address}/live.mp4", batch_size=4):
        assert videos.number_of(result.image.open()) == result.frame
        results.append(result)
    assert len(results) == 30
    with pytest.raises(ImageError, match="only until the next result"):
        results[3].image.open()


def test_a_password_is_not_in_messages(model):
    with pytest.raises(ImageError) as caught:
        list(model.stream("rtsp://me:secret@127.0.0.1:1/stream"))
    assert "secret" not in str(caught.value)
    assert "rtsp://127.0.0.1:1/stream" in str(caught.value)


def test_a_camera_that_is_not_there_is_one_sentence(model):
    with pytest.raises(ImageError, match="camera 93 cannot be opened"):
        list(model.stream(93))
    with pytest.raises(UsageError, match="no camera -1"):
        model.stream(-1)


# --- options --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "part",
    [{"every": 0}, {"every": 1.5}, {"start": -1}, {"start": 2, "stop": 2}, {"stop": "a"}],
)
def test_impossible_parts_are_refused_before_the_first_frame(model, clip, part):
    with pytest.raises(UsageError, match=next(reversed(part))):
        model.stream(clip, **part)


def test_parts_are_only_for_videos(model):
    with pytest.raises(UsageError, match="every is only for videos"):
        model.stream([np.zeros((8, 8, 3), np.uint8)], every=2)


def test_progress_knows_how_many_frames_there_are(model, clip):
    shown = []
    list(model.stream(clip, every=3, progress=lambda done, total: shown.append((done, total))))
    assert shown[-1] == (10, 10)


def test_a_folder_of_frames_stays_a_folder_of_images(model, tmp_path):
    for i in range(3):
        Image.fromarray(videos.numbered(i)).save(tmp_path / f"{i}.png")
    results = list(model.stream(tmp_path))
    assert seen(results) == [0, 1, 2]
    assert results[0].frame is None
    assert "frame" not in results[0].to_dict()


def test_a_video_can_be_iterated_by_itself(clip):
    assert [frame.frame for frame in Video(clip, every=10)] == [0, 10, 20]


def test_only_the_extras_that_say_so_install_parts_under_the_gpl():
    """The wheels of av hold x264 and x265, and supervision needs av."""
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]

    def packages(name: str) -> set[str]:
        found: set[str] = set()
        for line in extras[name]:
            base, _, own = re.match(r"([\w-]+)(\[([\w,-]+)\])?", line).groups()
            inner = [packages(part) for part in own.split(",")] if base == "pvzoo" else [{base}]
            found = found.union(*inner)
        return found

    brings = {name for name in extras if packages(name) & {"av", "supervision", "trackers"}}
    assert brings == {"video", "supervision", "test", "test-base"}
    assert not {"av", "supervision", "trackers"} & {
        re.match(r"[\w-]+", line)[0] for line in project["dependencies"]
    }
