"""Networks in PyTorch, which adapters need to load a checkpoint: `base` is the contract."""
