"""Find mistakes in labelled data, and fix them."""
