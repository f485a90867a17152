"""What is behind the figures of an evaluation, as a folder with a page."""
