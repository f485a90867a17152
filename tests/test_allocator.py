"""Memory that a network frees is not asked for again from the system."""

from __future__ import annotations

import platform
import resource

import numpy as np
import pytest

import pvzoo
from pvzoo.runtimes import allocator

pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc needs it")


def test_a_forward_pass_asks_the_system_for_no_memory_that_the_one_before_had(
    lite0: pvzoo.Model,
) -> None:
    batch = {"x": np.zeros((8, 3, 224, 224), np.float32)}
    for _ in range(2):
        lite0.runtime("model", batch)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    lite0.runtime("model", batch)
    pages = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
    assert pages < 6_000  # without, it is more than 60,000


@pytest.mark.parametrize("name", ["MALLOC_TRIM_THRESHOLD_", "GLIBC_TUNABLES"])
def test_what_the_user_has_told_glibc_stays(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "1")
    assert not allocator.keep_freed_memory.__wrapped__()
    monkeypatch.delenv(name)
    assert allocator.keep_freed_memory.__wrapped__()


def test_other_c_libraries_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(allocator.platform, "libc_ver", lambda: ("", ""))
    assert not allocator.keep_freed_memory.__wrapped__()
