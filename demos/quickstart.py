"""Predict on photographs that come with scikit-image, scikit-learn and Gradio.

Prints the labels and writes annotated pictures to quickstart-output/.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pvzoo

OUTPUT = Path("quickstart-output")
# package, file inside it: photographs with a clear subject
PHOTOGRAPHS = (
    ("skimage", "data/coffee.png"),
    ("skimage", "data/chelsea.png"),
    ("skimage", "data/camera.png"),
    ("skimage", "data/motorcycle_left.png"),
    ("sklearn", "datasets/images/china.jpg"),
    ("gradio", "media_assets/images/cheetah1.jpg"),
    ("gradio", "media_assets/images/lion.jpg"),
)


def photograph(package: str, file: str) -> Path:
    """Where an installed package keeps a file; the package is not imported."""
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise SystemExit(f"{package} is not installed; run: make quickstart")
    return Path(spec.origin).parent / file


def main() -> None:
    """Load the model that needs no download, predict, print, save."""
    model = pvzoo.load("efficientnet-lite0-pip")
    for result in model.predict([photograph(*p) for p in PHOTOGRAPHS], top_k=3):
        name = Path(result.source).name
        best = ", ".join(f"{n} {s:.2f}" for n, s in zip(result.names, result.scores, strict=True))
        print(f"{name:20} {best}")
        result.save(OUTPUT / f"{Path(name).stem}.png")
    print(f"Annotated pictures are in {OUTPUT.resolve()}")


if __name__ == "__main__":
    main()
