"""A plugin of pvzoo: see README.md."""
