"""Tasks: what a prediction means. Each file has one task; `base` has the contract."""
