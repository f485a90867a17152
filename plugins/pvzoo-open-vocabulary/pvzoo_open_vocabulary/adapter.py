"""What the adapters share: a result names the texts that were asked for."""

from __future__ import annotations

from typing import Any

from PIL import Image

from pvzoo.adapters.base import Adapter, Arrays, Meta


class TextAdapter(Adapter):
    """An adapter of networks that are told by texts what to find."""

    def preprocess(self, image: Image.Image, **prompts: Any) -> tuple[Arrays, Meta]:
        """The inputs; and ``prompts``, the texts, also where they were fixed at export."""
        inputs, meta = super().preprocess(image, **prompts)
        return inputs, {**meta, "prompts": tuple(prompts["prompts"])}
