"""What the adapters of transformers' models share: strict loading, processors, class names."""

from __future__ import annotations

from typing import Any

import torch
from transformers import AutoImageProcessor

from pvzoo.adapters.base import Checkpoint
from pvzoo.errors import UnsupportedModelError, WeightsError


def load_model(
    auto_class: Any, checkpoint: Checkpoint, dtype: Any, trust_remote_code: bool, **kwargs: Any
) -> torch.nn.Module:
    """`auto_class.from_pretrained` of a local folder, refusing weights that do not all fit.

    transformers fills what is missing with random numbers and warns; a model that predicts with
    them is worse than none.

    Raises:
        WeightsError: A weight is missing, or of another shape than the config says.
        UnsupportedModelError: The model needs code of its own and was not trusted to run it, or
            this transformers does not know it.
    """
    _check_trust(checkpoint, trust_remote_code)
    try:
        module, report = auto_class.from_pretrained(
            checkpoint.folder,
            dtype=dtype,
            trust_remote_code=trust_remote_code,
            local_files_only=True,
            output_loading_info=True,
            **kwargs,
        )
    except ImportError as error:
        raise UnsupportedModelError(
            f"{checkpoint.name} needs a package that is not installed.", str(error).strip()
        ) from error
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise WeightsError(
            f"{checkpoint.name} cannot be loaded by transformers ({error}).",
            "Its files may be damaged or incomplete, or made for another version of transformers.",
        ) from error
    missing = sorted(report["missing_keys"]) + [str(k[0]) for k in report["mismatched_keys"]]
    if missing:
        raise WeightsError(
            f"{checkpoint.name} lacks {len(missing)} weights that its network needs, such as "
            f"{missing[0]!r}.",
            "It may be a backbone without the head for this task, or a damaged checkpoint.",
        )
    return module


def load_processor(checkpoint: Checkpoint, trust_remote_code: bool) -> Any:
    """The checkpoint's own image processor.

    Raises:
        WeightsError: The checkpoint has none.
    """
    try:
        return AutoImageProcessor.from_pretrained(
            checkpoint.folder, trust_remote_code=trust_remote_code, local_files_only=True
        )
    except (OSError, ValueError, KeyError) as error:
        raise WeightsError(
            f"{checkpoint.name} has no image processor that transformers can read ({error}).",
            "It needs a preprocessor_config.json, which says how its images are prepared.",
        ) from error


def class_names(config: Any) -> tuple[str, ...]:
    """The names of a transformers config's classes, in the order of its outputs."""
    return tuple(str(config.id2label.get(i, f"class {i}")) for i in range(config.num_labels))


def _check_trust(checkpoint: Checkpoint, trust_remote_code: bool) -> None:
    if checkpoint.config.get("auto_map") and not trust_remote_code:
        from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES

        if checkpoint.config.get("model_type") not in CONFIG_MAPPING_NAMES:
            raise UnsupportedModelError(
                f"{checkpoint.name} comes with Python code of its own, which was not run.",
                "If you trust its author, pass trust_remote_code=True.",
            )
