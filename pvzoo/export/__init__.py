"""Networks as files that run without PyTorch, each with the proof that it answers as before."""
