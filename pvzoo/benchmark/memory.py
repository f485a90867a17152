"""Measure peak memory in a new process: ``python -m pvzoo.benchmark.memory JSON``.

The process loads a model, predicts the photographs, and prints its peak memory in bytes.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from pvzoo.benchmark.contenders import opened, peak_memory
from pvzoo.benchmark.timing import PHOTOGRAPHS, prompts


def main(asked: str) -> None:
    """Print the peak memory."""
    name, way, task, folder = json.loads(asked)
    model = opened(name, way, task, None, Path(folder))
    for _ in model.stream(PHOTOGRAPHS, progress=False, **prompts(model)):
        pass
    print(peak_memory())


if __name__ == "__main__":
    main(sys.argv[1])
