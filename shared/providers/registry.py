"""Every provider: one row each.

What else a provider needs follows from its adapter: its address, `{PROVIDER}_API_KEY`, and, where
it signs with a secret of ours, `{PROVIDER}_WEBHOOK_SECRET`. The names are looked up in the
secrets as they are; the template has a parameter for each of those listed here.
"""

from collections.abc import Mapping

from shared.providers.base import ProviderAdapter
from shared.providers.bfl import BflAdapter
from shared.providers.fal import FalAdapter
from shared.providers.openai import OpenaiAdapter
from shared.providers.pikcel import PikcelAdapter
from shared.providers.replicate import ReplicateAdapter
from shared.providers.runpod import RunpodAdapter

_ROWS: tuple[ProviderAdapter, ...] = (
    PikcelAdapter(),
    ReplicateAdapter(),
    FalAdapter(),
    RunpodAdapter(),
    BflAdapter(),
    OpenaiAdapter(),
)

ADAPTERS: Mapping[str, ProviderAdapter] = {adapter.name: adapter for adapter in _ROWS}
