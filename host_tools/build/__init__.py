"""Builds what runs on a device: compiled modules, sets of files, configurations, file system images."""
