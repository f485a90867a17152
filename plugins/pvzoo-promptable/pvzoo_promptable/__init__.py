"""Masks for points and boxes for pvzoo; `masks_from` makes masks for the boxes of any detector."""

from pvzoo_promptable.compose import masks_from

__all__ = ["masks_from"]
