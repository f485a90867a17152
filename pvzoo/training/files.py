"""Read the files that a run wrote into its folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pvzoo.errors import TrainingError, error_message


def read_object(file: Path) -> dict[str, Any]:
    """The JSON object in one of a run's files.

    Raises:
        TrainingError: The file cannot be read.
    """
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        if isinstance(found, dict):
            return found
        why = "it does not hold a JSON object"
    except (OSError, ValueError, RecursionError) as error:
        why = error_message(error)
    raise TrainingError(
        f"{file} is damaged ({why}), so the run in its folder cannot continue.",
        "Choose a new output_dir, or remove the folder.",
    )
