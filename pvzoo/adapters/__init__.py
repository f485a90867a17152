"""Adapters: how to run a family of networks. One file for each family; `base` is the contract."""
