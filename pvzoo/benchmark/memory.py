"""A process of its own for the peak of memory: ``python -m pvzoo.benchmark.memory JSON``.

It loads a model, predicts the photographs, and prints the most memory it took, in bytes.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from pvzoo.benchmark.contenders import opened, peak_memory
from pvzoo.benchmark.timing import PHOTOGRAPHS, prompts


def main(asked: str) -> None:
    """Print it."""
    name, way, task, folder = json.loads(asked)
    model = opened(name, way, task, None, Path(folder))
    for _ in model.stream(PHOTOGRAPHS, progress=False, **prompts(model)):
        pass
    print(peak_memory())


if __name__ == "__main__":
    main(sys.argv[1])
