"""The peers are what others would write: their packages are in no environment of the tests."""

collect_ignore = ["peers"]
