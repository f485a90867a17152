"""Measure models on this machine, and choose by speed."""

from pvzoo.benchmark.run import benchmark

__all__ = ["benchmark"]
