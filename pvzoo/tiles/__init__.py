"""Predict large images in tiles, and merge what the tiles show."""
