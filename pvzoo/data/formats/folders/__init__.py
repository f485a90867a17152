"""Folders whose places are the labels."""
