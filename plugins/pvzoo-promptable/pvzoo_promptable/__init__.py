"""Masks for points and boxes for pvzoo; `masks_from` puts them behind any detector."""

from pvzoo_promptable.compose import masks_from

__all__ = ["masks_from"]
