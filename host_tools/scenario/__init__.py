"""Reads scenario files: the simulated device and carrier, the owner who sends orders, and the expectations."""
