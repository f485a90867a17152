"""Turn images into a network's inputs, with steps that are data and run in numpy and Pillow."""
