"""Predict millions of images: cut into shards, each of which becomes one Parquet file."""
