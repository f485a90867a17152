"""Metrics, one module per task; each takes results one by one, in bounded memory."""
