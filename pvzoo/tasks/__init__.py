"""Tasks: what a prediction means. One file a task; `base` is the contract."""
