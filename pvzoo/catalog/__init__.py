"""The catalogue: read the cards of models from TOML files, check them, and search them."""
