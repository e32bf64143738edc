"""Look at a stack without changing it: its address, its clock, what it stands on, its secrets."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

from deploy.doctor.findings import Finding, failed, judged, passed, skipped
from deploy.doctor.patient import Answer, Patient
from shared.domain.placeholders import is_placeholder
from shared.providers.registry import ADAPTERS

# Signed deliveries may be 300 s from now; half a minute is already somebody's trouble tomorrow.
CLOCKS_APART_S = 30.0
QUEUES = ("dispatch", "push", "bulk", "deliver")
SECRETS = ("app", "shopify", "admin")
LOOPBACK = ("127.0.0.1", "localhost", "::1")
PIKCEL = "pikcel"
# Whoever the providers are: Shopify asks for erasures, and the rehearsal is a worker's.
ALWAYS = ("shopify", "worker")


def is_reached(patient: Patient) -> Finding:
    """Look whether the address leads straight to this product: until then no key is sent."""
    name = "reachable"
    parts = urlsplit(patient.url)
    if parts.scheme != "https" and parts.hostname not in LOOPBACK:
        return failed(name, "the address must begin with https://")
    answer = patient.ask("GET", "/health", is_known=False)
    if 300 <= answer.status < 400:
        where = answer.headers.get("location", "nowhere")
        return failed(
            name,
            f"{answer.status}, a redirect to {where}: providers do not follow it. Give the "
            "address it leads to, here and as PublicUrl",
        )
    if answer.status != 200 or answer.body.get("status") != "ok":
        hint = f". Should the address leave out {parts.path}?" if parts.path else ""
        return failed(name, f"/health is not ours: {answer.error}{hint}")
    version = f"version {answer.body.get('version')}, Python {answer.body.get('python')}"
    return passed(name, f"200 in {answer.took_ms} ms, no redirect, {version}")


def examine(patient: Patient, providers: Sequence[str]) -> Iterator[Finding]:
    """Look at everything that can be seen without a job. Raises UnreachableError."""
    yield _clock(patient)
    yield from _own_secrets(patient)
    yield from _foundations(patient)
    yield from _webhook_secrets(patient, [*providers, *ALWAYS])
    if PIKCEL in providers:
        yield _provider(patient)
    else:
        yield skipped("dispatch", f"only {PIKCEL} can be asked for something that costs nothing")


def _clock(patient: Patient) -> Finding:
    answer = patient.ask("GET", "/health", is_known=False)
    try:
        there = parsedate_to_datetime(answer.headers["date"])
    except (KeyError, ValueError):
        return failed("clock", "the answer has no Date to compare with")
    return clocks_agree("clock", there, patient.now())


def clocks_agree(name: str, there: datetime, here: datetime) -> Finding:
    """Compare an instant of the stack's with ours."""
    apart_s = abs((there - here).total_seconds())
    return judged(
        apart_s <= CLOCKS_APART_S,
        name,
        f"{apart_s:.0f} s apart",
        f"{apart_s:.0f} s apart: signatures are good for 300 s. Set this machine's clock",
    )


def _own_secrets(patient: Patient) -> Iterator[Finding]:
    for name, value in (
        ("administrator's key", patient.admin_key),
        ("worker's secret", patient.worker_secret),
    ):
        says = "a placeholder: whoever guesses it is let in"
        yield judged(not is_placeholder(value), name, "not a placeholder", says)


def _foundations(patient: Patient) -> Iterator[Finding]:
    answer = patient.ask("GET", "/health", query={"deep": "1"})
    if answer.status in (401, 403):
        yield failed("administrator's key, used", f"refused ({answer.error})")
        return
    yield passed("administrator's key, used", "accepted")
    found = {each["name"]: each["reason"] for each in _checks(answer)}
    for name in ("table", *(f"queue {each}" for each in QUEUES), *(f"secret {s}" for s in SECRETS)):
        if name in found:
            yield judged(found[name] is None, name, "answers", str(found[name]))
        else:
            yield failed(name, f"not told of by /health?deep=1 ({answer.error})")


def _checks(answer: Answer) -> list[dict[str, str | None]]:
    shown = answer.body.get("checks") or answer.body.get("details") or []
    return [each for each in shown if isinstance(each, dict) and {"name", "reason"} <= each.keys()]


def _webhook_secrets(patient: Patient, senders: Sequence[str]) -> Iterator[Finding]:
    """Look whether there is something to check their webhooks with.

    The function that checks them is asked: a forged one would be refused just as well with a
    placeholder, and be counted among those that ring an alarm.
    """
    answer = patient.ask("GET", "/api/admin/secrets")
    told = answer.body.get("secrets")
    if answer.status != 200 or not isinstance(told, list):
        yield failed("webhook secrets", f"cannot be told: functions/webhook ({answer.error})")
        return
    known = {each["provider"]: each for each in told}
    for sender in dict.fromkeys(senders):
        yield _webhook_secret(sender, known.get(sender))


def _webhook_secret(sender: str, told: dict[str, Any] | None) -> Finding:
    name = f"webhooks of {sender}"
    if told is None:
        if sender in ADAPTERS:
            return passed(name, "are signed with a key that it publishes")
        return failed(name, "there is no such provider")
    if not told["keys"]:
        return failed(name, f"{told['name']} is not set: they are answered 503")
    return judged(
        not told["placeholder"],
        name,
        f"{told['name']} is set, and no placeholder",
        f"{told['name']} is a placeholder: whoever guesses it is believed",
    )


def _provider(patient: Patient) -> Finding:
    """Have dispatch ask PikcelAI for the account: its queue, function and key."""
    name = "dispatch"
    answer = patient.ask("GET", "/api/admin/credits", query={"provider": PIKCEL})
    if answer.status != 200:
        return failed(name, f"{PIKCEL} cannot be asked: its key, or dispatch ({answer.error})")
    return judged(
        answer.body.get("stale") is False,
        name,
        f"asked {PIKCEL} with our key, answered {answer.body.get('fetchedAt')}",
        f"{PIKCEL} has not answered since {answer.body.get('fetchedAt')}: its key, or dispatch",
    )
