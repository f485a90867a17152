"""Networks that take texts and images; turn prompts into arrays of tokens."""

from __future__ import annotations

from abc import abstractmethod
from threading import Lock
from typing import Any, ClassVar, Self

import numpy as np
from transformers import AutoTokenizer, PreTrainedModel

from pvzoo.adapters.base import Checkpoint
from pvzoo.errors import UsageError, WeightsError
from pvzoo.networks.base import Network
from pvzoo.networks.from_transformers import load_model, load_processor

_VOCABULARIES = ("tokenizer.json", "vocab.json", "vocab.txt", "spiece.model", "tokenizer.model")


class TextNetwork(Network):
    """A network of transformers with an image processor and a tokenizer.

    Class attributes:
        auto_class: The class of transformers that loads it.

    Instance attributes:
        processor: Its image processor.
    """

    auto_class: ClassVar[Any]

    module: PreTrainedModel
    processor: Any

    @abstractmethod
    def __init__(self, module: PreTrainedModel, processor: Any, tokenizer: Any) -> None:
        """Make the network from the parts that `load` reads."""

    @classmethod
    def load(
        cls, checkpoint: Checkpoint, *, task: str | None, dtype: Any, trust_remote_code: bool
    ) -> Self:
        """Load the network strictly."""
        return cls(
            load_model(cls.auto_class, checkpoint, dtype, trust_remote_code),
            load_processor(checkpoint, trust_remote_code),
            _load_tokenizer(checkpoint, trust_remote_code),
        )


def _load_tokenizer(checkpoint: Checkpoint, trust_remote_code: bool) -> Any:
    """The checkpoint's own tokenizer.

    Raises:
        WeightsError: The checkpoint has no tokenizer that can be read.
    """
    if not any((checkpoint.folder / file).is_file() for file in _VOCABULARIES):
        # transformers would create an empty tokenizer without a warning
        raise WeightsError(
            f"{checkpoint.name} has no tokenizer.", f"It needs one of: {', '.join(_VOCABULARIES)}."
        )
    try:
        return AutoTokenizer.from_pretrained(
            checkpoint.folder, trust_remote_code=trust_remote_code, local_files_only=True
        )
    except Exception as error:  # transformers raises many kinds of errors
        raise WeightsError(
            f"{checkpoint.name} has no tokenizer that transformers can read ({error}).",
            "It needs a tokenizer.json, or the vocabulary that its tokenizer_config.json names.",
        ) from error


class TextEncoder:
    """Encode texts as tokens. The last call is cached: in a stream, all images have the same texts.

    Args:
        tokenizer: A tokenizer of transformers.
        longest: The most tokens of a text that the network takes.
        **options: Options of the tokenizer's call.
    """

    def __init__(self, tokenizer: Any, longest: int, **options: Any) -> None:
        self.tokenizer = tokenizer
        self._longest = longest
        self._options = options
        self._kept: tuple[tuple[str, ...], dict[str, np.ndarray]] = ((), {})
        self._lock = Lock()  # a tokenizer is not thread-safe

    def __call__(self, texts: tuple[str, ...]) -> dict[str, np.ndarray]:
        """(texts, tokens) int64 arrays such as ``input_ids`` and ``attention_mask``.

        Raises:
            UsageError: A text has more tokens than the network takes.
        """
        with self._lock:
            if self._kept[0] != texts:
                self._kept = (texts, self._encode(texts))
            return self._kept[1]

    def _encode(self, texts: tuple[str, ...]) -> dict[str, np.ndarray]:
        lengths = map(len, self.tokenizer(list(texts), verbose=False)["input_ids"])
        for text, length in zip(texts, lengths, strict=True):
            if length > self._longest:
                raise UsageError(
                    f"The text {text[:60]!r} has {length} tokens; this network reads "
                    f"{self._longest}.",
                    "Shorten it, or use several calls.",
                )
        found = self.tokenizer(list(texts), return_tensors="np", **self._options)
        return {name: np.asarray(array, dtype=np.int64) for name, array in found.items()}
