"""What is measured did the work that it is measured for, and the peers do the same."""

from __future__ import annotations

import json
from typing import Any

import pytest

from shared.domain.references import read_reference
from tests.bench.aws_service import Call
from tests.bench.lambda_service import Function, Run
from tests.bench.scene import _answers, _deliveries, _requests, check
from tests.builders import a_dispatched_job

OURS = Function(name="ours", handler="a.handler", path=())
BARE = Function(name="bare", handler="a.handler", path=())


def a_run(*answers: Any) -> Run:
    return Run(
        init_s=1, first_s=1, cold_cpu_s=1, warm_cpu_s=None, invoked_at=0, answers=answers, errors=""
    )


def an_answer(status: int = 200, **body: Any) -> dict[str, Any]:
    return {"statusCode": status, "body": json.dumps(body)}


def test_a_delivery_that_was_not_applied_measures_nothing() -> None:
    """As when it was signed over 300 s before: the provider is asked instead, which is less."""
    applied = an_answer(outcome="applied")
    run = a_run(applied, applied)
    assert check(OURS, run) is run
    with pytest.raises(AssertionError, match="out_of_window"):
        check(OURS, a_run(applied, an_answer(outcome="out_of_window")))


def test_a_peer_answers_in_its_own_words_but_it_answers() -> None:
    run = a_run(an_answer(success=True))
    assert check(BARE, run) is run
    with pytest.raises(AssertionError, match="401"):
        check(BARE, a_run(an_answer(401)))


def test_deliveries_are_of_one_job_with_and_without_our_reference_and_forged() -> None:
    job = a_dispatched_job()
    told = _deliveries(job)
    text = told.referenced["queryStringParameters"]["ref"]
    reference = read_reference("pikcel", text, ["bench-app-secret"])
    assert reference is not None
    assert reference.ref == job.ref
    assert told.through_link["queryStringParameters"] is None
    assert "ref" not in json.loads(told.through_link["body"])["job"]["metadata"]
    with pytest.raises(json.JSONDecodeError):
        json.loads(told.forged["body"])


def test_peers_repeat_what_ours_did_with_the_job_and_not_what_it_prepared() -> None:
    recorded = (
        Call("secretsmanager.GetSecretValue", {"SecretId": "signing"}),
        Call("dynamodb.GetItem", {"Key": {"pk": {"S": "LINK#none#none"}}}),
        Call("dynamodb.GetItem", {"Key": {"pk": {"S": "SHOP#a"}}}),
        Call("dynamodb.TransactWriteItems", {"TransactItems": [], "ClientRequestToken": "x"}),
    )
    assert list(_requests(recorded)) == [
        ("dynamodb", "get_item", {"Key": {"pk": {"S": "SHOP#a"}}}),
        ("dynamodb", "transact_write_items", {"TransactItems": []}),
    ]


def test_the_table_knows_the_job_and_its_link_and_nothing_else() -> None:
    job = a_dispatched_job()
    get = _answers(job)["dynamodb.GetItem"]

    def found(pk: str) -> bool:
        return "Item" in get({"TableName": "jobs", "Key": {"pk": {"S": pk}}})

    assert [found(f"SHOP#{job.shop}"), found("LINK#pikcel#pk_1"), found("LINK#none#none")] == [
        True,
        True,
        False,
    ]
