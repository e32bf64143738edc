"""The laptop's stack: our own template.yaml, running without Docker or an AWS account."""

from local.stack.processes import StackError, wait_until
from local.stack.running import (
    DEFAULT_PORT,
    SCHEDULE_EVENT,
    FunctionFailedError,
    Stack,
    StackInfo,
    running_stack,
)

__all__ = [
    "DEFAULT_PORT",
    "SCHEDULE_EVENT",
    "FunctionFailedError",
    "Stack",
    "StackError",
    "StackInfo",
    "running_stack",
    "wait_until",
]
