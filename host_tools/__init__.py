"""The host side of Usage Guard: simulator, targets, collector and command line."""
