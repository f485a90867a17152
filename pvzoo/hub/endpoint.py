"""The files that make a repo of the Hub an Inference Endpoint of Hugging Face."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from pvzoo.plugins import registry
from pvzoo.plugins.calls import plugin_of
from pvzoo.plugins.installed import OWN

if TYPE_CHECKING:
    from pvzoo.networks.base import Network

_HANDLER = '''\
"""Answers the requests of a Hugging Face Inference Endpoint; written by pvzoo."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pvzoo
from PIL import Image


class EndpointHandler:
    """Loads the model of this repo.

    Args:
        path: The folder of the repo.
    """

    def __init__(self, path: str = "") -> None:
        self.model = pvzoo.load(Path(path or ".").resolve())

    def __call__(self, data: dict[str, Any]) -> dict[str, Any]:
        """The result for an image.

        Args:
            data: "inputs" is the image: as it was uploaded, or base64 in JSON. "parameters" are
                options of `predict`, such as {"threshold": 0.5}.

        Raises:
            ValueError: There is no image, or it is not base64.
            pvzoo.PvzooError: The image cannot be read, or an option is wrong.
        """
        image = data.get("inputs")
        if isinstance(image, str):  # never a path or an address
            text = image.partition(",")[2] if image[:5].lower() == "data:" else image
            try:
                image = base64.b64decode(text, validate=True)
            except ValueError:
                raise ValueError("inputs is not base64. Send the bytes of an image.") from None
        if not isinstance(image, bytes | Image.Image):
            raise ValueError("inputs is not an image. Send an image, or base64 in JSON.")
        options = data.get("parameters") or {}
        if not isinstance(options, dict):
            raise ValueError("parameters is not a JSON object.")
        return json.loads(self.model.predict(image, **options).to_json())
'''


def write_endpoint(network: Network, folder: Path) -> None:
    """Write ``handler.py`` and ``requirements.txt`` into the folder of a saved model.

    Args:
        network: The network that was saved; if it comes from a plugin, the endpoint installs that.
        folder: The folder.
    """
    adapter = registry.get("adapters", network.spec.adapter)
    wanted = [f"pvzoo[torch]=={version('pvzoo')}"]
    if (plugin := plugin_of(adapter)) not in (None, OWN):
        wanted.append(f"{plugin}=={version(str(plugin))}")
    (folder / "handler.py").write_text(_HANDLER, encoding="utf-8")
    (folder / "requirements.txt").write_text("\n".join(wanted) + "\n", encoding="utf-8")
