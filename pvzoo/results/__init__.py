"""Results: what `predict` returns for an image, one type per task, with its masks and drawing."""
