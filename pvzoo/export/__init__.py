"""Export networks to files that run without PyTorch, with proof that the results are the same."""
