"""Whether functions keep to the shop, and the agent, that they work for, at every call they make.

What an answer shows can be read; what was looked at or changed on the way cannot. So each
request to AWS is searched for shops' names, keys and values alike, before it is made.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.whole.calls import Invocation

SHOP_NAMES = re.compile(r"[a-z0-9-]+\.myshopify\.com")
JOB_IDS = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
# Their messages name the shops they are about. The others are nobody's: the sweep sees to
# all shops, and a delivery's shop is in a sealed reference.
BY_MESSAGE = frozenset({"bulk", "dispatch", "push"})


@dataclass(frozen=True, slots=True)
class Actor:
    """As whom the API is being called. shop: None for an administrator who looks at all."""

    shop: str | None
    agent_id: str | None = None


@dataclass(slots=True)
class Watch:
    """Notes every call that strays.

    owner: tells whose a job is (an agent's id), None for nobody's in particular and for jobs
    that are not there yet. actor: who is calling now. strays: what was seen.
    """

    owner: Callable[[str], str | None]
    actor: Actor | None = None
    strays: list[str] = field(default_factory=list)

    def __call__(self, run: Invocation, name: str, request: Mapping[str, Any]) -> None:
        """See one call."""
        if run.function in BY_MESSAGE:
            allowed = set(SHOP_NAMES.findall(json.dumps(run.event)))
        elif run.function == "api" and self.actor is not None and self.actor.shop is not None:
            allowed = {self.actor.shop}
        else:
            return
        named = set(SHOP_NAMES.findall(json.dumps(request, default=str)))
        if named - allowed:
            self._note(run, name, f"names {sorted(named - allowed)}")
        if run.function == "api" and self.actor is not None and self.actor.agent_id is not None:
            for job_id in written_jobs(name, request):
                if self.owner(job_id) not in (None, self.actor.agent_id):
                    self._note(run, name, f"writes another agent's job {job_id}")

    def _note(self, run: Invocation, name: str, what: str) -> None:
        self.strays.append(f"{run.function} for {self.actor}: {name} {what}")


def written_jobs(name: str, request: Mapping[str, Any]) -> list[str]:
    """Return the ids of the jobs whose items a call writes."""
    if name in ("dynamodb.put_item", "dynamodb.update_item", "dynamodb.delete_item"):
        rows = [request]
    elif name == "dynamodb.transact_write_items":
        rows = [row for item in request["TransactItems"] for row in item.values()]
    else:
        return []
    keys = [row.get("Key") or row["Item"] for row in rows]
    names = [key["sk"]["S"] for key in keys]
    return [name.removeprefix("JOB#") for name in names if name.startswith("JOB#")]


def deleted_jobs(name: str, request: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the keys of the jobs whose items a call deletes."""
    if name != "dynamodb.transact_write_items":
        return []
    keys = [item["Delete"]["Key"] for item in request["TransactItems"] if "Delete" in item]
    return [key for key in keys if key["sk"]["S"].startswith("JOB#")]
