"""Check everything that clients send to the functions of a demo.

Gradio looks for paths and addresses of files in all values that clients send, for any component.
It moves or downloads those with a key "meta", after a check of their folder. The components open
the others. So this module keeps files away from Gradio: only the image and the video may be files,
and they go unchanged to `pvzoo.demo.client_images`. Files in other values are refused.
"""

from __future__ import annotations

from typing import Any

import gradio as gr

from pvzoo.demo.error_message import value_error
from pvzoo.demo.limits import Limits


class Guarded(gr.Blocks):
    """Blocks whose functions get images as clients sent them, and no other files.

    All endpoints, the queue and the tools of agents, public or private, call these methods. The
    check is not in the components: Gradio makes those of a session anew when an event changes
    them, so changes of a component do not last.

    Attributes:
        limits: The limits of the app; `pvzoo.demo.app.build` sets them.
    """

    limits: Limits

    async def process_api(self, *args: Any, **options: Any) -> Any:
        """As `gradio.Blocks.process_api`.

        Raises:
            gr.Error: The data of the event names a file.
        """
        with value_error():
            _refuse_files(getattr(options.get("event_data"), "_data", None))
        return await super().process_api(*args, **options)

    async def preprocess_data(
        self, block_fn: Any, inputs: list[Any], state: Any, explicit_call: bool = False
    ) -> list[Any]:
        """As `gradio.Blocks.preprocess_data`, but images stay as they were sent.

        Raises:
            gr.Error: Another input names a file, or has a value that its component cannot have.
        """
        images: dict[int, Any] = {}
        others: list[Any] = []
        for index, value in enumerate(inputs):
            if index < len(block_fn.inputs) and isinstance(
                block_fn.inputs[index], gr.Image | gr.Video
            ):
                images[index] = value
                others.append(None)
            else:
                _refuse_files(value)
                others.append(value)
        with value_error():
            values: list[Any] = await super().preprocess_data(
                block_fn, others, state, explicit_call
            )
        for index, image in images.items():
            values[index] = image
        return values

    async def call_function(self, *args: Any, **options: Any) -> Any:
        """As `gradio.Blocks.call_function`.

        pvzoo's own functions catch their errors themselves. Other functions, such as the one that
        shows an example, fail only because of the values that a client sent.

        Raises:
            gr.Error: The function failed.
        """
        with value_error():
            return await super().call_function(*args, **options)


def _refuse_files(value: Any) -> None:
    """Refuse a value that contains what Gradio could take for a file, at any depth.

    Raises:
        gr.Error: The value contains one.
    """
    if isinstance(value, dict):
        if "path" in value:
            raise gr.Error("Only the image or the video may be a file.", print_exception=False)
        value = list(value.values())
    if isinstance(value, list | tuple):
        for part in value:
            _refuse_files(part)
