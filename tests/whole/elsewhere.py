"""The providers besides PikcelAI, in process: two simulators, and doubles of the others."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import httpx
import urllib3
from starlette.types import ASGIApp

from local.fal_simulator import app as fal_app
from local.fal_simulator import config as fal_config
from local.fal_simulator.dialect import public_key_of
from local.fal_simulator.service import Simulator as Fal
from local.provider_simulator.app import application
from local.provider_simulator.service import Simulator
from local.replicate_simulator import app as replicate_app
from local.replicate_simulator import config as replicate_config
from local.replicate_simulator.service import Simulator as Replicate
from tests.local.provider_doubles import DOUBLES, Config
from tests.whole.calls import Failures, Fault, Probe

WORK = "image-enhancement"
TOOLS: Mapping[str, str] = {
    "replicate": f"acme/{WORK}",
    "fal": f"acme/{WORK}",
    "runpod": WORK,
    "bfl": WORK,
    "openai": WORK,
}
# In the form that the adapter of each wants; Black Forest Labs signs with what we send along.
_SECRETS: Mapping[str, str] = {
    "replicate": "whsec_dG9vIHNob3J0IHRvIGJlIGd1ZXNzZWQ=",
    "fal": "11" * 32,
    "openai": "whsec_dG9vIHNob3J0IHRvIGJlIGd1ZXNzZWQ=",
}
KEY = "elsewhere-key-0123456789"


def open_provider(
    name: str, settings: Mapping[str, Any], hooks_url: str, **outside: Any
) -> tuple[Simulator[Any], ASGIApp]:
    """Return a provider's simulator, and the application that answers for it.

    Parameters: `settings` of the simulator; `hooks_url`, to which `/{provider}` is added, is where
    the account's own webhook goes; `outside` is the clock and whatever else a simulator is given.
    """
    chosen: dict[str, Any] = {"api_keys": [KEY], **settings}
    if name in _SECRETS:
        chosen["webhook_secrets"] = [_SECRETS[name]]
    if name == "replicate":
        replicate = Replicate(replicate_config.Config.model_validate(chosen), **outside)
        return replicate, replicate_app.create_app(replicate)
    if name == "fal":
        fal = Fal(fal_config.Config.model_validate(chosen), **outside)
        return fal, fal_app.create_app(fal)
    dialect, routes = DOUBLES[name]
    if name == "openai":
        chosen["webhook_url"] = f"{hooks_url}/{name}"
    double = Simulator(Config.model_validate(chosen), dialect, **outside)
    return double, application(double, routes)


def secrets_of(name: str) -> dict[str, dict[str, str]]:
    """Return what our secrets hold of a provider, by the secret's id."""
    signing = {f"{name}_WEBHOOK_SECRET".upper(): _SECRETS[name]} if name in _SECRETS else {}
    return {"signing-secret": signing, "providers-secret": {f"{name}_API_KEY".upper(): KEY}}


def environment_of(name: str) -> dict[str, str]:
    """Return where our functions find a provider."""
    url = f"http://{name}.test"
    keys = {"FAL_JWKS_URL": f"{url}/.well-known/jwks.json"} if name == "fal" else {}
    return {f"{name}_API_URL".upper(): url} | keys


def _raising(error: Exception) -> Callable[[], Any]:
    def fail() -> Any:
        raise error

    return fail


_KEY_FAILURES: Failures = {
    Fault.UNREACHABLE: _raising(urllib3.exceptions.HTTPError("refused")),
    Fault.REFUSED: lambda: _Keys(httpx.Response(503)),
    Fault.LOST: _raising(urllib3.exceptions.TimeoutError("slow")),
}


class _Keys:
    """urllib3's answer, of a document of keys."""

    def __init__(self, answer: httpx.Response) -> None:
        self.status = answer.status_code
        self._body = answer.content

    def read(self, amount: int) -> bytes:
        return self._body[:amount]

    def release_conn(self) -> None:
        """Nothing is held."""


class KeyPool:
    """urllib3's pool, through which fal's public keys are read: a call like any other."""

    def __init__(self, probe: Probe) -> None:
        self._probe = probe

    def request(self, *_: Any, **__: Any) -> _Keys:
        """Read the document, aside of the simulator: it waits for us while we check its webhook."""
        keys = {"keys": [public_key_of(_SECRETS["fal"])]}
        return self._probe.call(
            "GET public keys", lambda: _Keys(httpx.Response(200, json=keys)), _KEY_FAILURES
        )
