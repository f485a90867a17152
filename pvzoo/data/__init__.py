"""Labelled data: read any common form into `datasets`, check it, mend it, write it."""
