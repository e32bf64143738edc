"""What goes into the HTTP API and comes out of it, as pydantic models.

Only functions/api imports this room: pydantic would be a third of the webhook's cold start.
"""
