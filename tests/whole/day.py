"""A day of traffic that nobody planned: two shops, two agents each, an administrator, a provider
that errs, webhooks that come twice, late, forged or never, and a month that ends at midnight.

All of it follows from a seed. While it goes on, every answer is checked against who may see and
change what; now and then, and in the end, everything that the API counts is counted again.
"""

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import httpx

from local.shopify_simulator.tokens import mint_id_token
from shared import wiring
from shared.domain.audit import SETTLED_AFTER
from shared.domain.job import Job
from shared.gateways.dynamo_items import price_key, read_job
from shared.usecases.audit_sample import AuditReport, audit_jobs, audit_shop
from tests.whole import recount
from tests.whole.calls import Fault, Invocation
from tests.whole.watching import JOB_IDS, SHOP_NAMES, Actor, Watch, deleted_jobs
from tests.whole.world import ADMIN_KEY, INPUT, OTHER_SHOP, SHOP, Answer, World

BEGIN = datetime(2026, 11, 30, 20, 0, tzinfo=UTC)
SHOPS = (SHOP, OTHER_SHOP)
# How long the day is; every act takes its share of it, mostly little.
LENGTH = timedelta(hours=14)

TOOLS = ("background-removal", "image-enhancement", "gemini-batch-enhancement")
TYPES = ("catalog_pull", "report", "PRODUCT_SYNC")
PROJECTS = ("spring", "autumn", None)
# What the provider does to a photo: the simulator's own words.
TROUBLES: Sequence[tuple[int, dict[str, Any]]] = (
    (45, {}),
    (12, {"fail": {}, "times": 1}),
    (5, {"fail": {}}),
    (6, {"webhook_lost": "all"}),
    (5, {"webhook_lost": ["job.completed"]}),
    (5, {"webhook_copies": 3}),
    (5, {"webhook_out_of_order": True}),
    (4, {"webhook_delay_s": 900}),
    (3, {"webhook_forged": "also"}),
    (3, {"webhook_forged": "instead"}),
    (4, {"create": "lost_answer"}),
    (3, {"create": "reset_before", "times": 1}),
    (3, {"create": "rate_limited", "times": 1}),
    (2, {"create": "error_before", "create_status": 400}),
    (3, {"result": "expired"}),
    (2, {"result": "html"}),
    (2, {"cancelled": True}),
    (2, {"stuck": True}),
    (3, {"processing_s": 1200}),
    (2, {"status_word": "thinking", "status_word_times": 2}),
)
REPORTS: Sequence[dict[str, Any]] = (
    {"status": "running", "processed": 10, "successful": 9, "failed": 1},
    {"processed": 60, "message": "page 6", "metadata": {"page": 6}},
    {"metadata": {"seen": ["x" * 90] * 15}},
    {},
    {"status": "completed", "processed": 100, "result": {"pages": 10}},
    {"status": "failed", "error": "no connection"},
    {"status": "resubmission_required", "error": "no photo"},
    {"status": "cancelled"},
    {"attempt": 1, "status": "completed"},
)

# A place is taken in the quarantine, and the delivery put there.
PUT_ASIDE = ["webhook: dynamodb.update_item", "webhook: dynamodb.put_item"]


@dataclass(frozen=True, slots=True)
class Caller:
    """Somebody with a credential. shop: whose, or for whom an administrator acts."""

    kind: Literal["admin", "key", "user", "agent"]
    shop: str
    credential: str = ""
    agent_id: str | None = None


@dataclass(frozen=True, slots=True)
class Chance:
    """Faults that strike calls at random, as a mapping for `Probe`."""

    rng: random.Random
    share: float

    def get(self, _number: int) -> Fault | None:
        """Tell what happens to a call."""
        if self.rng.random() >= self.share:
            return None
        return self.rng.choice(list(Fault))


class Day:
    """One day in a world on the embedded table.

    is_calm: no call of ours fails: then the answers can be foretold, and are. owner, agent: whose
    each job is, as they were told who made it or gave it away. dead: jobs as they were deleted.
    """

    def __init__(self, world: World, seed: int, *, is_calm: bool) -> None:
        self.world = world
        self.rng = random.Random(seed)
        self.is_calm = is_calm
        self.owner: dict[str, str] = {}
        self.agent: dict[str, str | None] = {}
        self.dead: dict[str, Job] = {}
        self.batches: dict[str, str] = {}
        self.cursors: list[tuple[str, str]] = []
        self.said: list[tuple[Caller, dict[str, Any], str, str]] = []
        self.budgets: dict[str, list[tuple[datetime, Mapping[str, Any] | None]]] = {}
        self.watch = Watch(owner=self.agent.get)
        world.probe.watcher = self._see
        self.admins = {shop: Caller("admin", shop, ADMIN_KEY) for shop in SHOPS}
        self.callers = [caller for shop in SHOPS for caller in self._callers_of(shop)]
        if not is_calm:
            chance: Any = Chance(random.Random(seed), 0.004)
            world.probe.faults = chance

    def _callers_of(self, shop: str) -> Iterator[Caller]:
        admin = self.admins[shop]
        yield admin
        yield Caller("user", shop)
        made = self.call(admin, "POST", "/api/shop/keys", {"name": "till"})
        yield Caller("key", shop, made.body["secret"])
        for name in ("one", "two"):
            made = self.call(admin, "POST", "/api/admin/agents", {"name": name})
            yield Caller("agent", shop, made.body["secret"], made.body["agent"]["id"])

    # --- calling -------------------------------------------------------------------------

    def call(
        self,
        who: Caller,
        method: str,
        path: str,
        body: dict[str, Any] | None = None,
        *,
        query: dict[str, str] | None = None,
        key: str | None = None,
        everywhere: bool = False,
    ) -> Answer:
        """Call as somebody, and check that the answer tells nothing of others.

        everywhere: an administrator names no shop.
        """
        shop = None if everywhere else who.shop
        self.watch.actor = Actor(shop, who.agent_id)
        by = self._credential(who)
        answer = self.world.ask(method, path, body, by=by, shop=shop, key=key, query=query)
        self.watch.actor = None
        assert self.watch.strays == [], self.watch.strays
        if method == "POST" and path in MAKES_A_JOB and answer.status in (200, 202):
            self._learn(who, body or {}, answer.body.get("job") or answer.body["data"])
        if not everywhere:
            self._check_is_silent_of_others(who, answer)
        return answer

    def _learn(self, who: Caller, body: Mapping[str, Any], made: Mapping[str, Any]) -> None:
        """Note whose a job is that was made by a call (or by an earlier one with the same key)."""
        self.owner.setdefault(made["id"], who.shop)
        self.agent.setdefault(made["id"], who.agent_id or body.get("agentId"))

    def _credential(self, who: Caller) -> str:
        if who.kind != "user":
            return who.credential
        now = int(self.world.our_clock.now().timestamp())
        # It lives longer than Shopify's: a call that is not answered is repeated with it.
        return mint_id_token(who.shop, "client-id", CLIENT_SECRET, now, exp=now + 900)

    def _check_is_silent_of_others(self, who: Caller, answer: Answer) -> None:
        named = set(SHOP_NAMES.findall(answer.text)) - {who.shop}
        assert not named, f"{who} is told of {named}: {answer}"
        for job_id in set(JOB_IDS.findall(answer.text)):
            owner = self._owner_of(job_id)
            assert owner in (None, who.shop), f"{who} is told of {job_id} of {owner}: {answer}"
            if who.kind == "agent" and owner is not None:
                agent = self.agent.get(job_id, "nobody told")
                assert agent == who.agent_id, f"{who} is told of {job_id} of {agent}: {answer}"

    def _owner_of(self, name: str) -> str | None:
        """Tell whose job this is, None if it is none (but a timeline's entry, say)."""
        if name in self.owner:
            return self.owner[name]
        found = [item for item in self.world.items() if item["sk"]["S"] == f"JOB#{name}"]
        return found[0]["pk"]["S"].removeprefix("SHOP#") if found else None

    def _see(self, run: Invocation, name: str, request: Mapping[str, Any]) -> None:
        self.watch(run, name, request)
        for key in deleted_jobs(name, request):
            for item in self.world.items():
                if item["pk"] == key["pk"] and item["sk"] == key["sk"]:
                    job = read_job(item)
                    self.dead[job.job_id] = job

    # --- what there is -------------------------------------------------------------------

    def jobs(self, shop: str) -> list[Job]:
        """Return a shop's jobs, bulk jobs too, newest first: the items, and no index."""
        partition = {"S": f"SHOP#{shop}"}
        found = [
            read_job(item)
            for item in self.world.items()
            if item["pk"] == partition and item["sk"]["S"].startswith("JOB#")
        ]
        return sorted(found, key=lambda job: job.job_id, reverse=True)

    def exists(self, job_id: str) -> bool:
        """Tell whether a job is there."""
        return any(item["sk"]["S"] == f"JOB#{job_id}" for item in self.world.items())

    def anybody(self, *kinds: str) -> Caller:
        """Choose a caller."""
        kind = self.rng.choice(kinds) if kinds else None
        return self.rng.choice([who for who in self.callers if kind in (None, who.kind)])

    def some_job(self, who: Caller) -> str | None:
        """Choose a job: mostly of the caller's shop, sometimes of the other, or a deleted one."""
        own = [job_id for job_id, shop in self.owner.items() if shop == who.shop]
        among = own if own and self.rng.random() < 0.8 else list(self.owner)
        # The newest are of most interest.
        return self.rng.choice(among[-12:] if self.rng.random() < 0.6 else among) if among else None

    def refusal(
        self, who: Caller, job_id: str, *, for_agents: bool = False, for_admins: bool = False
    ) -> int | None:
        """Tell with what a call about one job must be refused; None if it may be answered."""
        if for_admins and who.kind != "admin":
            return 403
        if who.kind == "agent" and not for_agents:
            return 403
        is_theirs = self.owner[job_id] == who.shop and (
            who.kind != "agent" or self.agent[job_id] == who.agent_id
        )
        return None if is_theirs and self.exists(job_id) else 404

    def about(
        self, who: Caller, job_id: str, method: str, path: str, body: Any = None, **may: bool
    ) -> Answer:
        """Call about one job; whoever may not is refused, as if there were no such job."""
        refusal = self.refusal(who, job_id, **may)
        answer = self.call(who, method, path.format(id=job_id), body)
        if refusal is not None:
            assert answer.status == refusal, f"{who} {method} {path} {job_id}: {answer}"
        else:
            # A repeated call may meet what it did itself, unanswered.
            allowed = (200, 201, 302, 402, 409) if self.is_calm else (200, 201, 302, 402, 404, 409)
            assert answer.status in allowed, f"{who} {method} {path} {job_id}: {answer}"
        return answer

    # --- a day's acts --------------------------------------------------------------------

    def live(self, acts: int) -> None:
        """Let so many things happen, and look at everything now and then."""
        for number in range(acts):
            weights = [weight for weight, _ in ACTS]
            ((_, act),) = self.rng.choices(ACTS, weights)
            act(self)
            self._let_time_pass(acts)
            assert self.world.bugs == []
            if number % 40 == 39:
                shop = self.rng.choice(SHOPS)
                self.count_again(shop)
                self.audit(shop)
        self.world.settle()
        self.world.run_for(SETTLED_AFTER.total_seconds())
        for shop in SHOPS:
            self.count_again(shop)
            report = self.audit(shop)
            assert report.jobs > report.in_motion
        assert self.world.ear.leaks == []

    def audit(self, shop: str) -> AuditReport:
        """Have our own audit judge all jobs and counters of a shop: there is nothing to tell."""
        lane = wiring.bulk_app().audit
        refs = [job.ref for job in self.jobs(shop)]
        report = audit_jobs(lane, refs)
        assert report.findings == []
        assert report.jobs + report.in_motion == len(refs)
        assert audit_shop(lane, shop).findings == []
        return report

    def _let_time_pass(self, acts: int) -> None:
        share = LENGTH.total_seconds() / acts
        pace = self.rng.choice((0.0, 0.005, 0.02, 0.1, 0.3, 5.0))
        self.world.run_for(share * pace * self.rng.random())
        if self.rng.random() < 0.04:
            self.world.sweep()

    def create_photo(self) -> None:
        """Have a photo edited."""
        who = self.anybody("admin", "admin", "key", "user", "user", "agent")
        weights = [weight for weight, _ in TROUBLES]
        ((_, trouble),) = self.rng.choices(TROUBLES, weights)
        body: dict[str, Any] = {
            "toolId": self.rng.choice(TOOLS),
            "inputImageUrl": INPUT,
            "projectId": self.rng.choice(PROJECTS),
            "autoPush": self.rng.random() < 0.5,
            "priority": self.rng.choice(("normal", "urgent")),
            "costMicros": self.rng.choice((None, 1500)),
        }
        if trouble:
            body["parameters"] = {"simulate": trouble}
        if self.rng.random() < 0.8:
            body["productId"] = self.world.new_product(who.shop)
        if self.rng.random() < 0.1:
            later = self.world.our_clock.now() + timedelta(minutes=self.rng.randint(-10, 90))
            body["scheduledAt"] = later.isoformat()
        self._create(who, {name: value for name, value in body.items() if value is not None})

    def create_work(self) -> None:
        """Have a job for a program of the shop's own."""
        who = self.anybody()
        body: dict[str, Any] = {"type": self.rng.choice(TYPES), "total": 100}
        if self.rng.random() < 0.3:
            body["exclusive"] = True
        if self.rng.random() < 0.4:
            body["costMicros"] = 700
        if self.rng.random() < 0.3:
            body["projectId"] = "spring"
        if self.rng.random() < 0.2:
            body["metadata"] = {"notes": ["y" * 100] * 20}
        agents = [
            other.agent_id
            for other in self.callers
            if (other.kind, other.shop) == ("agent", who.shop)
        ]
        if self.rng.random() < 0.5 and who.kind != "agent":
            body["agentId"] = self.rng.choice(agents)
        self._create(who, body)

    def _create(self, who: Caller, body: dict[str, Any]) -> None:
        key = f"create-{self.rng.random()}"
        is_beyond = self._is_beyond_budget(who.shop, body)
        answer = self.call(who, "POST", "/api/jobs", body, key=key)
        if who.kind == "agent" and "toolId" in body:
            assert answer.status == 403, answer
            return
        assert answer.status in (202, 402, 409), answer
        if self.is_calm and answer.status != 409:
            assert (answer.status == 402) == is_beyond, (is_beyond, answer)
        if answer.status == 202:
            self.said.append((who, body, key, answer.job_id))

    def _is_beyond_budget(self, shop: str, body: dict[str, Any]) -> bool:
        """Tell whether the month's budget has no room for what a job, or a batch, is expected to
        cost."""
        budget = self._budget_at(shop, self.world.our_clock.now())
        if budget is None:
            return False
        spent = self._spent(shop)
        expected = {"credits": 0, "costMicros": body.get("costMicros", 0)}
        if "toolId" in body:
            known = price_key(shop, "pikcel", body["toolId"])
            found = [item for item in self.world.items() if item.items() >= known.items()]
            each = int(found[0]["credits"]["N"]) if found else 1
            expected["credits"] = each * len(body.get("images", [body]))
        return any(
            budget[name] is not None and price > 0 and spent[name] + price > budget[name]
            for name, price in expected.items()
        )

    def say_it_again(self) -> None:
        """Repeat a creation, with the same body or another."""
        if not self.said:
            return
        who, body, key, made = self.rng.choice(self.said[-20:])
        if self.rng.random() < 0.3:
            answer = self.call(who, "POST", "/api/jobs", body | {"name": "other"}, key=key)
            assert answer.status in (202, 402, 409, 422), answer
            return
        answer = self.call(who, "POST", "/api/jobs", body, key=key)
        is_still_known = made[:8] >= _id_time(self.world.our_clock.now() - timedelta(hours=23))
        is_theirs = who.kind != "agent" or self.agent[made] == who.agent_id
        if is_still_known and not is_theirs:
            assert answer.status == 409, answer
        elif is_still_known and self.exists(made):
            assert (answer.status, answer.job_id) == (202, made), answer

    def register(self) -> None:
        """Follow a job that was made at the provider by somebody else, for either shop."""
        who = self.anybody("admin", "key")
        meant_for = self.rng.choice((None, None, *SHOPS))
        metadata = {"metadata": {"shopify_shop": meant_for}} if meant_for else {}
        provider_job_id = self.world.make_elsewhere(**metadata)
        self.world.run_for(self.rng.choice((0, 1, 15)))
        body = {"pikcelJobId": provider_job_id, "projectId": "spring"}
        if self.rng.random() < 0.3:
            return  # nobody knows it: its deliveries are parked
        self.call(who, "POST", "/api/jobs", body)
        other = self.admins[SHOP if who.shop == OTHER_SHOP else OTHER_SHOP]
        if self.rng.random() < 0.5:
            self.call(other, "POST", "/api/jobs", body)

    def adopt(self) -> None:
        """Take what is parked for a shop."""
        who = self.anybody("admin")
        answer = self.call(who, "GET", "/api/admin/parked", everywhere=True)
        found = answer.body["parked"]
        if found:
            chosen = self.rng.choice(found)
            body = {name: chosen[name] for name in ("provider", "providerJobId")}
            body |= {"shop": who.shop}
            self.call(who, "POST", "/api/admin/parked/adopt", body, everywhere=True)

    def report(self) -> None:
        """Have a worker report, whether the job is its own or not."""
        who = self.anybody("agent", "agent", "key")
        job_id = self._worker_job(who)
        if job_id is None:
            return
        body = dict(self.rng.choice(REPORTS))
        self.about(who, job_id, "PATCH", "/api/jobs/{id}", body, for_agents=True)

    def _worker_job(self, who: Caller) -> str | None:
        """Choose a job, mostly one that a program does."""
        for _ in range(4):
            job_id = self.some_job(who)
            if job_id is None or any(
                job.job_id == job_id and job.is_worker_job for job in self.jobs(who.shop)
            ):
                return job_id
        return self.some_job(who)

    def edit(self) -> None:
        """Change what a pending job is about."""
        who = self.anybody("admin", "key", "user")
        job_id = self._worker_job(who)
        if job_id is None:
            return
        own = [
            other.agent_id for other in self.callers if other.agent_id and other.shop == who.shop
        ]
        later = self.world.our_clock.now() + timedelta(minutes=30)
        edits: list[dict[str, Any]] = [
            {"name": "edited", "priority": "high"},
            {"agentId": self.rng.choice([*own, None])},
            {"scheduledAt": self.rng.choice((None, later.isoformat()))},
        ]
        body = self.rng.choice(edits)
        answer = self.about(who, job_id, "PATCH", "/api/jobs/{id}", body, for_agents=True)
        if answer.status == 200 and "agentId" in body:
            self.agent[job_id] = body["agentId"]

    def remark(self) -> None:
        """Write on a job's timeline, with what was got and given."""
        who = self.anybody("agent", "key", "admin")
        job_id = self.some_job(who)
        if job_id is not None:
            size = self.rng.choice((1, 2_000))
            body = {"message": "looked at it", "requestPayload": [self.rng.random()] * size}
            self.about(who, job_id, "POST", "/api/jobs/{id}/logs", body, for_agents=True)

    def use_sync_app(self) -> None:
        """Work as the sync app does: create, report, look."""
        who = self.anybody()
        body = {"type": "PRODUCT_SYNC", "total": 10, "exclusive": self.rng.random() < 0.5}
        answer = self.call(who, "POST", "/api/sync/job-progress", body)
        assert answer.status in (200, 402, 409), answer
        if answer.status == 200:
            report = {"jobId": answer.body["data"]["id"], "status": "RUNNING", "processed": 5}
            assert self.call(who, "PATCH", "/api/sync/job-progress", report).status == 200
        query = self.rng.choice(({"all": "true"}, {"type": "PRODUCT_SYNC"}))
        answer = self.call(who, "GET", "/api/sync/job-progress", query=dict(query))
        assert answer.status in (200, 403), answer
        for path in ("/api/export/jobs", "/api/logs"):
            self.call(who, "GET", path)

    def act_on_one(self) -> None:
        """Retry, cancel, push, undo, ask the provider about, or delete one job."""
        who = self.anybody()
        job_id = self.some_job(who)
        if job_id is None:
            return
        action = self.rng.choice(SINGLE_ACTIONS)
        if action == "DELETE":
            self.about(who, job_id, "DELETE", "/api/jobs/{id}")
        else:
            self.about(who, job_id, "POST", f"/api/jobs/{action}", {"jobId": job_id})

    def act_on_many(self) -> None:
        """Start a bulk job by ids of both shops or by filter, or ask what it would do."""
        who = self.anybody()
        action = self.rng.choice(BULK_ACTIONS)
        body: dict[str, Any] = {}
        if self.rng.random() < 0.5 and self.owner:
            names = self.rng.choices(list(self.owner), k=self.rng.randint(1, 6))
            body["jobIds"] = [*names, "no-such-job"]
        else:
            body["filter"] = self._some_filter(who)
        if self.rng.random() < 0.3:
            body["dryRun"] = True
        answer = self.call(who, "POST", f"/api/jobs/{action}", body)
        assert answer.status == (403 if who.kind == "agent" else 200 if "dryRun" in body else 202)
        if answer.status == 200:
            assert answer.body["matched"] == answer.body["eligible"] + sum(
                refused["count"] for refused in answer.body["refused"]
            )

    def _some_filter(self, who: Caller) -> dict[str, str]:
        batches = [name for name, shop in self.batches.items() if shop == who.shop]
        choices = [
            {"status": self.rng.choice(("failed", "processing", "cancelled", "completed"))},
            {"type": self.rng.choice(TYPES)},
            {"toolId": self.rng.choice(TOOLS), "status": "failed"},
            {"projectId": "spring"},
            {"pushStatus": self.rng.choice(("failed", "pushed", "none"))},
            *({"batchId": name} for name in batches[-2:]),
        ]
        return dict(self.rng.choice(choices))

    def make_batch(self) -> None:
        """Have several photos edited at once."""
        who = self.anybody()
        troubles: list[dict[str, Any]] = [{}, {"fail": {}, "times": 1}, {"webhook_lost": "all"}]
        trouble = self.rng.choice(troubles)
        images = [
            {"inputImageUrl": INPUT, "productId": self.world.new_product(who.shop)}
            for _ in range(self.rng.randint(1, 5))
        ]
        body: dict[str, Any] = {"toolId": self.rng.choice(TOOLS), "images": images}
        if trouble:
            body["parameters"] = {"simulate": trouble}
        is_beyond = self._is_beyond_budget(who.shop, body)
        answer = self.call(who, "POST", "/api/batches", body)
        if who.kind == "agent":
            assert answer.status == 403, answer
            return
        assert answer.status in (202, 402), answer
        if self.is_calm:
            assert (answer.status == 402) == is_beyond, (is_beyond, answer)
        if answer.status == 202:
            self.batches[answer.body["batch"]["id"]] = who.shop

    def act_on_batch(self) -> None:
        """Look at, cancel or retry a batch of either shop."""
        if not self.batches:
            return
        who = self.anybody()
        batch_id = self.rng.choice(list(self.batches))
        method, path = self.rng.choice((("GET", ""), ("POST", "/cancel"), ("POST", "/retry")))
        answer = self.call(who, method, f"/api/batches/{batch_id}{path}")
        if who.kind == "agent":
            assert answer.status == 403, answer
        elif self.batches[batch_id] != who.shop:
            assert answer.status == 404, answer
        else:
            assert answer.status in (200, 202, 409), answer
        if answer.status == 200:
            self._learn_jobs_of(batch_id, who)

    def _learn_jobs_of(self, batch_id: str, who: Caller) -> None:
        query = {"batchId": batch_id, "limit": "100"}
        for job in self.call(who, "GET", "/api/jobs", query=query).body["jobs"]:
            self.owner.setdefault(job["id"], who.shop)
            self.agent.setdefault(job["id"], None)

    def administer(self) -> None:
        """Resubmit, complete or reassign, as somebody who may or may not."""
        who = self.anybody("admin", "admin", "admin", "admin", "key", "agent")
        job_id = self._worker_job(who)
        if job_id is None:
            return
        action = self.rng.choice(("resubmit", "complete", "reassign"))
        agents = [other for other in self.callers if other.kind == "agent"]
        agent = self.rng.choice(agents)
        bodies: dict[str, dict[str, Any]] = {
            "complete": {"result": {"by": "hand"}},
            "reassign": {"agentId": agent.agent_id},
        }
        body = bodies.get(action)
        path = f"/api/admin/jobs/{{id}}/{action}"
        if action == "reassign" and agent.shop != who.shop and who.kind == "admin":
            answer = self.call(who, "POST", path.format(id=job_id), body)
            assert answer.status == 404, answer
            return
        answer = self.about(who, job_id, "POST", path, body, for_admins=True)
        if action == "reassign" and answer.status == 200:
            self.agent[job_id] = agent.agent_id

    def change_settings(self) -> None:
        """Set a budget, take it away, or have results pushed unasked."""
        who = self.anybody("admin", "key", "user")
        if self.rng.random() < 0.3:
            self.call(who, "PUT", "/api/shop", {"autoPush": self.rng.random() < 0.5})
            return
        budget = self.rng.choice((None, (40, None), (8, None), (None, 9_000), (25, 30_000)))
        limits = dict(zip(("credits", "costMicros"), budget, strict=True)) if budget else None
        self.world.run_for(1)  # what came is surely before it
        answer = self.call(who, "PUT", "/api/shop", {"monthlyBudget": limits})
        assert answer.status == 200, answer
        self.budgets.setdefault(who.shop, []).append((self.world.our_clock.now(), limits))
        self.world.run_for(1)  # what comes now is surely after it

    def switch_agent_off(self) -> None:
        """Deactivate an agent: half a minute later its key opens nothing, until it is back."""
        agent = self.anybody("agent")
        path, admin = f"/api/admin/agents/{agent.agent_id}", self.admins[agent.shop]
        assert self.call(admin, "DELETE", path).status == 200
        self.world.run_for(31)
        assert self.call(agent, "GET", "/api/jobs").status == 401
        other = self.admins[SHOP if agent.shop == OTHER_SHOP else OTHER_SHOP]
        assert self.call(other, "PATCH", path, {"isActive": True}).status == 404
        assert self.call(admin, "PATCH", path, {"isActive": True}).status == 200
        assert self.call(agent, "GET", "/api/jobs").status == 200

    def look(self) -> None:
        """Read something: a list, a job, its timeline, its image, a file."""
        who = self.anybody()
        job_id = self.some_job(who)
        if job_id is not None:
            path = self.rng.choice(("", "/logs", "/output"))
            answer = self.call(who, "GET", f"/api/jobs/{job_id}{path}")
            refusal = self.refusal(who, job_id, for_agents=True)
            assert answer.status in ((refusal,) if refusal else (200, 302, 404)), answer
        query = self._some_filter(who) if self.rng.random() < 0.7 else {}
        if self.rng.random() < 0.3 and self.owner:
            query["ids"] = ",".join(self.rng.choices(list(self.owner), k=5))
        answer = self.call(who, "GET", "/api/jobs", query=query | {"limit": "3"})
        assert answer.status == 200, answer
        cursor = answer.body["nextCursor"]
        if cursor is not None and not query and who.kind != "agent":
            self.cursors.append((who.shop, cursor))
        self.call(who, "GET", "/api/jobs/export.csv")
        self.call(self.anybody("admin"), "GET", "/api/admin/jobs", everywhere=True)

    def use_stolen_cursor(self) -> None:
        """Go on in another shop's list."""
        if not self.cursors:
            return
        shop, cursor = self.rng.choice(self.cursors)
        who = self.anybody("admin", "key")
        answer = self.call(who, "GET", "/api/jobs", query={"cursor": cursor, "limit": "3"})
        assert answer.status == (200 if who.shop == shop else 400), answer

    def send_webhook_again(self) -> None:
        """Have the provider send an old webhook once more."""
        if self.world.sent:
            answer = self.world.post_webhook(self.rng.choice(self.world.sent[-40:]))
            if self.is_calm:
                assert answer is not None
                # Those that the simulator forged are refused as they were before.
                assert answer["statusCode"] in (200, 401), answer

    def forge_webhook(self) -> None:
        """Send what the provider did not: refused unread, and put aside for a day at most."""
        if not self.world.sent:
            return
        letter = self.rng.choice(self.world.sent[-40:])
        if self.rng.random() < 0.5:
            headers = {**letter.headers, "x-pikcel-signature": "0" * 64}
            content = letter.content
        else:
            headers, content = dict(letter.headers), letter.content.replace(b"job.", b"JOB.", 1)
        forged = httpx.Request("POST", letter.url, headers=headers, content=content)
        before = len(self.world.probe.names)
        answer = self.world.post_webhook(forged)
        if self.is_calm:
            assert answer is not None
            assert answer["statusCode"] == 401, answer
        calls = self.world.probe.names[before:]
        asked = [name for name in calls if "dynamodb" in name]
        assert asked == PUT_ASIDE[: len(asked)], calls

    def deliver_again(self) -> None:
        """Lose the word that a message was seen to: it comes again."""
        self.world.deliver(self.rng.choice(list(self.world.queues)), is_lost=True)

    def fail_media(self) -> None:
        """Have Shopify take an image and fail later."""
        body = {"kind": "media_failed", "shop": self.rng.choice(SHOPS), "times": 1}
        self.world.merchant.post("/_simulator/faults", json=body)

    # --- counting again ------------------------------------------------------------------

    def count_again(self, shop: str) -> None:
        """Compare everything that the API counts and lists of a shop with its items."""
        calm, self.world.probe.faults = self.world.probe.faults, {}
        self._check_owners(shop)
        self._count_statistics(shop)
        self._count_lists(shop)
        self._count_batches(shop)
        self._count_spending(shop)
        self.world.probe.faults = calm

    def _check_owners(self, shop: str) -> None:
        """Every job is where, and whose, those who made it or gave it away were told."""
        for job in self.jobs(shop):
            assert self.owner.get(job.job_id, shop) == shop, job
            assert self.agent.get(job.job_id, job.agent_id) == job.agent_id, job

    def _count_statistics(self, shop: str) -> None:
        admin, now = self.admins[shop], self.world.our_clock.now()
        jobs = self.jobs(shop)
        for by in ("project", "tool", "type", "status"):
            count = self.rng.choice((1, 2, 30))
            query = {"days": str(count), "groupBy": by}
            told = self.call(admin, "GET", "/api/jobs/stats", query=query).body
            assert told["stats"] == recount.statistics(jobs), shop
            assert told["days"] == recount.days(jobs, now, count), shop
            groups = sorted(told["groups"], key=lambda group: str(group["key"]))
            assert groups == recount.groups(jobs, by, now, count), (shop, by)
        pending = self.call(admin, "GET", "/api/jobs/pending-count").body
        expected = recount.statistics(jobs)
        for name in ("pending", "processing"):
            assert pending[name] == expected[name], shop
        assert pending["total"] == expected["pending"] + expected["processing"], shop

    def _count_lists(self, shop: str) -> None:
        admin, jobs = self.admins[shop], self.jobs(shop)
        counted = [job for job in jobs if not recount.is_bulk(job)]
        assert self._walk(admin, {}) == [job.job_id for job in counted]
        first = self.call(admin, "GET", "/api/jobs", query={"limit": "1"}).body
        assert first["total"] == len(counted)
        assert first["runningCount"] == sum(job.status.value == "processing" for job in counted)
        for name, field in FILTERS.items():
            known = sorted({value for job in counted if (value := field(job)) is not None})
            for value in known[:3]:
                expected = [job.job_id for job in counted if field(job) == value]
                assert self._walk(admin, {name: value}) == expected, (name, value)
        for agent in self.callers:
            if (agent.kind, agent.shop) == ("agent", shop):
                own = [job.job_id for job in counted if job.agent_id == agent.agent_id]
                assert self._walk(agent, {}) == own

    def _walk(self, who: Caller, query: dict[str, str]) -> list[str]:
        found: list[str] = []
        cursor: str | None = ""
        while cursor is not None:
            more = {"cursor": cursor} if cursor else {}
            page = self.call(who, "GET", "/api/jobs", query={"limit": "60"} | query | more).body
            found += [job["id"] for job in page["jobs"]]
            cursor = page["nextCursor"]
        return found

    def _count_batches(self, shop: str) -> None:
        jobs = self.jobs(shop)
        for batch_id in [name for name, owner in self.batches.items() if owner == shop]:
            told = self.call(self.admins[shop], "GET", f"/api/batches/{batch_id}").body["batch"]
            mine = [job for job in jobs if job.batch_id == batch_id]
            expected = recount.statistics(mine)
            assert told["completedJobs"] == expected["completed"], told
            assert told["totalCreditsUsed"] == expected["totalCreditsUsed"], told
            assert told["activeJobs"] == expected["pending"] + expected["processing"], told
            parts = ("completedJobs", "failedJobs", "cancelledJobs", "activeJobs")
            is_whole = not any(job.batch_id == batch_id for job in self.dead.values())
            if is_whole and told["status"] not in ("pending", "processing"):
                assert sum(told[part] for part in parts) == told["totalJobs"], told

    def _count_spending(self, shop: str) -> None:
        told = self.call(self.admins[shop], "GET", "/api/shop").body["shop"]["spent"]
        assert told == {"month": told["month"], **self._spent(shop)}, shop
        if self.is_calm:
            for job in self._all_jobs(shop):
                self._check_reservations(job)

    def _spent(self, shop: str) -> dict[str, int]:
        month = f"{self.world.our_clock.now():%Y-%m}"
        return recount.spent(self._all_jobs(shop), month)

    def _all_jobs(self, shop: str) -> list[Job]:
        there = self.jobs(shop)
        names = {job.job_id for job in there}
        gone = [job for name, job in self.dead.items() if name not in names and job.shop == shop]
        return [*there, *gone]

    def _check_reservations(self, job: Job) -> None:
        """An attempt sets something aside exactly if its shop had a budget when it began."""
        for attempt in job.attempts if not recount.is_bulk(job) else ():
            has_budget = self._budget_at(job.shop, attempt.created_at) is not None
            assert (attempt.reserved_credits is not None) == has_budget, job

    def _budget_at(self, shop: str, at: datetime) -> Mapping[str, Any] | None:
        known = [limits for since, limits in self.budgets.get(shop, ()) if since <= at]
        return known[-1] if known else None


def _id_time(at: datetime) -> str:
    """Return how the ids of jobs begin that are made at an instant (to a minute or so)."""
    return f"{int(at.timestamp() * 1000):012x}"[:8]


MAKES_A_JOB = ("/api/jobs", "/api/sync/job-progress", "/api/admin/parked/adopt")
CLIENT_SECRET = "client-secret-0123456789-0123456789"
SINGLE_ACTIONS = (
    *("retry", "retry", "retry", "cancel", "cancel", "push-to-shopify", "push-to-shopify"),
    *("undo-push", "sync", "delete", "delete", "DELETE", "DELETE"),
)
BULK_ACTIONS = ("retry", "cancel", "push-to-shopify", "undo-push", "sync", "delete")
FILTERS: Mapping[str, Callable[[Job], str | None]] = {
    "status": lambda job: job.status.value,
    "pushStatus": lambda job: job.push.status.value,
    "type": lambda job: job.type,
    "toolId": lambda job: job.tool_id,
    "projectId": lambda job: job.project_id,
    "batchId": lambda job: job.batch_id,
    "productId": lambda job: job.product_id,
    "agentId": lambda job: job.agent_id,
}
ACTS: Sequence[tuple[int, Callable[[Day], None]]] = (
    (18, Day.create_photo),
    (9, Day.create_work),
    (3, Day.say_it_again),
    (3, Day.register),
    (1, Day.adopt),
    (12, Day.report),
    (3, Day.edit),
    (3, Day.remark),
    (3, Day.use_sync_app),
    (18, Day.act_on_one),
    (7, Day.act_on_many),
    (3, Day.make_batch),
    (3, Day.act_on_batch),
    (6, Day.administer),
    (3, Day.change_settings),
    (1, Day.switch_agent_off),
    (5, Day.look),
    (1, Day.use_stolen_cursor),
    (4, Day.send_webhook_again),
    (2, Day.forge_webhook),
    (3, Day.deliver_again),
    (1, Day.fail_media),
)
