"""The gate that everything passes which clients send to the functions of a demo.

Gradio looks for the paths and addresses of files in whatever it is sent, for any component. Those
that come with a key "meta" it moves or downloads once their folder is checked; others it leaves to
the components, which open them. So nothing of that kind is left to Gradio: the one input that may
be a file, the image, goes past it as it was sent, to `pvzoo.demo.client_images.read`; elsewhere
files are refused.
"""

from __future__ import annotations

from typing import Any

import gradio as gr

from pvzoo.demo.error_message import value_error
from pvzoo.demo.limits import Limits


class Guarded(gr.Blocks):
    """Blocks whose functions get images as clients sent them, and no other files.

    Endpoints, the queue and the tools of agents, public or private, all come through here. The
    components are Gradio's own: those of a session are made anew when an event changes them, so
    what is changed in one does not last.

    Attributes:
        limits: Those of the app; set by what builds it.
    """

    limits: Limits

    async def process_api(self, *args: Any, **options: Any) -> Any:
        """As `gradio.Blocks.process_api`.

        Raises:
            gr.Error: What came with the event names a file.
        """
        with value_error():
            _refuse_files(getattr(options.get("event_data"), "_data", None))
        return await super().process_api(*args, **options)

    async def preprocess_data(
        self, block_fn: Any, inputs: list[Any], state: Any, explicit_call: bool = False
    ) -> list[Any]:
        """As `gradio.Blocks.preprocess_data`, save that images stay as they were sent.

        Raises:
            gr.Error: Another input names a file, or has a value that its component cannot have.
        """
        images: dict[int, Any] = {}
        others: list[Any] = []
        for place, said in enumerate(inputs):
            if place < len(block_fn.inputs) and isinstance(block_fn.inputs[place], gr.Image):
                images[place] = said
                others.append(None)
            else:
                _refuse_files(said)
                others.append(said)
        with value_error():
            values: list[Any] = await super().preprocess_data(
                block_fn, others, state, explicit_call
            )
        for place, said in images.items():
            values[place] = said
        return values

    async def call_function(self, *args: Any, **options: Any) -> Any:
        """As `gradio.Blocks.call_function`.

        What fails in pvzoo's own functions is caught there; the others, such as the one that shows
        an example, fail for what they were sent.

        Raises:
            gr.Error: The function failed.
        """
        with value_error():
            return await super().call_function(*args, **options)


def _refuse_files(said: Any) -> None:
    """Refuse what Gradio could take for a file, in any depth.

    Raises:
        gr.Error: There is such a thing.
    """
    if isinstance(said, dict):
        if "path" in said:
            raise gr.Error("Only the image may be a file.", print_exception=False)
        said = list(said.values())
    if isinstance(said, list | tuple):
        for part in said:
            _refuse_files(part)
