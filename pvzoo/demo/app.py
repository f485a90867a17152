"""The app: one image, a panel for each model (or one panel for each task), and its server."""

from __future__ import annotations

import atexit
import os
import re
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr
from gradio.utils import get_cache_folder

import pvzoo
from pvzoo.catalog.catalogue import catalogue, info
from pvzoo.catalog.search import list_models
from pvzoo.demo.cards import titles
from pvzoo.demo.client_images import keep
from pvzoo.demo.error_message import OneLine, message_of
from pvzoo.demo.guard import Guarded
from pvzoo.demo.limits import Limits
from pvzoo.demo.markdown import plain
from pvzoo.demo.opening import answers_at_once, own_examples, within
from pvzoo.demo.output_cache import Answers
from pvzoo.demo.panel import Panel
from pvzoo.demo.routes import OnlyNeeded
from pvzoo.demo.video_tab import VideoTab
from pvzoo.errors import PvzooError, UsageError
from pvzoo.extras import is_installed
from pvzoo.plugins import registry
from pvzoo.tasks.fixed import task_of
from pvzoo.web.client_images import fetch
from pvzoo.web.memory import share_arenas, trim
from pvzoo.web.model_cache import Shelf
from pvzoo.web.request_limit import BodyLimit

if TYPE_CHECKING:
    from pvzoo.catalog.cards import Card
    from pvzoo.model import Model


def build(
    models: Sequence[Model | str | Path] = (),
    *,
    limits: Limits | None = None,
    examples: Sequence[str | Path] | None = None,
) -> Guarded:
    """Make the app; `launch` serves it.

    Args:
        models: Loaded models, or what `pvzoo.load` takes. Several models show their results for one
            image side by side. Without models, the user picks a task and a model of the
            catalogue, and the demo loads the model at its first use.
        limits: How much the demo accepts from its users, and how much of the machine it uses.
        examples: Example image files; by default those that come with pvzoo. The page opens with
            the result for the first one, if that needs neither a prompt nor a download.

    Raises:
        UsageError: `models` contains the same model twice.
        PvzooError: A model cannot be loaded.
    """
    limits = limits or Limits()
    loaded = [m if isinstance(m, pvzoo.Model) else pvzoo.load(m) for m in models]
    names = [model.name for model in loaded]
    if twice := {name for name in names if names.count(name) > 1}:
        raise UsageError(f"The demo has {twice.pop()} twice.", "Name each model once.")
    app = Guarded(
        title="pvzoo demo", analytics_enabled=False, delete_cache=(60, limits.keep_seconds)
    )
    app.limits = limits
    with app:
        files = own_examples(loaded) if examples is None else [Path(file) for file in examples]
        gr.Markdown("# pvzoo\n" + _headline(loaded))
        answers = Answers(limits)
        cards = [] if loaded else list_models()
        shelf = Shelf(loaded, [c.name for c in cards], budget=limits.models, dropped=answers.forget)
        with gr.Tab("image"), gr.Row():
            with gr.Column(scale=2, min_width=320):
                image = _image(limits, files)
            with gr.Column(scale=3, min_width=320):
                if loaded:
                    _side_by_side(loaded, image, shelf, answers, limits)
                    opens = answers_at_once([model.task for model in loaded])
                else:
                    task, name = _any_model(cards, image, shelf, answers, limits)
                    opens = answers_at_once([task], info(name))
        if limits.video_frames and is_installed("av", "trackers"):
            with gr.Tab("video"):
                chosen = names or [card.name for card in cards if card.task in _WITH_BOXES]
                first = names[0] if names else _first(_WITH_BOXES[0], chosen)
                VideoTab(chosen, first, shelf=shelf, answers=answers, limits=limits)
        if files and opens and within(files[0], limits):
            app.load(_first_example(files[0]), None, image, api_visibility="private")
    return app


def serve(
    models: Sequence[Model | str | Path] = (),
    *,
    limits: Limits | None = None,
    examples: Sequence[str | Path] | None = None,
    **options: Any,
) -> Guarded:
    """`build` and `launch`, for a process that does nothing else, such as a Space.

    This process keeps the files of all requests in a folder of its own and deletes old ones there:
    Gradio never deletes files that were uploaded and not used.

    Args:
        models: As for `build`.
        limits: As for `build`.
        examples: As for `build`.
        **options: As for `launch`.
    """
    share_arenas()
    folder = tempfile.mkdtemp(prefix="pvzoo-demo-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    os.environ["GRADIO_TEMP_DIR"] = folder
    gr.mcp.DEFAULT_TEMP_DIR = folder  # Gradio read GRADIO_TEMP_DIR for this when it was imported
    app = build(models, limits=limits, examples=examples)
    seconds = app.limits.keep_seconds
    threading.Thread(target=_sweep, args=(folder, seconds), daemon=True).start()
    return launch(app, **options)


def launch(app: Guarded, **options: Any) -> Guarded:
    """Serve an app of `build`, within its limits.

    Args:
        app: From `build`.
        **options: Options of `gradio.Blocks.launch`, such as ``server_name="0.0.0.0"``,
            ``share=True`` or ``mcp_server=True``.
    """
    limits = app.limits
    app.queue(max_size=limits.queue, default_concurrency_limit=limits.at_once)
    app_kwargs = {**options.pop("app_kwargs", {})}
    own: list[tuple[type, list[Any], dict[str, Any]]] = [
        (OneLine, [], {}),
        (OnlyNeeded, [], {}),
        (BodyLimit, [], {"limit": 2 * limits.max_bytes}),
    ]
    app_kwargs["middleware"] = [*app_kwargs.get("middleware", ()), *own]
    # Gradio would serve the cached results of other apps that ran in this folder
    blocked = [*(options.pop("blocked_paths", None) or ()), str(get_cache_folder())]
    app.launch(
        **{
            "max_file_size": limits.max_bytes,
            "show_error": False,
            "enable_monitoring": False,
            "run_history": False,
            "ssr_mode": False,
            "state_session_capacity": 200,
            "footer_links": ["api", "gradio"],
            **options,
        },
        app_kwargs=app_kwargs,
        blocked_paths=blocked,
    )
    return app


_WITH_BOXES = ("object-detection", "instance-segmentation")
"""Without models of one's own, the tasks whose models take videos."""


def _headline(models: Sequence[Model]) -> str:
    if not models:
        return "Pick a task and a model, and try it on an image."
    called = titles([model.name for model in models])
    return ", ".join(f"{plain(called[m.name])} ({m.task.replace('-', ' ')})" for m in models)


def _first_example(file: Path) -> Callable[[], str]:
    """Gives the image for a new page; writes it each time, since the demo deletes old files."""

    def first_example() -> str:
        return keep(file.read_bytes(), file.name)

    return first_example


def _image(limits: Limits, examples: Sequence[Path]) -> gr.Image:
    """The image that all panels share: uploaded, pasted, or from a camera, a URL or an example."""
    image = gr.Image(sources=["upload", "webcam", "clipboard"], label="image", elem_id="image")
    with gr.Row():
        url = gr.Textbox(
            label="or the address of an image", placeholder="https://", max_lines=1, scale=4
        )
    note = gr.Markdown()

    def take(address: str | None) -> tuple[Any, str]:
        if address is None or not address.strip():
            return gr.skip(), ""
        try:
            handle = fetch(address, limits).handle
            return keep(handle.data, handle.name), ""
        except Exception as error:
            return None, plain(message_of(error))

    url.submit(take, url, [image, note], api_visibility="private")
    if examples:
        gr.Examples([[str(file)] for file in examples], image, label="examples")
    return image


def _side_by_side(
    models: Sequence[Model], image: gr.Image, shelf: Shelf, answers: Answers, limits: Limits
) -> None:
    used: set[str] = set()
    called = titles([model.name for model in models])
    with gr.Row():
        for model in models:
            heading = called[model.name]
            api_name = "predict"
            if len(models) > 1:
                api_name = _unused(f"predict_{_slug(heading)}", used)
            with gr.Column(min_width=300):
                Panel(
                    type(task_of(model.adapter.spec)),
                    [model.name],
                    heading,
                    model.name,
                    image,
                    shelf=shelf,
                    answers=answers,
                    limits=limits,
                    api_name=api_name,
                    starts=[image.change],
                )


def _any_model(
    cards: Sequence[Card], image: gr.Image, shelf: Shelf, answers: Answers, limits: Limits
) -> tuple[str, str]:
    """Make the panels of all tasks. Returns the task and the model that are selected at first."""
    ids = dict.fromkeys(part.name for part in registry.parts("tasks"))  # pvzoo's own come first
    choices = {id: [c.name for c in cards if c.task == id] for id in ids}
    choices = {id: found for id, found in choices.items() if found}
    tasks = [(id.replace("-", " "), id) for id in choices]
    task = gr.Radio(tasks, value=next(iter(choices)), label="task", elem_id="task")
    turns = [gr.State(0) for _ in choices]  # a panel predicts when its number changes
    columns = []
    for index, (id, names) in enumerate(choices.items()):
        with gr.Column(visible=index == 0) as column:
            columns.append(column)
            Panel(
                registry.get("tasks", id),
                names,
                "",
                _first(id, names),
                image,
                shelf=shelf,
                answers=answers,
                limits=limits,
                api_name=f"predict_{_slug(id)}",
                starts=[turns[index].change],
            )

    def choose(chosen: str, *numbers: int) -> list[Any]:
        return [
            *(gr.Column(visible=id == chosen) for id in choices),
            *(n + (id == chosen) for id, n in zip(choices, numbers, strict=True)),
        ]

    gr.on(
        [image.change, task.change],
        choose,
        [task, *turns],
        [*columns, *turns],
        trigger_mode="multiple",
        api_visibility="private",
    )
    id, names = next(iter(choices.items()))
    return id, _first(id, names)


def _first(task: str, names: Sequence[str]) -> str:
    """The catalogue's default model for the task, else the first of `names`."""
    try:
        return catalogue().default(task).name
    except PvzooError:
        return names[0]


def _slug(text: str) -> str:
    return re.sub(r"\W+", "_", text).strip("_").lower()


def _unused(name: str, used: set[str]) -> str:
    number, found = 1, name
    while found in used:
        number += 1
        found = f"{name}_{number}"
    used.add(found)
    return found


def _sweep(folder: str, seconds: int) -> None:
    """Delete old files and return free memory to the system, every minute."""
    while Path(folder).exists():
        time.sleep(60)
        trim()
        old = time.time() - seconds
        for file in Path(folder).rglob("*"):
            try:
                if file.is_file() and file.stat().st_mtime < old:
                    file.unlink()
            except OSError:
                continue  # another thread has already deleted it
