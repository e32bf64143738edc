"""Every provider: one row each.

What else a provider needs follows from its adapter: its address, `{PROVIDER}_API_KEY`, and, where
it signs with a secret of ours, `{PROVIDER}_WEBHOOK_SECRET`. The names are looked up in the
secrets as they are; the template has a parameter for each of those listed here.
"""

from collections.abc import Mapping

from shared.providers.base import ProviderAdapter
from shared.providers.pikcel import PikcelAdapter

_ROWS: tuple[ProviderAdapter, ...] = (PikcelAdapter(),)

ADAPTERS: Mapping[str, ProviderAdapter] = {adapter.name: adapter for adapter in _ROWS}
