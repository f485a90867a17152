"""The part of a demo for videos: a short one goes in, and comes out annotated."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr

from pvzoo.demo.cards import titles
from pvzoo.demo.client_images import keep, uploaded
from pvzoo.demo.error_message import message_of
from pvzoo.demo.limits import Limits
from pvzoo.demo.markdown import plain
from pvzoo.demo.output_cache import Answers
from pvzoo.errors import ImageError, UsageError
from pvzoo.inputs.video import Video
from pvzoo.results.detections import Detections
from pvzoo.tasks.fixed import task_of
from pvzoo.video import AnnotatedVideo
from pvzoo.web.model_cache import Shelf

_BATCH = 4


class VideoTab:
    """Components, and the event that fills them.

    Args:
        names: The names of the models; if there are several, the user chooses one.
        first: The name of the model that is selected at first.
        shelf: Loads and keeps the models.
        answers: Runs the models.
        limits: The limits of the demo.
    """

    def __init__(
        self,
        names: Sequence[str],
        first: str,
        *,
        shelf: Shelf,
        answers: Answers,
        limits: Limits,
    ) -> None:
        self._names = list(names)
        self._shelf = shelf
        self._answers = answers
        self._limits = limits
        called = titles(self._names)
        with gr.Row():
            with gr.Column(scale=2, min_width=320):
                video = gr.Video(sources=["upload"], label="video", elem_id="video")
                choices = [(called[name], name) for name in self._names]
                model = gr.Dropdown(
                    choices, value=first, label="model", visible=len(self._names) > 1
                )
                threshold = gr.Slider(0, 1, value=0.5, step=0.01, label="threshold")
                track = gr.Checkbox(value=True, label="track", info="Follow objects.")
                every = gr.Slider(
                    *(1, 30), value=1, step=1, label="every", info="Use each frame of this many."
                )
                start = gr.Button("Predict", variant="primary")
                gr.Markdown(
                    f"The first {limits.video_seconds:g} seconds and at most "
                    f"{limits.video_frames} frames of it are used."
                )
            with gr.Column(scale=3, min_width=320):
                status = gr.Markdown("Choose a video.")
                drawn = gr.Video(label="answer", interactive=False)
                lines = gr.DownloadButton("JSON", interactive=False, size="sm")
        start.click(
            self.answer,
            [video, model, threshold, track, every],
            [status, drawn, lines],
            api_visibility="private",
            show_progress="minimal",
        )

    def answer(
        self,
        video: Any,
        name: Any,
        threshold: Any,
        track: Any,
        every: Any,
        progress: gr.Progress = gr.Progress(),  # noqa: B008 (Gradio's way)
    ) -> list[Any]:
        """The status, the annotated video and the results as JSON Lines, for the components."""
        nothing = [None, gr.DownloadButton(value=None, interactive=False)]
        if video is None:
            return ["Choose a video.", *nothing]
        try:
            if name not in self._names:
                raise UsageError("This demo has no such model.", "Choose one of the list.")
            data, file = uploaded(video, self._limits)
            if not self._shelf.is_loaded(name):
                progress(None, desc="Loading the model")
            self._shelf.get(name)
            with tempfile.TemporaryDirectory(prefix="pvzoo-video-") as folder:
                return self._run(Path(folder), data, file, name, threshold, track, every, progress)
        except Exception as error:
            return [plain(message_of(error)), *nothing]

    def _run(
        self,
        folder: Path,
        data: bytes,
        file: str,
        name: str,
        threshold: Any,
        track: Any,
        every: Any,
        progress: gr.Progress,
    ) -> list[Any]:
        place, out = folder / "video", folder / "annotated.mp4"
        place.write_bytes(data)
        model = self._shelf.get(name)
        options: dict[str, Any] = {}
        if issubclass(task_of(model.adapter.spec).result, Detections):
            options = {"threshold": threshold, "track": bool(track)}
        video = Video(place, every=int(every), stop=self._limits.video_seconds, title=file)
        self._check_pixels(video)
        results = model.stream(video, batch_size=_BATCH, progress=False, **options)
        begun = time.monotonic()
        lines: list[str] = []
        try:
            with AnnotatedVideo(out) as written:
                # one step after the other, so that the requests of others get their turns
                step = partial(next, results, None)
                while (result := self._answers.run(model, step)) is not None:
                    self._check_size(file, *result.size[::-1])  # it may change within a video
                    written.add(result)
                    lines.append(result.to_json())
                    progress((len(lines), self._limits.video_frames), unit="frames")
                    late = time.monotonic() - begun > self._limits.seconds
                    if late or len(lines) >= self._limits.video_frames:
                        break
        finally:
            self._answers.run(model, partial(_close, results))
        if not lines:
            raise ImageError(f"{file} has no frames to show.", "Choose another video.")
        stem = Path(file).stem[:60]
        status = f"{len(lines)} frames, {time.monotonic() - begun:.1f} s"
        text = "".join(f"{line}\n" for line in lines)
        return [
            status,
            keep(out.read_bytes(), f"{stem}-annotated.mp4"),
            gr.DownloadButton(value=keep(text.encode(), f"{stem}.jsonl"), interactive=True),
        ]

    def _check_pixels(self, video: Video) -> None:
        self._check_size(video.name, *video.size())

    def _check_size(self, name: str, width: int, height: int) -> None:
        if width * height > self._limits.video_pixels:
            raise ImageError(
                f"{name} has frames of {width:,} x {height:,} pixels, more than the "
                f"{self._limits.video_pixels:,} allowed.",
                "Make it smaller.",
            )


def _close(results: Any) -> None:
    results.close()
