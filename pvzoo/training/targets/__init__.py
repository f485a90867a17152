"""What the networks of each task are trained on; `base` is the contract."""
