"""The ports that stacks started side by side take."""

import socket
import subprocess
import sys

import pytest

from local.stack.processes import LOOPBACK, StackError, free_ports

_TAKE = """
from local.stack.processes import free_ports
print(*free_ports(6), flush=True)
input()
"""


def test_programs_that_run_side_by_side_never_choose_the_same() -> None:
    programs = [
        subprocess.Popen(
            [sys.executable, "-c", _TAKE],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(4)
    ]
    told = [str(program.stdout and program.stdout.readline()) for program in programs]
    for program in programs:
        program.communicate("\n", timeout=30)
    chosen = [int(port) for line in told for port in line.split()]
    assert len(set(chosen)) == 24
    assert max(chosen) < 32_768


def test_what_something_listens_on_is_passed_over() -> None:
    (taken,) = free_ports(1)
    with socket.create_server((LOOPBACK, taken)):
        assert taken not in free_ports(50) + free_ports(48)
    assert taken in free_ports(50) + free_ports(49)


def test_more_than_a_program_has_are_refused() -> None:
    with pytest.raises(StackError, match="no 100 free ports"):
        free_ports(100)
