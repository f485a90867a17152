"""Runtimes: what runs the graphs of a network; `base` is the contract."""
