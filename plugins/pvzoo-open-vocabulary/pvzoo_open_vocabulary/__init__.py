"""Detection and classification by text prompts for pvzoo: `tasks`, and an adapter per family."""
