"""Receives the devices' usage reports, verifies and keeps them, and acknowledges them (firmware/SPEC.md)."""
