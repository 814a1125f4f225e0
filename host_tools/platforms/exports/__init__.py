"""Reads the usage that carriers' portals export as CSV."""
