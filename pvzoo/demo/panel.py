"""The part of a demo for one model, or for one task with a choice of models."""

from __future__ import annotations

import inspect
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from pvzoo.catalog.catalogue import info
from pvzoo.catalog.search import list_models
from pvzoo.demo.cards import about, about_model
from pvzoo.demo.client_images import keep, read
from pvzoo.demo.controls import controls_of, options_of
from pvzoo.demo.error_message import message_of, sentence
from pvzoo.demo.limits import Limits
from pvzoo.demo.markdown import harmless, plain
from pvzoo.demo.output_cache import Answers
from pvzoo.results.base import ResultWithRows
from pvzoo.web.client_images import ClientImage
from pvzoo.web.model_cache import Shelf

if TYPE_CHECKING:
    from PIL import Image

    from pvzoo.results.base import Result
from pvzoo.tasks.base import Task

SIDE = 1600
"""Longest side of the image on the page, in pixels; the PNG to download has the full size."""

_NEEDED = inspect.Parameter.empty
_SIZES = {"any size": None, "up to 10M parameters": 10e6, "up to 50M parameters": 50e6}
_LICENSES = ["any licence", "permissive"]


class Panel:
    """Components in a column, and the events that fill them.

    Args:
        task: The task, which decides what controls there are.
        names: The names of the models; if there are several, the user chooses one.
        heading: The name to show, if there is one model.
        first: The name of the model that is selected at first.
        image: The image component that all panels share.
        shelf: Loads and keeps the models.
        answers: Runs the models.
        limits: The limits of the demo.
        api_name: The name of the endpoint for clients.
        starts: The events that start a prediction, beside those of the panel's own controls.
    """

    def __init__(
        self,
        task: type[Task],
        names: Sequence[str],
        heading: str,
        first: str,
        image: gr.Image,
        *,
        shelf: Shelf,
        answers: Answers,
        limits: Limits,
        api_name: str,
        starts: Sequence[Any],
    ) -> None:
        self._task = task
        self._shelf = shelf
        self._answers = answers
        self._limits = limits
        self._image = image
        self._names = list(names)
        self._heading = heading
        model = shelf.get(first) if shelf.is_loaded(first) else None
        self._controls = controls_of(
            task,
            model.labels if model else (),
            own_thresholds=model is not None and model.thresholds is not None,
        )
        self._build(first)
        self._wire(starts)
        self._expose(api_name)

    # --- components -------------------------------------------------------------------------------

    def _build(self, first: str) -> None:
        if len(self._names) > 1:
            size, licence = next(reversed(_SIZES)), _LICENSES[0]
            with gr.Row():
                self._size = gr.Dropdown(list(_SIZES), value=size, label="size", min_width=170)
                self._license = gr.Dropdown(
                    _LICENSES, value=licence, label="licence", min_width=170
                )
            self._model: gr.Dropdown | gr.State = gr.Dropdown(
                self._fitting(size, licence) or self._names,
                value=first,
                label="model",
                allow_custom_value=True,  # clients may name a model that the filters hide
            )
        else:
            gr.Markdown(f"### {plain(self._heading)}")
            self._model = gr.State(first)
        prompts = [c for c in self._controls if c.is_prompt]
        others = [c for c in self._controls if not c.is_prompt]
        for control in prompts:
            control.component.render()
        self._status = gr.Markdown("Choose an image.")
        self._drawn = gr.Image(label="answer", interactive=False, buttons=["fullscreen"])
        first_seen = [c for c in others if c is others[0] or c.name == "classes"]
        for control in first_seen:
            control.component.render()
        if len(others) > len(first_seen):
            with gr.Accordion("More options", open=False):
                for control in others:
                    if control not in first_seen:
                        control.component.render()
        self._objects = gr.CheckboxGroup(label="shown", visible=False)
        self._table = gr.Dataframe(
            headers=list(self._task.result.columns), label="table", interactive=False
        )
        with gr.Row():
            self._json, self._coco, self._png = (
                gr.DownloadButton(
                    kind,
                    interactive=False,
                    size="sm",
                    min_width=80,
                    visible=kind != "COCO" or hasattr(self._task.result, "to_coco"),
                )
                for kind in ("JSON", "COCO", "PNG")
            )
        with gr.Accordion("About the model", open=False):
            self._about = gr.Markdown(self._about_text(first), latex_delimiters=[])

    def _about_text(self, name: str) -> str:
        loaded = self._shelf.is_loaded(name)
        return harmless(about_model(self._shelf.get(name)) if loaded else about(info(name)))

    # --- events -----------------------------------------------------------------------------------

    def _wire(self, starts: Sequence[Any]) -> None:
        asked = [self._model, *(control.component for control in self._controls)]
        inputs = [self._image, *asked]
        outputs = [
            self._status,
            self._drawn,
            self._objects,
            self._table,
            self._json,
            self._coco,
            self._png,
        ]
        if len(self._names) > 1:
            outputs += [c.component for c in self._controls if c.name == "classes"]
        self._outputs = len(outputs)
        private: dict[str, Any] = {"api_visibility": "private", "show_progress": "minimal"}
        triggers = [t for c in self._controls for t in c.triggers]
        if len(self._names) > 1:
            triggers.append(self._model.change)
            self._model.change(self._describe, self._model, self._about, **private)
            for narrow in (self._size, self._license):
                narrow.change(
                    self._narrow, [self._size, self._license, self._model], self._model, **private
                )
        # One after the other: a late result must not replace the result for a later image.
        events = [*starts, *triggers]
        gr.on(events, self._show, inputs, outputs, trigger_mode="always_last", **private)
        self._objects.input(
            self._show_some, [self._image, *asked, self._objects], outputs, **private
        )
        if points := [c.component for c in self._controls if c.name == "points"]:
            self._image.select(_add_point, points, points, **private).then(
                self._show, inputs, outputs, **private
            )

    def _describe(self, name: str) -> str:
        try:
            return self._about_text(name)
        except Exception as error:
            return plain(message_of(error))

    def _fitting(self, size: str, licence: str) -> list[str]:
        fitting = {
            card.name
            for card in list_models(
                task=self._task.id,
                max_params=_SIZES.get(size),
                license="permissive" if licence == "permissive" else None,
            )
        }
        return [name for name in self._names if name in fitting]

    def _narrow(self, size: str, licence: str, chosen: str) -> Any:
        names = self._fitting(size, licence)
        kept = chosen if chosen in names or not names else names[0]
        return gr.Dropdown(choices=names, value=kept)

    def _show(self, image: Any, *rest: Any, progress: gr.Progress = gr.Progress()) -> Any:  # noqa: B008 (Gradio's way)
        if image is None:
            return self._blank("Choose an image.")
        name, *values = rest
        try:
            handle = read(image, self._limits)
            if not self._shelf.is_loaded(name):
                progress(None, desc=f"Loading {name}")
            self._shelf.get(name)
            result, seconds = self._result(handle, name, values)
            rows = result.rows()
            status = f"{_counted(len(rows))}, {seconds:.2f} s"
            labels = [(_row_name(i, row), i) for i, row in enumerate(rows)]
            filled = self._filled(handle, result, status, labels, list(range(len(rows))))
            if self._outputs > len(filled):
                filled.append(gr.Dropdown(choices=[n for n in self._shelf.get(name).labels if n]))
            return filled
        except Exception as error:
            return self._blank(message_of(error))

    def _show_some(self, image: Any, *rest: Any) -> Any:
        """Show only the rows whose boxes are ticked, by the outputs that are remembered."""
        name, *values, chosen = rest
        if image is None:
            return self._blank("Choose an image.")
        try:
            handle = read(image, self._limits)
            result, _ = self._result(handle, name, values)
            assert isinstance(result, ResultWithRows)  # others have no table to choose from
            rows = result.rows()
            kept = sorted(i for i in chosen if i < len(rows))
            status = f"{len(kept)} of {_counted(len(rows))} shown"
            filled = self._filled(handle, result[kept], status)
            return filled + [gr.skip()] * (self._outputs - len(filled))
        except Exception as error:
            return self._blank(message_of(error))

    def _result(self, image: ClientImage, name: str, values: Sequence[Any]) -> tuple[Result, float]:
        """The result, and the seconds that the network ran for it."""
        options = options_of(self._controls, values)
        return self._answers.result(self._shelf.get(name), self._task, image, options)

    def _blank(self, status: str) -> list[Any]:
        nothing = [gr.DownloadButton(value=None, interactive=False)] * 3
        blank = [plain(status), None, gr.CheckboxGroup(visible=False), None, *nothing]
        return blank + [gr.skip()] * (self._outputs - len(blank))

    def _filled(
        self,
        image: ClientImage,
        result: Result,
        status: str,
        labels: list[tuple[str, int]] | None = None,
        ticked: list[int] | None = None,
    ) -> list[Any]:
        """The values of the outputs; without `labels` the boxes to tick stay as they are."""
        drawn = result.plot()
        small = drawn.copy()
        small.thumbnail((SIDE, SIDE))
        shown = self._keep(_encoded(small, "WEBP"), image, "webp")
        boxes = gr.skip()
        if labels is not None:
            can = isinstance(result, ResultWithRows) and bool(labels)
            boxes = gr.CheckboxGroup(choices=labels, value=ticked, visible=can)
        table = [list(map(_cell, row.values())) for row in result.rows()]
        files = self._files(image, result, drawn)
        return [plain(status), shown, boxes, table, *files]

    def _files(self, image: ClientImage, result: Result, drawn: Image.Image) -> list[Any]:
        coco = None
        if hasattr(result, "to_coco"):
            coco = self._keep(json.dumps(result.to_coco()).encode(), image, "coco.json")
        plain_json = self._keep(result.to_json().encode(), image, "json")
        png = self._keep(_encoded(drawn, "PNG"), image, "png")
        made = (plain_json, coco, png)
        return [gr.DownloadButton(value=file, interactive=file is not None) for file in made]

    def _keep(self, data: bytes, image: ClientImage, suffix: str) -> str:
        """Write a file for the browser, named after the image and the task; returns its path."""
        return keep(data, f"{Path(image.handle.name).stem[:60]}-{self._task.id}.{suffix}")

    # --- for programs -----------------------------------------------------------------------------

    def _expose(self, api_name: str) -> None:
        """The endpoint of clients and agents: (image, options) -> (JSON, annotated image)."""
        choose = len(self._names) > 1
        names = ["image", *(["model"] if choose else []), *(c.name for c in self._controls)]
        first: list[Any] = [self._names[0]] if not choose else []

        def predict(*values: Any) -> tuple[dict[str, Any], str]:
            image, *rest = values
            with sentence():
                if image is None:
                    raise gr.Error("The request has no image.")
                name, *options = [*first, *rest]
                handle = read(image, self._limits)
                result, _ = self._result(handle, name, options)
                drawn = self._keep(_encoded(result.plot(), "PNG"), handle, "png")
                return json.loads(result.to_json()), drawn

        predict.__name__ = api_name
        about = {"image": "The image.", "model": "Its catalogue name."}
        about |= {c.name: c.about for c in self._controls}
        what = "one of the models of this demo" if choose else self._heading
        predict.__doc__ = "\n".join(
            [
                f"Predict with {what}: {self._task.id}.",
                "",
                "Args:",
                *(f"    {name}: {about[name]}" for name in names),
                "Returns:",
                "    The result, with all predictions, and the image with them drawn on it.",
            ]
        )
        kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
        defaults = {c.name: c.typed.value for c in self._controls if not c.is_prompt}
        predict.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
            [inspect.Parameter(name, kind, default=defaults.get(name, _NEEDED)) for name in names]
        )
        chosen = [self._model] if choose else []
        typed = [control.typed for control in self._controls]
        for component in typed:
            if not component.is_rendered:
                component.render()
        gr.Button(visible=False).click(
            predict,
            [self._image, *chosen, *typed],
            [
                gr.JSON(visible=False, label="result"),
                gr.Image(visible=False, label="annotated"),
            ],
            api_name=api_name,
        )


def _add_point(text: str, event: gr.SelectData) -> str:
    """Add the place of a click on the image to the points of the prompt."""
    try:
        points = json.loads(text) if text.strip() else []
    except ValueError:
        points = []
    return json.dumps([*points, [int(coordinate) for coordinate in event.index]])


def _encoded(image: Image.Image, kind: str) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, compress_level=1)  # fast; formats other than PNG ignore it
    return buffer.getvalue()


def _counted(count: int) -> str:
    return f"{count} found" if count else "nothing found"


def _row_name(index: int, row: dict[str, Any]) -> str:
    score = f" {row['score']:.2f}" if isinstance(row.get("score"), float) else ""
    return f"{index + 1} {row.get('name', '')}{score}"


def _cell(value: Any) -> Any:
    return round(value, 3) if isinstance(value, float) else value
