"""Any image, or any number of them -> upright RGB images."""
