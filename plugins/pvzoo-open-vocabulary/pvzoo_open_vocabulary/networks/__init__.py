"""The networks of the adapters, in PyTorch."""
