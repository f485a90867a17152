"""Runtimes run the graphs of a network; `base` is their contract."""
