"""Thresholds that are chosen on labelled data and kept with a model."""
