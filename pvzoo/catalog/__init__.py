"""The catalogue: cards of models, read from TOML files, checked, looked up and searched."""
