"""Tests that do not apply to old versions of pvzoo's dependencies: a fixed list, with reasons."""

from __future__ import annotations

import re
from importlib.metadata import PackageNotFoundError, version
from typing import NamedTuple

from packaging.version import Version


class Since(NamedTuple):
    """Tests whose ids match run from this version of a package on; "0" is any."""

    tests: str
    package: str
    version: str
    reason: str


SINCE = (
    Since(r"pp_doclayout_v4|PPDocLayoutV4", "transformers", "5.20", "the family is newer"),
    Since(r"sapiens2|Sapiens2", "transformers", "5.12", "the family is newer"),
    Since(r"tipsv2_dpt|Tipsv2Dpt", "transformers", "5.14", "the family is newer"),
    Since(
        r"RfDetrImageProcessor|processors_with_other_settings",
        "transformers",
        "5.14",
        "RF-DETR's processor rounded otherwise; pvzoo then keeps the processor",
    ),
    Since(
        r"lanczos|processors_of_random_sizes",
        "torchvision",
        "0.27",
        "torchvision did not scale tensors by this filter; pvzoo then keeps the processor",
    ),
    Since(
        r"test_progress\.py.*(short_job|false_shows|where_no_one_looks)",
        "huggingface-hub",
        "2.0",
        "its HTTP client imported rich",
    ),
    Since(
        r"type_checkers_know|checks_of_types",
        "huggingface-hub",
        "2.0",
        "types are checked with the newest",
    ),
    Since(
        r"what_supervision_writes_is_read|supervision_reads_the_masks",
        "supervision",
        "0.31",
        "supervision read and wrote these files in another way",
    ),
    Since(r"the_space_in_this_repository", "gradio", "6.31", "the Space names its version"),
    Since(
        r"what_the_page_says_is_so|every_runtime_asked|the_thresholds_and_uses_them|quickstart_labels",
        "onnx",
        "0",
        "the extra export is missing",
    ),
    Since(r"test_bulk_kills\.py", "ray", "0", "the extra bulk is missing"),
)


def reason_to_skip(test: str) -> str | None:
    """Why a test, by its id, does not apply to what is installed; else None."""
    for since in SINCE:
        if re.search(since.tests, test) and not _has(since.package, since.version):
            return f"{since.package} {since.version} or newer is needed: {since.reason}"
    return None


def _has(package: str, least: str) -> bool:
    try:
        return Version(version(package)) >= Version(least)
    except PackageNotFoundError:
        return False
