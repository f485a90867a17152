"""How fast models are on this machine: measured, compared, and chosen by."""

from pvzoo.benchmark.run import benchmark

__all__ = ["benchmark"]
