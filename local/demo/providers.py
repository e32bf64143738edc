"""Through whom the demo's photos go, and what of its story that provider's protocol cannot tell."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from local.demo.cases import CASES, Case, Kind
from local.demo.clients import DemoError
from local.stack import StackInfo


@dataclass(frozen=True, slots=True)
class DemoProvider:
    """One provider, as the demo must know it.

    name: as a job names it. label: as people do. owner: what its models' names begin with.
    webhooks: how many a job has that goes well. says_credits: whether it says what a job cost.
    left_out: cases that its protocol has not, each with the reason.
    """

    name: str
    label: str
    owner: str = ""
    webhooks: int = 2
    says_credits: bool = False
    left_out: Mapping[Kind, str] = field(default_factory=dict)

    def tool(self, tool_id: str) -> str:
        """Return this provider's name of a tool.

        >>> PROVIDERS["replicate"].tool("upscale-4x"), PIKCEL.tool("upscale-4x")
        ('jobtracker/upscale-4x', 'upscale-4x')
        """
        return self.owner + tool_id

    def url_in(self, info: StackInfo) -> str:
        """Return where its simulator is."""
        urls = {"pikcel": info.pikcel_url, "replicate": info.replicate_url, "fal": info.fal_url}
        return urls[self.name]

    @property
    def cases(self) -> tuple[Case, ...]:
        """Return the cases that its protocol can have."""
        return tuple(case for case in CASES if case.kind not in self.left_out)


_NO_FRESH_LINK = "a poll names the same link again: a result that died is gone"

PIKCEL = DemoProvider("pikcel", "PikcelAI", says_credits=True)
PROVIDERS: Mapping[str, DemoProvider] = {
    each.name: each
    for each in (
        PIKCEL,
        DemoProvider(
            "replicate",
            "Replicate",
            owner="jobtracker/",
            left_out={Kind.EXPIRED: _NO_FRESH_LINK},
        ),
        DemoProvider(
            "fal",
            "fal",
            owner="jobtracker/",
            webhooks=1,
            left_out={
                Kind.LATE: "it calls once, at the end: nothing can come after that",
                Kind.EXPIRED: _NO_FRESH_LINK,
            },
        ),
    )
}


def provider_named(name: str) -> DemoProvider:
    """Return a provider by its name. Raises DemoError."""
    if name not in PROVIDERS:
        raise DemoError(f"PROVIDER={name}: there is a simulator of {', '.join(PROVIDERS)}.")
    return PROVIDERS[name]
