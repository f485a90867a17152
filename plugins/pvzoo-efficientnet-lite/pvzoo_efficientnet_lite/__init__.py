"""A catalogue for pvzoo; see catalog.toml. There is no code here."""
