"""Tracking: ids on the network's own objects, as `trackers` itself gives them, and how good."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import supervision as sv
import trackers
import videos
from trackers.eval import evaluate_mot_sequence
from videos import Square

from pvzoo.errors import UsageError
from pvzoo.results.detections import Detections

CROSSING = (
    Square(0, (5, 20), (2.0, 0.3)),
    Square(1, (130, 26), (-1.8, 0.2)),
    Square(2, (60, 70), (0.5, -0.4)),
    Square(3, (10, 72), (2.4, 0.0)),  # leaves the frame on the right
    Square(4, (-60, 50), (1.5, 0.0)),  # enters the frame later
)
COUNT = 70


def truth(path: Path, squares=CROSSING, count=COUNT) -> Path:
    """The squares that are at least half inside the frame, as a MOTChallenge file."""
    lines = []
    for number in range(count):
        for track, square in enumerate(squares, 1):
            left, top, right, bottom = square.box(number)
            x0, y0, x1, y1 = max(0, left), max(0, top), min(160, right), min(96, bottom)
            if (x1 - x0) * (y1 - y0) >= 0.5 * square.side**2 and x1 > x0 and y1 > y0:
                lines.append(f"{number + 1},{track},{x0},{y0},{x1 - x0},{y1 - y0},1,1,1\n")
    path.write_text("".join(lines), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def clip(tmp_path_factory) -> Path:
    """Squares that cross, leave and enter; every tenth frame is blurred."""
    frames = []
    for number in range(COUNT):
        frame = videos.scene(number, CROSSING)
        if number % 10 == 9:
            blurred = (frame.astype(int) + np.roll(frame, 3, axis=1)) // 2
            frame[videos.BLOCK :] = blurred[videos.BLOCK :]
        frames.append(frame)
    return videos.write(tmp_path_factory.mktemp("tracks") / "crossing.mp4", frames, crf="4")


@pytest.fixture(scope="module", params=["object-detection", "instance-segmentation"])
def model(request):
    return videos.model(request.param)


def test_objects_scores_and_order_are_those_of_the_network(model, clip):
    tiles = {"tiles": 80, "threshold": 0.3, "max_detections": 3}
    for options in ({}, {"threshold": 0.05}, {"max_detections": 2}, {"nms": 0.3}, tiles):
        plain = list(model.stream(clip, **options))
        tracked = list(model.stream(clip, track=True, **options))
        assert len(plain) == len(tracked) == COUNT
        for a, b in zip(plain, tracked, strict=True):
            np.testing.assert_array_equal(a.boxes, b.boxes)
            np.testing.assert_array_equal(a.scores, b.scores)
            np.testing.assert_array_equal(a.labels, b.labels)
            assert a.names == b.names
            assert (a.image.frame, a.image.time) == (b.image.frame, b.image.time)
            assert a.track_id is None
            assert len(b.track_id) == len(b.trails) == len(b)
            if model.task == "instance-segmentation":
                assert a.masks.to_coco() == b.masks.to_coco()


@pytest.mark.parametrize("name", ["bytetrack", "sort", "ocsort", "cbiou", "botsort"])
def test_track_ids_are_those_of_the_package_called_by_hand(model, clip, name):
    kinds = {
        "bytetrack": trackers.ByteTrackTracker,
        "sort": trackers.SORTTracker,
        "ocsort": trackers.OCSORTTracker,
        "cbiou": trackers.CBIoUTracker,
        "botsort": trackers.BoTSORTTracker,
    }
    by_hand = kinds[name](frame_rate=25)
    some = False
    for plain, ours in zip(
        model.stream(clip, threshold=0.1),
        model.stream(clip, threshold=0.1, track=name),
        strict=True,
    ):
        found = sv.Detections(xyxy=plain.boxes, confidence=plain.scores, class_id=plain.labels)
        pixels = {}
        if name == "botsort":
            pixels["frame"] = np.ascontiguousarray(np.asarray(plain.image.open())[..., ::-1])
        theirs = by_hand.update(found, timestamp=plain.time, **pixels)
        expected = {
            tuple(box): None if i < 0 else i
            for box, i in zip(theirs.xyxy.tolist(), theirs.tracker_id.tolist(), strict=True)
        }
        got = dict(zip(map(tuple, ours.boxes.tolist()), ours.track_id, strict=True))
        assert {box: expected.get(box) for box in got} == got
        some |= any(i is not None for i in ours.track_id)
    assert some


def test_tracks_of_crossing_squares_are_right_by_hota_and_idf1(clip, tmp_path):
    model = videos.model()
    tracks = tmp_path / "tracks.txt"
    with tracks.open("w") as file:
        for result in model.stream(clip, track=True):
            file.write(result.to_mot())
    metrics = evaluate_mot_sequence(
        truth(tmp_path / "truth.txt"), tracks, metrics=["HOTA", "Identity", "CLEAR"]
    )
    assert metrics.Identity.IDF1 > 0.85
    assert metrics.HOTA.HOTA > 0.75
    assert metrics.CLEAR.IDSW <= 2


def test_weak_detections_keep_a_track_alive_that_the_threshold_hides(clip):
    """The blurred frames have only weak ones; the ids before and after them are the same."""
    model = videos.model()
    results = list(model.stream(clip, track=True, threshold=0.6))
    before = {i for i in results[8].track_id if i is not None}
    after = {i for i in results[11].track_id if i is not None}
    assert before
    assert before <= after


def test_a_track_has_no_id_until_it_is_confirmed(clip):
    first, second = list(videos.model().stream(clip, track="sort", stop=0.08))
    assert set(first.track_id) == {None}
    assert set(second.track_id) == {None}
    third = list(videos.model().stream(clip, track="sort", stop=0.12))[2]
    assert None not in third.track_id


def test_every_stream_starts_its_tracks_anew(clip):
    model = videos.model()
    tracker = trackers.ByteTrackTracker(lost_track_buffer=60)
    runs = [[r.track_id for r in model.stream(clip, track=tracker)] for _ in range(2)]
    assert runs[0] == runs[1]


def test_images_in_order_are_tracked_too(clip):
    model = videos.model()
    images = [videos.scene(i, CROSSING) for i in range(12)]
    results = list(model.stream(images, track=True))
    assert len(set(results[-1].track_id)) == len(results[-1])
    assert results[-1].to_mot().startswith("12,")


def test_rows_tables_and_supervision_have_the_track_id(model, clip):
    result = list(model.stream(clip, track=True, stop=0.4))[-1]
    assert [row["track_id"] for row in result.rows()] == list(result.track_id)
    assert '"track_id": ' in result.to_json()
    assert result.to_pandas()["track_id"].tolist() == list(result.track_id)
    assert result.to_supervision().tracker_id.tolist() == list(result.track_id)
    one = result[1:2]
    assert one.track_id == result.track_id[1:2]
    assert len(one.trails) == 1
    assert "track_id" not in next(model.stream(clip)).to_pandas()


def test_a_mot_file_has_the_lines_of_the_format(clip, tmp_path):
    path = tmp_path / "tracks.txt"
    results = list(videos.model().stream(clip, track=True))
    path.write_text("".join(r.to_mot() for r in results))
    read = trackers.load_mot_file(path)
    for result in results:
        kept = [i for i, track in enumerate(result.track_id) if track is not None]
        if not kept:
            assert result.frame + 1 not in read
            continue
        theirs = read[result.frame + 1]
        assert theirs.ids.tolist() == [result.track_id[i] for i in kept]
        corners = result.boxes[kept]
        np.testing.assert_allclose(theirs.boxes[:, :2], corners[:, :2], atol=0.01)
        np.testing.assert_allclose(theirs.boxes[:, 2:], corners[:, 2:] - corners[:, :2], atol=0.01)
        np.testing.assert_allclose(theirs.confidences, result.scores[kept], atol=1e-4)


def test_trails_are_drawn_where_the_object_was(model, clip):
    result = list(model.stream(clip, track=True, stop=0.9))[-1]
    trails = [trail for trail in result.trails if len(trail) > 10]
    assert trails
    with_trails = np.asarray(result.plot())
    import dataclasses

    without = np.asarray(dataclasses.replace(result, trails=None).plot())
    changed = (with_trails != without).any(axis=-1)
    zoom = changed.shape[1] // 160
    reached = [changed[int(y * zoom), int(x * zoom)] for t in trails for x, y in t[:-3]]
    assert np.mean(reached) > 0.5  # the rest is below boxes and names
    for box, trail, track in zip(result.boxes, result.trails, result.track_id, strict=True):
        if track is not None:
            np.testing.assert_allclose(trail[-1], [box[::2].mean(), box[1::2].mean()], atol=1e-3)


def test_trails_and_tracks_of_gone_objects_are_forgotten():
    """Memory would grow with the length of the video."""
    from pvzoo.tracking.follow import Follower, tracker_of

    controls = {"threshold": 0.5, "max_detections": None, "nms": None, "class_agnostic": False}
    follower = Follower(tracker_of(True, None), controls, controls)

    def results():
        for number in range(600):
            left = (number % 60) * 30.0
            yield Detections(
                size=(100, 2000),
                boxes=np.array([[left, 0, left + 40, 40]], np.float32),
                scores=np.array([0.9], np.float32),
                labels=np.zeros(1, np.int64),
                names=("thing",),
            )

    tracks = {i for r in follower.results(results(), lambda r: r) for i in r.track_id}
    assert len(tracks) > 8
    assert len(follower._trails) <= 2


def test_fitted_thresholds_hold_after_tracking(clip):
    from pvzoo.model import Model
    from pvzoo.thresholds.values import Thresholds

    plain = videos.model()
    fitted = Model("squares", plain.adapter, thresholds=Thresholds("object-detection", 0.7))
    untracked = list(fitted.stream(clip))
    tracked = list(fitted.stream(clip, track=True))
    for a, b in zip(untracked, tracked, strict=True):
        np.testing.assert_array_equal(a.boxes, b.boxes)
    assert any(len(r) for r in tracked)


def test_tasks_without_boxes_refuse_to_track(clip):
    with pytest.raises(UsageError, match="track is not an option of semantic-segmentation"):
        videos.model("semantic-segmentation").stream(clip, track=True)


def test_an_unknown_tracker_gets_the_nearest_one(clip):
    with pytest.raises(UsageError, match="'bytetrack'"):
        videos.model().stream(clip, track="bytetrak")
    with pytest.raises(UsageError, match="track is 7"):
        videos.model().stream(clip, track=7)


def test_an_untracked_result_has_no_mot_lines(clip):
    with pytest.raises(UsageError, match="track=True"):
        next(videos.model().stream(clip)).to_mot()
