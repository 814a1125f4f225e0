"""Runs a scenario on a target and records what happened."""
