"""Where weights come from, and what is published there."""
