"""The demonstration: a month with and without the guard as a report, then a small fleet on its page."""
