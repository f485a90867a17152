"""YOLO: text files beside images."""
