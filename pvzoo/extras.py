"""Packages that only parts of pvzoo need, and the extra that installs each."""

from __future__ import annotations

from importlib.util import find_spec

from pvzoo.errors import MissingExtraError

EXTRAS = {
    "accelerate": "torch",
    "av": "video",
    "torch": "torch",
    "torchvision": "torch",
    "timm": "torch",
    "transformers": "torch",
    "datasets": "data",
    "defusedxml": "data",
    "pandas": "data",
    "gradio": "demo",
    "imagecodecs": "large",
    "matplotlib": "train",
    "onnx": "export",
    "onnxruntime": "onnx",
    "onnxscript": "export",
    "openvino": "openvino",
    "peft": "train",
    "prometheus_client": "serve",
    "python_multipart": "serve",
    "starlette": "serve",
    "pyarrow": "bulk",
    "ray": "bulk",
    "supervision": "supervision",
    "tifffile": "large",
    "trackers": "video",
    "uvicorn": "serve",
}
"""Name of the module -> extra."""


def needs(what: str, *modules: str) -> None:
    """Raise an error if a package is not installed; nothing is imported.

    Args:
        what: What needs the package, as the beginning of a sentence: "Evaluation".
        modules: Names of top-level modules in `EXTRAS`.

    Raises:
        MissingExtraError: A package is missing; the message has the command that installs it.
    """
    for module in modules:
        if not is_installed(module):
            raise MissingExtraError(
                f"{what} needs the package {module}, which is not installed.",
                f'Run: pip install "pvzoo[{EXTRAS[module]}]"',
            )


def is_installed(*modules: str) -> bool:
    """Whether all these top-level modules are installed; nothing is imported."""
    try:
        return all(find_spec(module) is not None for module in modules)
    except (ImportError, ValueError):  # blocked, or only partly installed
        return False
