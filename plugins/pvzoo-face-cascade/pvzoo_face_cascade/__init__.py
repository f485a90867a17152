"""A face detector for pvzoo without a network; see `adapter` and catalog.toml."""
