"""Depth estimation for pvzoo: see README.md."""
