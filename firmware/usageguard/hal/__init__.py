"""The hardware: one class for each platform, with the methods that `interface` describes."""
