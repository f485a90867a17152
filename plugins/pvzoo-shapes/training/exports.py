"""Export the shipped networks for ONNX Runtime, to pvzoo_shapes/exports, each with its proof.

python plugins/pvzoo-shapes/training/exports.py     # after ship.py; two minutes on two cores
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pvzoo

FOLDER = Path(__file__).parents[1] / "pvzoo_shapes" / "exports"


def main() -> None:
    """Replace the exports by those of the networks as they are now."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    for card in pvzoo.list_models():
        if card.dist == "pvzoo-shapes":
            print(card.name, pvzoo.load(card.name, device="cpu").export(FOLDER / card.name))


if __name__ == "__main__":
    main()
