"""Networks in PyTorch, the other half of adapters: `base` is the contract."""
