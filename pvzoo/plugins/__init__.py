"""Find the installed parts of pvzoo and of plugins, by their entry points."""
