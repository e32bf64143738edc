"""What `make up` takes from the environment, without starting anything."""

from dataclasses import replace
from pathlib import Path

import pytest

from local.stack import StackError, StackInfo
from local.stack.running import _forget
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
