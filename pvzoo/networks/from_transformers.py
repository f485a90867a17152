"""Code that networks of transformers share: strict loading, processors, class names.

It is part of the contract with plugins (`docs/plugins.md`).
"""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar, Self

from PIL import Image
from transformers import AutoConfig, AutoImageProcessor, PreTrainedModel
from transformers.models.auto.auto_factory import _get_model_class  # it has no public name
from transformers.utils import (
    SAFE_WEIGHTS_INDEX_NAME,
    SAFE_WEIGHTS_NAME,
    WEIGHTS_INDEX_NAME,
    WEIGHTS_NAME,
    logging,
)

from pvzoo.adapters.base import Arrays, Checkpoint, Meta
from pvzoo.errors import PvzooError, UnsupportedModelError, WeightsError, error_message, short
from pvzoo.networks._bounds import built_within
from pvzoo.networks._weights import is_wrapped, read_state_dict
from pvzoo.networks.base import Network
from pvzoo.preprocess.derive import steps_of
from pvzoo.preprocess.long_images import fitting
from pvzoo.preprocess.steps import Step

# The weights files that transformers reads, in the order it looks for them.
_WEIGHTS = (SAFE_WEIGHTS_NAME, SAFE_WEIGHTS_INDEX_NAME, WEIGHTS_NAME, WEIGHTS_INDEX_NAME)


class TransformersNetwork(Network):
    """A network of transformers with an image processor.

    A subclass sets `spec` in its ``__init__`` and defines `forward`.

    Class attributes:
        auto_class: The class that opens it, such as `transformers.AutoModelForObjectDetection`.
    """

    auto_class: ClassVar[Any]

    module: PreTrainedModel

    def __init__(self, module: PreTrainedModel, processor: Any) -> None:
        self.module = module
        self._processor = processor

    @classmethod
    def load(
        cls, checkpoint: Checkpoint, *, task: str | None, dtype: Any, trust_remote_code: bool
    ) -> Self:
        """Load with `load_model` and `load_processor`."""
        module = load_model(cls.auto_class, checkpoint, dtype, trust_remote_code)
        return cls(module, load_processor(checkpoint, trust_remote_code))

    def prepare(self, image: Image.Image, **prompts: Any) -> tuple[Arrays, Meta]:
        """The output of the processor; usually ``pixel_values`` (1, 3, height, width)."""
        return dict(prepared(self._processor, image)), {"size": image.size[::-1]}

    def steps(self) -> tuple[Step, ...]:
        """The steps of the processor."""
        return steps_of(self._processor)


def load_model(
    auto_class: Any, checkpoint: Checkpoint, dtype: Any, trust_remote_code: bool
) -> PreTrainedModel:
    """Load a local folder with `auto_class.from_pretrained`, and refuse weights that do not fit.

    transformers replaces missing weights by random numbers and only warns. A model with random
    weights must not predict.

    Raises:
        WeightsError: A weight is missing, or has another shape than the config says.
        UnsupportedModelError: The model needs its own Python code, which is not trusted; or this
            version of transformers does not know it.
    """
    _check_trust(checkpoint, trust_remote_code)
    if checkpoint.untrained:
        return _untrained(auto_class, checkpoint, dtype)
    read = next((w for w in _WEIGHTS if (checkpoint.folder / w).is_file()), None)
    if checkpoint.rename or checkpoint.weights.name != read:
        raise UnsupportedModelError(
            f"{checkpoint.name}: transformers cannot read a weights file with the name "
            f"{checkpoint.weights.name}, and cannot rename tensors.",
            f"Save the weights as {SAFE_WEIGHTS_NAME}, under the names that transformers uses.",
        )
    wrapped = is_wrapped(checkpoint.weights)
    try:
        kwargs = _backbone_config(checkpoint)
        with quiet(), built_within(checkpoint.name, checkpoint.weights):
            opener = auto_class
            folder: Path | None = checkpoint.folder
            if wrapped:  # transformers' own reader would not know the names
                config = kwargs.pop("config", None) or AutoConfig.from_pretrained(
                    checkpoint.folder, local_files_only=True
                )
                opener, folder = _get_model_class(config, auto_class._model_mapping), None
                kwargs |= {"config": config, "state_dict": read_state_dict(checkpoint.weights)}
            module: PreTrainedModel
            module, report = opener.from_pretrained(
                folder,
                dtype=dtype,
                trust_remote_code=trust_remote_code,
                local_files_only=True,
                output_loading_info=True,
                ignore_mismatched_sizes=True,  # refused below, with their names
                **kwargs,
            )
    except ImportError as error:
        raise UnsupportedModelError(
            f"{checkpoint.name} needs a package that is not installed.", error_message(error)
        ) from error
    except pickle.UnpicklingError as error:
        raise WeightsError(
            f"{checkpoint.weights} is damaged, or is a pickle that contains more than tensors, "
            "which could run any code; it was not opened.",
            "Fetch it again, or ask its author for safetensors.",
        ) from error
    except (PvzooError, MemoryError):
        raise
    except Exception as error:  # transformers, and code in a repo, raise many types
        raise WeightsError(
            f"{checkpoint.name} cannot be loaded by transformers ({error_message(error)}).",
            "Its files may be damaged or incomplete, or made for another version of transformers.",
        ) from error
    missing = sorted(report["missing_keys"]) + [str(k[0]) for k in report["mismatched_keys"]]
    if missing:
        raise WeightsError(
            f"{checkpoint.name} does not have {len(missing)} weights that its network needs, or "
            f"has them in another shape, such as {short(missing[0])}.",
            "It may be a backbone without the head for this task, or a damaged checkpoint.",
        )
    return module


def _untrained(auto_class: Any, checkpoint: Checkpoint, dtype: Any) -> PreTrainedModel:
    """Build the network of the config with random weights."""
    try:
        with quiet():
            config: Any = _backbone_config(checkpoint).get("config") or AutoConfig.from_pretrained(
                checkpoint.folder, local_files_only=True
            )
            backbone = getattr(config, "backbone_config", None)
            for part in filter(None, (config, backbone)):
                if getattr(part, "use_pretrained_backbone", False):
                    part.use_pretrained_backbone = False  # else its weights would be downloaded
            kwargs = {} if dtype == "auto" else {"dtype": dtype}
            module: PreTrainedModel = auto_class.from_config(config, **kwargs)
    except (PvzooError, MemoryError):
        raise
    except Exception as error:  # as in `load_model`
        raise UnsupportedModelError(
            f"{checkpoint.name} cannot be built from its config ({error_message(error)}).",
            "It may need another version of transformers.",
        ) from error
    module.eval()
    return module


@contextmanager
def quiet() -> Iterator[None]:
    """Make transformers show no progress bars and no messages except errors.

    For weights that do not fit, pvzoo has its own error. The warning that a backbone was not tested
    with Mask2Former's code does not matter, since the checkpoint was trained with both.
    """
    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


def load_processor(checkpoint: Checkpoint, trust_remote_code: bool, **kwargs: Any) -> Any:
    """The checkpoint's own image processor.

    Raises:
        WeightsError: The checkpoint has no image processor.
    """
    try:
        return AutoImageProcessor.from_pretrained(
            checkpoint.folder,
            trust_remote_code=trust_remote_code,
            local_files_only=True,
            **kwargs,
        )
    except MemoryError:
        raise
    except Exception as error:  # as above
        raise WeightsError(
            f"{checkpoint.name} has no image processor that transformers can read "
            f"({error_message(error)}).",
            "It needs a preprocessor_config.json, which says how to prepare its images.",
        ) from error


def prepared(processor: Any, image: Image.Image, **options: Any) -> Any:
    """Prepare an image with a checkpoint's own processor, in bounded memory.

    Args:
        processor: From `load_processor`, or a processor of transformers that contains it.
        image: Upright, RGB. If the processor cuts out the middle of a very long image, only the
            middle is scaled.
        options: Further arguments of the processor.

    Returns:
        The processor's dict of numpy arrays.

    Raises:
        ImageError: The scaled image would have more than 16 megapixels (4096 x 4096).
    """
    images = getattr(processor, "image_processor", processor)
    image = fitting(images, image, options)
    return processor(images=image, return_tensors="np", **options)


def class_names(config: Any) -> tuple[str, ...]:
    """The class names of a transformers config, in the order of the outputs.

    transformers makes as many outputs as ``id2label`` has entries and numbers them from 0. If the
    entries are numbered from 1, the first one names the first output.

    Raises:
        WeightsError: The entries have other numbers, so that a name would have no output.
    """
    names = {int(i): str(name) for i, name in (config.id2label or {}).items()}
    for first in (0, 1):
        if names and min(names) == first and max(names) - first == len(names) - 1:
            return tuple(names[i] for i in sorted(names))
    where = config.name_or_path or "the config"
    numbers = ", ".join(map(str, sorted(names)[:4])) + (", ..." if len(names) > 4 else "")
    raise WeightsError(
        f"The id2label of {where} has the numbers {numbers or '(none)'}, but the {len(names)} "
        "outputs of the network are numbered from 0.",
        "Number the classes in the order of the outputs, from 0 and without gaps. Write "
        '"N/A" for an output that is not a class.',
    )


def _check_trust(checkpoint: Checkpoint, trust_remote_code: bool) -> None:
    if checkpoint.config.get("auto_map") and not trust_remote_code:
        from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES

        if checkpoint.config.get("model_type") not in CONFIG_MAPPING_NAMES:
            raise UnsupportedModelError(
                f"{checkpoint.name} comes with its own Python code, which was not run.",
                "If you trust its author, pass trust_remote_code=True.",
            )


def named_classes(config: Any) -> tuple[str, ...]:
    """`class_names` with "" for "N/A", which is not a class in COCO's heads with 91 ids."""
    return tuple("" if name == "N/A" else name for name in class_names(config))


def _backbone_config(checkpoint: Checkpoint) -> dict[str, Any]:
    """A ``config`` argument for checkpoints that name their timm backbone in the old way.

    When transformers builds such a config, it asks the Hub whether ``backbone`` is a repo, even if
    all files are on this disk. With the full description of the backbone it does not.
    """
    from transformers import CONFIG_MAPPING

    config = checkpoint.config
    if not (config.get("backbone_kwargs") and config.get("backbone")):
        return {}
    if not config.get("use_timm_backbone", True) or config.get("backbone_config"):
        return {}
    old = ("backbone", "backbone_kwargs", "use_timm_backbone", "use_pretrained_backbone")
    plain = {k: v for k, v in config.items() if k not in old}
    plain["backbone_config"] = {
        "model_type": "timm_backbone",
        "backbone": config["backbone"],
        **config["backbone_kwargs"],
    }
    return {"config": CONFIG_MAPPING[config["model_type"]].from_dict(plain)}
