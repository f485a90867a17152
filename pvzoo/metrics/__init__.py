"""Figures of merit, one module a task; each takes results one by one in bounded memory."""
