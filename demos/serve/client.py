"""Send images to a server of ``pvzoo serve``; needs only httpx.

    python client.py http://127.0.0.1:8000 detector street.jpg more/*.jpg --threshold 0.5

A server that is busy answers 503 and says when to come back; this client waits and asks again.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path

import httpx


def predict(client: httpx.Client, model: str, image: bytes, **options: object) -> dict:
    """The result for one image.

    Raises:
        RuntimeError: The server refused the image or an option; the message says why.
    """
    for _ in range(10):
        answer = client.post(f"/v1/models/{model}/predict", content=image, params=options)
        if answer.status_code != 503:
            break
        time.sleep(float(answer.headers.get("retry-after", 1)))
    if answer.status_code != 200:
        raise RuntimeError(answer.json()["error"])
    return answer.json()


def main() -> None:
    """Print a line of JSON for each image."""
    parser = argparse.ArgumentParser()
    parser.add_argument("address")
    parser.add_argument("model")
    parser.add_argument("images", nargs="+", type=Path)
    parser.add_argument("--threshold", type=float)
    given = parser.parse_args()
    token = os.environ.get("PVZOO_SERVE_TOKEN")
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    options = {} if given.threshold is None else {"threshold": given.threshold}
    with httpx.Client(base_url=given.address, headers=headers, timeout=60) as client:
        for file in given.images:
            try:
                result = predict(client, given.model, file.read_bytes(), **options)
            except RuntimeError as error:
                result = {"error": str(error)}
            print(json.dumps({**result, "source": str(file)}))


if __name__ == "__main__":
    main()
