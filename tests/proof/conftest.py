"""Two programs here run in an environment of their own: what they import is not in ours."""

collect_ignore = ["fuzz.py", "openapi_hooks.py"]
