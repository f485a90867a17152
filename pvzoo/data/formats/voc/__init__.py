"""Pascal VOC: an XML file for each image, and maps."""
