"""Adapters: how a family of networks is driven. One file a family; `base` is the contract."""
