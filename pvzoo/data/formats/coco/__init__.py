"""COCO: objects and panoptic segments in JSON files."""
