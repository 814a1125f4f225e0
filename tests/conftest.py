"""What all property tests have: the same examples in every run, and no limit of time that a busy machine would miss."""

from hypothesis import settings

settings.register_profile("tests", deadline=None, derandomize=True)
settings.load_profile("tests")
