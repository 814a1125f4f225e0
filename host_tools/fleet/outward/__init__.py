"""Tells people, and other programs, what the fleet's page shows."""
