"""Agents, and what administrators do to jobs of any shop."""

from typing import Any

from shared.domain.events import ParkedEvent, Proof
from shared.domain.status import JobStatus
from tests.api_world import ADMIN, World, world
from tests.builders import OTHER_SHOP, SHOP, a_completed_job, a_job, a_worker_job, later

__all__ = ["world"]


def agent(world: World, name: str = "Robot", shop: str = SHOP) -> dict[str, Any]:
    reply = world.post("/api/admin/agents", {"name": name}, shop=shop)
    assert reply.status == 201
    found: dict[str, Any] = reply.json
    return found


def test_an_agent_creates_reads_and_lists_its_own_worker_jobs(world: World) -> None:
    world.has(a_worker_job())
    made = agent(world)
    mine: dict[str, Any] = {"shop": None, "key": made["secret"]}
    created = world.post("/api/jobs", {"name": "Write a text"}, **mine)
    assert created.status == 202
    assert created.job["agentId"] == made["agent"]["id"]
    assert created.job["provider"] == "worker"
    found = world.get("/api/jobs", **mine).json
    assert [job["id"] for job in found["jobs"]] == [created.job["id"]]
    assert world.get(f"/api/jobs/{created.job['id']}", **mine).status == 200
    logs = world.get(f"/api/jobs/{created.job['id']}/logs", **mine).json["logs"]
    assert (logs[0]["source"], logs[0]["actor"]) == ("worker", f"agent:{made['agent']['id']}")


def test_an_agent_whose_answer_was_lost_is_the_same_agent_with_another_key(world: World) -> None:
    again = {"headers": {"idempotency-key": "k"}}
    lost = world.post("/api/admin/agents", {"name": "Robot"}, **again).json
    world.lose_answers()
    told = world.post("/api/admin/agents", {"name": "Robot"}, **again).json
    assert told["agent"]["id"] == lost["agent"]["id"]
    assert len(world.get("/api/admin/agents").json["agents"]) == 1
    assert world.get("/api/jobs", shop=None, key=lost["secret"]).status == 401
    assert world.get("/api/jobs", shop=None, key=told["secret"]).status == 200


def test_an_agent_sees_nobody_elses_jobs(world: World) -> None:
    one, two = agent(world, "one"), agent(world, "two")
    theirs = world.post("/api/jobs", {"name": "x"}, shop=None, key=two["secret"]).job["id"]
    nobodys = world.has(a_worker_job()).job_id
    mine: dict[str, Any] = {"shop": None, "key": one["secret"]}
    for job_id in (theirs, nobodys):
        for path in (f"/api/jobs/{job_id}", f"/api/jobs/{job_id}/logs"):
            assert world.get(path, **mine).status == 404
    assert world.get("/api/jobs", query={"ids": f"{theirs},{nobodys}"}, **mine).json["jobs"] == []
    asked = {"agentId": two["agent"]["id"]}
    assert world.get("/api/jobs", query=asked, **mine).status == 403


def test_an_agent_cannot_spend_or_act_for_others(world: World) -> None:
    one, two = agent(world, "one"), agent(world, "two")
    mine: dict[str, Any] = {"shop": None, "key": one["secret"]}
    image = {"toolId": "t", "inputImageUrl": "https://a.example/x.png"}
    assert world.post("/api/jobs", image, **mine).status == 403
    assert world.post("/api/jobs", {"agentId": two["agent"]["id"]}, **mine).status == 403
    assert world.post("/api/jobs", {"batchId": "b"}, **mine).status == 403
    assert world.get("/api/jobs/stats", **mine).status == 403
    assert world.get("/api/shop", **mine).status == 403
    assert world.post("/api/shop/keys", {"name": "x"}, **mine).status == 403
    assert world.get("/api/jobs", shop=OTHER_SHOP, key=one["secret"]).status == 403


def test_the_same_idempotency_key_of_two_agents_makes_two_jobs(world: World) -> None:
    one, two = agent(world, "one"), agent(world, "two")
    made = [
        world.post(
            "/api/jobs",
            {"name": "same"},
            shop=None,
            key=each["secret"],
            headers={"idempotency-key": "k"},
        ).job
        for each in (one, two, one)
    ]
    assert made[0]["id"] == made[2]["id"] != made[1]["id"]
    assert made[1]["agentId"] == two["agent"]["id"]


def test_an_agent_is_told_of_its_own_running_job_only(world: World) -> None:
    one, two = agent(world, "one"), agent(world, "two")
    body = {"type": "pull", "exclusive": True}
    running = world.post("/api/jobs", body, shop=None, key=one["secret"]).job["id"]
    again = world.post("/api/jobs", body, shop=None, key=one["secret"])
    assert (again.code, again.json["details"]) == ("already_running", [{"runningJobId": running}])
    others = world.post("/api/jobs", body, shop=None, key=two["secret"])
    assert others.code == "already_running"
    assert running not in others.text


def test_an_inactive_agents_key_opens_nothing_until_it_is_active_again(world: World) -> None:
    made = agent(world)
    path = f"/api/admin/agents/{made['agent']['id']}"
    assert world.call("DELETE", path).json["agent"]["isActive"] is False
    assert world.get("/api/jobs", shop=None, key=made["secret"]).status == 401
    again = world.call("PATCH", path, json_body={"isActive": True, "name": "Other"})
    assert again.json["agent"]["name"] == "Other"
    assert world.get("/api/jobs", shop=None, key=made["secret"]).status == 200
    assert world.call("PATCH", path, json_body={"name": "x"}, shop=OTHER_SHOP).status == 404
    assert [a["name"] for a in world.get("/api/admin/agents").json["agents"]] == ["Other"]
    assert made["secret"] not in world.get("/api/admin/agents").text


def test_an_agents_description_may_be_taken_away_its_name_may_not(world: World) -> None:
    body = {"name": "Writer", "description": "Writes"}
    made = world.post("/api/admin/agents", body).json["agent"]
    path = f"/api/admin/agents/{made['id']}"
    changed = world.call("PATCH", path, json_body={"description": None, "name": None})
    assert changed.json["agent"]["description"] is None
    assert changed.json["agent"]["name"] == "Writer"
    again = world.call("PATCH", path, json_body={"isActive": True}).json["agent"]
    assert again == changed.json["agent"]


def test_nobody_but_administrators_gets_into_the_administration(world: World) -> None:
    job_id = world.has(a_job(status=JobStatus.FAILED)).job_id
    key = world.post("/api/shop/keys", {"name": "k"}).json["secret"]
    for credential in (world.id_token(), key, agent(world)["secret"]):
        who: dict[str, Any] = {"shop": None, "key": credential}
        assert world.get("/api/admin/jobs", **who).status == 403
        assert world.get(f"/api/admin/jobs/{job_id}", **who).status == 403
        assert world.post(f"/api/admin/jobs/{job_id}/resubmit", **who).status == 403
        assert world.post("/api/admin/agents", {"name": "x"}, **who).status == 403
        assert world.get("/api/admin/parked", **who).status == 403
    assert world.job(job_id).status is JobStatus.FAILED


def test_the_jobs_of_all_shops_are_listed_by_day(world: World) -> None:
    jobs = [a_job(shop=shop) for shop in (SHOP, OTHER_SHOP, SHOP)]
    world.has(*jobs)
    query = {"limit": "2", "day": f"{jobs[0].created_at:%Y-%m-%d}"}
    first = world.get("/api/admin/jobs", shop=None, query=query).json
    cursor = {"cursor": first["nextCursor"]}
    second = world.get("/api/admin/jobs", shop=None, query=query | cursor).json
    ids = [job["id"] for job in first["jobs"] + second["jobs"]]
    assert ids == sorted((job.job_id for job in jobs), reverse=True)
    assert second["nextCursor"] is None
    other = query | cursor | {"day": "2001-01-01"}
    assert world.get("/api/admin/jobs", shop=None, query=other).status == 400
    assert world.get("/api/admin/jobs", shop=None, query={"status": "failed"}).status == 400
    # Nor is a day quietly left out where it would not be looked at.
    assert world.get("/api/admin/jobs", query={"day": "2001-01-01"}).status == 400
    mine = world.get("/api/admin/jobs", query={"status": "pending"}).json
    assert {job["shop"] for job in mine["jobs"]} == {SHOP}


def test_a_job_is_found_without_its_shop(world: World) -> None:
    job_id = world.has(a_job(shop=OTHER_SHOP)).job_id
    assert world.get(f"/api/admin/jobs/{job_id}", shop=None).job["shop"] == OTHER_SHOP
    assert world.get(f"/api/admin/jobs/{job_id}", shop=SHOP).status == 404
    unknown = f"{job_id[:-4]}ffff"
    assert world.get(f"/api/admin/jobs/{unknown}", shop=None).status == 404


def test_a_job_is_completed_by_hand_with_a_result_and_it_says_by_whom(world: World) -> None:
    job_id = world.has(a_worker_job(status=JobStatus.FAILED, error_code="x")).job_id
    path = f"/api/admin/jobs/{job_id}/complete"
    done = world.post(path, {"result": {"text": "fine"}}, shop=None)
    assert done.job["status"] == "completed"
    assert done.job["result"] == {"text": "fine"}
    assert (done.job["progress"], done.job["errorCode"]) == (100, None)
    newest = world.get(f"/api/jobs/{job_id}/logs").json["logs"][0]
    assert (newest["source"], newest["from"], newest["to"]) == ("admin", "failed", "completed")
    assert newest["actor"].startswith("admin:")
    assert ADMIN not in str(newest)
    assert world.post(path, {"result": {}}, shop=None).code == "wrong_status"
    assert world.get("/api/jobs/stats").json["stats"]["completed"] == 1


def test_a_job_to_be_resubmitted_is(world: World) -> None:
    job = a_worker_job(status=JobStatus.FAILED, native_status="resubmission_required")
    job_id = world.has(job).job_id
    again = world.post(f"/api/admin/jobs/{job_id}/resubmit", shop=None).job
    assert (again["status"], again["attempt"], again["retryCount"]) == ("pending", 2, 1)
    assert world.post(f"/api/admin/jobs/{job_id}/resubmit", shop=None).status == 409


def test_a_job_is_assigned_to_another_agent(world: World) -> None:
    one, two = agent(world, "one"), agent(world, "two")
    job_id = world.post("/api/jobs", {"name": "x"}, shop=None, key=one["secret"]).job["id"]
    path = f"/api/admin/jobs/{job_id}/reassign"
    given = world.post(path, {"agentId": two["agent"]["id"]}, shop=None).job
    assert (given["status"], given["nativeStatus"]) == ("pending", "assigned")
    assert given["agentId"] == two["agent"]["id"]
    assert world.get(f"/api/jobs/{job_id}", shop=None, key=one["secret"]).status == 404
    assert world.get(f"/api/jobs/{job_id}", shop=None, key=two["secret"]).status == 200
    listed = world.get("/api/jobs", shop=None, key=two["secret"]).json["jobs"]
    assert [job["id"] for job in listed] == [job_id]


def test_an_agent_that_repeats_its_creation_is_not_shown_what_is_anothers_by_now(
    world: World,
) -> None:
    first, second = agent(world), agent(world)
    mine: dict[str, Any] = {"key": first["secret"], "headers": {"idempotency-key": "once"}}
    made = world.post("/api/jobs", {"type": "task"}, shop=None, **mine).job
    assert world.post("/api/jobs", {"type": "task"}, shop=None, **mine).job == made
    body = {"agentId": second["agent"]["id"]}
    world.post(f"/api/admin/jobs/{made['id']}/reassign", body)
    again = world.post("/api/jobs", {"type": "task"}, shop=None, **mine)
    assert (again.status, again.code) == (409, "wrong_status")
    assert made["id"] not in again.text


def test_only_a_workers_job_that_nobody_works_on_is_reassigned(world: World) -> None:
    robot, theirs = agent(world), agent(world, shop=OTHER_SHOP)
    body = {"agentId": robot["agent"]["id"]}

    def reassign(job: Any, sent: Any = body) -> Any:
        job_id = world.has(job).job_id
        return world.post(f"/api/admin/jobs/{job_id}/reassign", sent, shop=None)

    assert reassign(a_job()).code == "not_a_worker_job"
    running = a_worker_job(status=JobStatus.PROCESSING, started_at=later(0))
    assert reassign(running).code == "wrong_status"
    assert reassign(a_worker_job(), {"agentId": theirs["agent"]["id"]}).status == 404
    again = reassign(a_worker_job(status=JobStatus.FAILED))
    assert (again.job["status"], again.job["attempt"]) == ("pending", 2)
    world.call("DELETE", f"/api/admin/agents/{robot['agent']['id']}")
    assert reassign(a_worker_job()).code == "wrong_status"


def test_a_delivery_without_a_job_is_listed_and_adopted(world: World) -> None:
    event = ParkedEvent(
        provider="pikcel",
        provider_job_id="pk_lost",
        key="pk_lost:completed",
        received_at=world.clock.now(),
        proof=Proof.BODY,
        body=b'{"jobId": "pk_lost", "status": "completed", "creditsUsed": 2,'
        b' "outputImageUrl": "https://cdn.pikcel.ai/x.png"}',
    )
    assert world.store.park(event)
    world.clock.advance(3600)
    (listed,) = world.get("/api/admin/parked", shop=None).json["parked"]
    assert (listed["provider"], listed["providerJobId"]) == ("pikcel", "pk_lost")
    body = {"provider": "pikcel", "providerJobId": "pk_lost", "shop": SHOP, "toolId": "t"}
    adopted = world.post("/api/admin/parked/adopt", body, shop=None)
    assert adopted.status == 202
    assert adopted.job["shop"] == SHOP
    assert adopted.job["providerJobId"] == "pk_lost"
    # The timeline says when it was applied, and when it had come.
    told, made = world.get(f"/api/jobs/{adopted.job['id']}/logs").json["logs"]
    assert (told["source"], told["receivedAt"]) == ("webhook", listed["receivedAt"])
    assert (told["at"], made["receivedAt"]) == (made["at"], None)
    assert world.get("/api/admin/parked", shop=None).json["parked"] == []
    assert world.post("/api/admin/parked/adopt", body, shop=None).code == "provider_job_taken"
    wrong = body | {"shop": "nonsense"}
    assert world.post("/api/admin/parked/adopt", wrong, shop=None).status == 400


def test_completed_work_is_not_resubmitted(world: World) -> None:
    job_id = world.has(a_completed_job()).job_id
    assert world.post(f"/api/admin/jobs/{job_id}/resubmit", shop=None).code == "wrong_status"


def test_a_bulk_job_is_given_to_no_agent(world: World) -> None:
    bulk = world.post("/api/jobs/retry", {"filter": {}}).job
    body = {"agentId": agent(world)["agent"]["id"]}
    reply = world.post(f"/api/admin/jobs/{bulk['id']}/reassign", body)
    assert (reply.status, reply.code) == (409, "not_a_worker_job")
    assert world.job(bulk["id"]).agent_id is None
