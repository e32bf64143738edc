"""Which version this is."""

VERSION = "0.1.0"  # a test compares it with pyproject.toml
