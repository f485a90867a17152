"""The networks that the adapters drive, in PyTorch."""
