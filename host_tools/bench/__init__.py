"""Measures the firmware against its goals and against other ways to do the same."""
