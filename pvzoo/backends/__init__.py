"""Backends: what runs the forward pass; `base` is the contract."""
