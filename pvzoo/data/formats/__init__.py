"""Formats of labelled data: each reads and writes one; plugins bring others."""
