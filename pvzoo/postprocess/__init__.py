"""Pure functions from a network's output tensors to predictions; no module knows of a network."""
