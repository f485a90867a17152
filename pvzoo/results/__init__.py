"""The results of `predict`: one type for each task, with masks and drawing."""
