"""Entry points -> what is installed: pvzoo's own parts and those of plugins."""
