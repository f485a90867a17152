"""Detection and classification by text prompts for pvzoo.

`tasks` says what one asks and gets; each family has an adapter here and its network in `networks`.
"""
