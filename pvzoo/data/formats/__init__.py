"""Formats of labelled data: each module or folder has one format; plugins may add others."""
