"""What is stored as the JSON that people and programs read.

camelCase, every field always there, null if unknown; instants are ISO 8601 UTC with
milliseconds and `Z`; integers beyond 2^53 are strings, because JavaScript would round them.
"""
