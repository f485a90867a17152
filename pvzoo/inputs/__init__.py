"""Read images in any form, one or many, as upright RGB images."""
