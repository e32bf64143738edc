"""What `make up` takes from the environment, without starting anything."""

import json
from dataclasses import astuple, replace
from pathlib import Path

import pytest

from local.stack import StackError, StackInfo
from local.stack.processes import free_ports
from local.stack.running import PORTS, _choose_ports, _forget
from local.stack.settings import port_in

INFO = StackInfo(
    api_url="http://127.0.0.1:8787",
    page_url="http://127.0.0.1:8787/",
    admin_key="k",
    aws_endpoint="http://127.0.0.1:8788",
    region="us-east-1",
    table_name="t",
    queues={},
    functions={},
    pikcel_url="http://127.0.0.1:8789",
    replicate_url="http://127.0.0.1:8791",
    fal_url="http://127.0.0.1:8792",
    shopify_url="http://127.0.0.1:8790/{shop}",
    secrets={},
)


@pytest.mark.parametrize(
    ("given", "port"), [({}, 8787), ({"PORT": ""}, 8787), ({"PORT": "0"}, 0), ({"PORT": "9"}, 9)]
)
def test_the_first_port_is_taken_from_the_environment(given: dict[str, str], port: int) -> None:
    assert port_in(given, 8787) == port


@pytest.mark.parametrize("given", ["abc", "-5", "70000", "65531", "1.5", "8787 ", "٣", "9" * 5000])
def test_what_is_no_port_is_said_plainly(given: str) -> None:
    with pytest.raises(StackError, match="give a number up to 65530"):
        port_in({"PORT": given}, 8787)


def test_a_stack_that_ends_removes_its_own_stack_json_only(tmp_path: Path) -> None:
    path = tmp_path / "stack.json"
    other = replace(INFO, api_url="http://127.0.0.1:9500")
    INFO.write(path)
    _forget(path, other)
    assert StackInfo.read(path) == INFO
    _forget(path, INFO)
    assert not path.exists()
    _forget(path, INFO)


def test_a_stack_kept_since_there_were_fewer_parts_keeps_its_ports_and_gets_more(
    tmp_path: Path,
) -> None:
    held = free_ports(4)
    path = tmp_path / "ports.json"
    path.write_text(json.dumps(held))
    ports = astuple(_choose_ports(0, tmp_path))
    assert list(ports[:4]) == held
    assert len(set(ports)) == PORTS
    assert json.loads(path.read_text()) == list(ports)
    assert astuple(_choose_ports(0, tmp_path)) == ports
    with pytest.raises(StackError, match=f"was made with PORT={held[0]}"):
        _choose_ports(held[1], tmp_path)
