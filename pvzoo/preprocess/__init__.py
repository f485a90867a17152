"""Images -> the inputs of a network: steps that are data, run by numpy and Pillow."""
