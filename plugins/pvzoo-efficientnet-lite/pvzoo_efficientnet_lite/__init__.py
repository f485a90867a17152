"""A catalogue for pvzoo, without code; see catalog.toml."""
