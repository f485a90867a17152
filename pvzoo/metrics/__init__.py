"""Metrics and the analysis of errors. A metric takes results one by one, in bounded memory."""
