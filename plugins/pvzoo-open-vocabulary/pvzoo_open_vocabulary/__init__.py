"""Detection and classification by text prompts for pvzoo.

`tasks` has the prompts and the results; each family has an adapter here and its network in
`networks`.
"""
