"""Carriers' management platforms: what they count, and what they are asked to do with a SIM."""
