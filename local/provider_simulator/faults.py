"""What can be made to go wrong, as data, and the rules that say for which job.

Everything here is the simulators' own: it provokes what goes wrong with webhooks in practice, most
of which no provider's documents mention. Each provider has its own words for the events.
"""

from collections import Counter
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Event = Literal["job.started", "job.progress", "job.completed", "job.failed", "job.cancelled"]
Vocabulary = Literal["A", "B", "C", "D", "minimal"]
Route = Literal[
    "dispatch", "poll", "list", "models", "profile", "upload", "results", "result", "cancel", "keys"
]


class Strict(BaseModel):
    """Refuse unknown names: a misspelt fault would silently test nothing."""

    model_config = ConfigDict(extra="forbid")


class Failure(Strict):
    """How a failing job says so."""

    code: str = "PROCESSING_FAILED"
    message: str = "The model could not process this image"


class Faults(Strict):
    """The faults of one job; the defaults are a job without any.

    create: what happens to the dispatch call
        rate_limited     429, not executed
        error_before     `create_status`, not executed
        error_after      `create_status`, although the job exists and will be charged
        lost_answer      the job exists; the connection is dropped without an answer
        late_answer      the job exists; the answer comes after `answer_delay_s`
        reset_before     the connection is dropped, not executed
        malformed_json   the job exists; the answer is cut off
    status_word: native word shown instead of the final status, for `status_word_times` polls
    result: what fetching the output gives; `result_times` limits it (None = always).
        `expired` kills only the first link: a poll gives a fresh one where configured
    completes_after_s: so long after it failed the job completes after all, and says so
    reply: PikcelAI's only
    """

    create: (
        Literal[
            "rate_limited",
            "error_before",
            "error_after",
            "lost_answer",
            "late_answer",
            "reset_before",
            "malformed_json",
        ]
        | None
    ) = None
    create_status: int = Field(default=500, ge=400, le=599)
    retry_after_s: int = Field(default=2, ge=0)
    answer_delay_s: float = Field(default=60.0, ge=0)
    webhook_before_answer: bool = False

    pending_s: float | None = Field(default=None, ge=0)
    processing_s: float | None = Field(default=None, ge=0)
    fail: Failure | None = None
    cancelled: bool = False
    stuck: bool = False
    completes_after_s: float | None = Field(default=None, ge=0)
    status_word: str | None = None
    status_word_times: int | None = None

    webhook_lost: Literal["all"] | list[Event] = []
    webhook_delay_s: float = Field(default=0.0, ge=0)
    webhook_copies: int = Field(default=1, ge=1, le=20)
    webhook_forged: Literal["also", "instead"] | None = None
    webhook_forgery: Literal["wrong_secret", "missing", "malformed"] = "wrong_secret"
    webhook_out_of_order: bool = False
    webhook_timestamp_shift_s: float = 0.0

    result: Literal["expired", "html", "too_large", "redirect", "reset", "server_error"] | None = (
        None
    )
    result_times: int | None = None
    result_bytes: int = Field(default=21 * 1024 * 1024, ge=1)
    result_redirect_to: str = "http://elsewhere.invalid/result.jpg"
    result_lifetime_s: float | None = Field(default=None, ge=0)

    reply: Vocabulary | None = None
    poll: Literal["error", "rate_limited", "not_found", "malformed_json", "reset"] | None = None
    poll_times: int | None = None
    listed_after_s: float = Field(default=0.0, ge=0)

    def loses(self, event: Event) -> bool:
        """Tell whether the webhook of `event` is never sent."""
        return self.webhook_lost == "all" or event in self.webhook_lost


class Match(Strict):
    """Which dispatches a rule is for; every condition given must hold, none given = all.

    nth: the nth well-formed dispatch since the start or the last reset, from 1
    metadata: these keys have these values (`ref` is matched as a substring, because ours
        carries shop, job, attempt and a token)
    """

    nth: int | None = None
    tool_id: str | None = None
    url_contains: str | None = None
    metadata: dict[str, str] = {}

    def holds(self, nth: int, request: Mapping[str, Any]) -> bool:
        """Tell whether the `nth` dispatch, with this body, is meant."""
        metadata = request.get("metadata") or {}
        return (
            (self.nth is None or self.nth == nth)
            and (self.tool_id is None or self.tool_id == request["tool_id"])
            and (self.url_contains is None or self.url_contains in request["input_image_url"])
            and all(_same(key, want, metadata.get(key)) for key, want in self.metadata.items())
        )


def _same(key: str, want: str, have: object) -> bool:
    return want in str(have or "") if key == "ref" else str(have) == want


class Rule(Strict):
    """Faults for the dispatches that match, at most `times` (None = always).

    per: `rule` counts every firing; `job` counts for each of our jobs apart, so that
        `times: 1` makes every job fail once and succeed when it is tried again.
    """

    match: Match = Match()
    times: int | None = Field(default=None, ge=1)
    per: Literal["rule", "job"] = "rule"
    faults: Faults


class Outage(Strict):
    """A fault of a whole route, whatever the job.

    slow answers after `delay_s`; error is JSON, html a proxy's page with the same status.
    """

    route: Route
    kind: Literal["error", "html", "rate_limited", "reset", "slow"] = "error"
    status: int = Field(default=500, ge=400, le=599)
    retry_after_s: int = Field(default=2, ge=0)
    delay_s: float = Field(default=0.0, ge=0)
    times: int | None = Field(default=None, ge=1)


def identity(request: Mapping[str, Any]) -> str:
    """Return what stays the same when one of our jobs is dispatched again.

    Our `ref` is `shop:job:attempt:token`; its first two parts name the job.

    >>> identity({"metadata": {"ref": "a.myshopify.com:J1:2:tok"}})
    'a.myshopify.com:J1'
    """
    ref = (request.get("metadata") or {}).get("ref")
    if isinstance(ref, str) and ref.count(":") >= 2:
        return ":".join(ref.split(":")[:2])
    return f"{request['tool_id']} {request['input_image_url']}"


class FaultBook:
    """Decide the faults of each dispatch, counting what has fired."""

    def __init__(self) -> None:
        """Begin with nothing fired."""
        self._fired: Counter[str] = Counter()

    def of_dispatch(self, rules: list[Rule], nth: int, request: Mapping[str, Any]) -> Faults:
        """Return the faults of this dispatch; later rules win over earlier ones.

        `parameters.simulate` of the request is read as one more rule (fields of `Faults`
        plus `times`), counted per job.

        Raises: pydantic.ValidationError when `parameters.simulate` is not understood.
        """
        chosen: dict[str, Any] = {}
        for position, rule in enumerate(rules):
            if rule.match.holds(nth, request) and self._may_fire(f"rule {position}", rule, request):
                chosen |= _given(rule.faults)
        simulate = (request.get("parameters") or {}).get("simulate")
        if simulate is not None:
            own = _own_rule(simulate)
            if self._may_fire("simulate", own, request):
                chosen |= _given(own.faults)
        return Faults.model_validate(chosen)

    def may_fire(self, key: str, times: int | None) -> bool:
        """Count one firing of `key` and tell whether it was still within `times`."""
        self._fired[key] += 1
        return times is None or self._fired[key] <= times

    def _may_fire(self, key: str, rule: Rule, request: Mapping[str, Any]) -> bool:
        per_job = f" {identity(request)}" if rule.per == "job" else ""
        return self.may_fire(key + per_job, rule.times)

    def forget(self) -> None:
        """Start counting again, as after a change of the rules."""
        self._fired.clear()


def _given(faults: Faults) -> dict[str, Any]:
    """Return only what was set, so that rules can be laid over each other."""
    return faults.model_dump(exclude_unset=True)


def _own_rule(simulate: object) -> Rule:
    if not isinstance(simulate, dict):
        return Rule.model_validate({"faults": simulate})
    given = dict(simulate)
    return Rule.model_validate({"times": given.pop("times", None), "per": "job", "faults": given})
