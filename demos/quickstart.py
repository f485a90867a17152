"""Label photographs that come with scikit-image, scikit-learn and Gradio; find shapes in a scene.

Prints the results and writes annotated images to quickstart-output/. Then it exports the classifier
once, so that `pvzoo predict` starts in a second. All weights are installed with pvzoo's plugins;
nothing is downloaded.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pvzoo_shapes

import pvzoo
from pvzoo.export.twins import twin_folder, twin_of

OUTPUT = Path("quickstart-output")
SCENE = 4
"""Seed of the drawn scene; the networks were trained on other scenes."""
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
    """The path of a file of an installed package, which is not imported."""
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise SystemExit(f"{package} is not installed; run: make quickstart")
    return Path(spec.origin).parent / file


def label_photographs() -> None:
    """Classify with EfficientNet-Lite0."""
    model = pvzoo.load("efficientnet-lite0-pip")
    for result in model.predict([photograph(*p) for p in PHOTOGRAPHS], top_k=3):
        name = Path(result.source).name
        best = ", ".join(f"{n} {s:.2f}" for n, s in zip(result.names, result.scores, strict=True))
        print(f"{name:20} {best}")
        result.save(OUTPUT / f"{Path(name).stem}.png")


def find_shapes() -> None:
    """Detect and segment in a drawn scene, with networks trained on such scenes."""
    scene = pvzoo_shapes.scenes(count=1, seed=SCENE)[0]["image"]
    found = pvzoo.load("shapes-detector").predict(scene, threshold=0.5)
    print(f"{'drawn scene':20} {', '.join(found.names)}")
    found.save(OUTPUT / "scene-boxes.png")
    segments = pvzoo.load("shapes-mask2former-panoptic").predict(scene)
    print(f"{'its segments':20} {', '.join(s.name for s in segments.segments)}")
    segments.save(OUTPUT / "scene-segments.png")


def keep_an_export() -> None:
    """Export the classifier once, for `pvzoo predict`: it then needs no PyTorch to start."""
    card = pvzoo.info("efficientnet-lite0-pip")
    if twin_of(card) is None:
        pvzoo.load(card.name, device="cpu").export(twin_folder(card))
    print(f"{'pvzoo predict':20} starts in about a second, by an export of {card.name}")


def main() -> None:
    """Label, find and export, then print where the images are."""
    label_photographs()
    find_shapes()
    keep_an_export()
    print(f"Annotated images are in {OUTPUT.resolve()}")


if __name__ == "__main__":
    main()
