"""Shops, keys, agents, parked and held deliveries, secrets and erasures as JSON."""

from collections.abc import Mapping
from typing import Any

from shared.domain.erasure import ErasureReport, remainders
from shared.domain.events import ParkedEvent
from shared.domain.keys import Agent, ShopKey
from shared.domain.rotation import Removal
from shared.serializers.endpoints import notifications_json
from shared.serializers.values import instant, safe
from shared.usecases.list_quarantine import HeldPage
from shared.usecases.notice_ports import AddressState
from shared.usecases.quarantine_ports import Reverified
from shared.usecases.shop_settings import ShopView
from shared.usecases.tell_secrets import SecretState


def shop_json(view: ShopView, states: Mapping[str, AddressState]) -> dict[str, Any]:
    """Describe a shop: settings, installation, what its budget took. Never its token.

    states: whether those we write to have agreed, by address.
    """
    shop, spent = view.shop, view.spent
    limits = {"credits": shop.budget_credits, "costMicros": shop.budget_cost_micros}
    used = {"credits": spent.credits, "costMicros": spent.cost_micros}
    return {
        "shop": shop.shop,
        "installed": shop.installed_at is not None,
        "installedAt": instant(shop.installed_at),
        "uninstalledAt": instant(shop.uninstalled_at),
        "scopes": [scope for scope in (shop.scopes or "").split(",") if scope],
        "token": view.token.value,
        "autoPush": shop.auto_push,
        "monthlyBudget": safe(limits),
        "spent": {"month": view.month, **safe(used)},
        "retentionDays": shop.retention_days,
        "notifications": notifications_json(shop.notifications, states),
    }


def key_json(key: ShopKey) -> dict[str, Any]:
    """Describe a shop's key, without the key itself."""
    return {
        "id": key.key_id,
        "name": key.name,
        "createdAt": instant(key.created_at),
        "createdBy": key.created_by,
        "lastUsedAt": instant(key.last_used_at),
    }


def agent_json(agent: Agent) -> dict[str, Any]:
    """Describe an agent, without its key."""
    return {
        "id": agent.agent_id,
        "shop": agent.shop,
        "name": agent.name,
        "description": agent.description,
        "isActive": agent.is_active,
        "createdAt": instant(agent.created_at),
        "updatedAt": instant(agent.updated_at),
    }


def parked_json(event: ParkedEvent) -> dict[str, Any]:
    """Describe a delivery whose job nobody knows."""
    return {
        "provider": event.provider,
        "providerJobId": event.provider_job_id,
        "receivedAt": instant(event.received_at),
        "proof": event.proof.value,
    }


def held_json(page: HeldPage) -> dict[str, Any]:
    """Describe a page of deliveries that failed their check: nothing of their bodies."""
    return {
        "quarantine": [
            {
                "id": f"{note.provider}/{note.place}",
                "provider": note.provider,
                "receivedAt": instant(note.received_at),
                "endsAt": instant(note.ends_at),
                "reason": note.reason,
                "bytes": note.size_bytes,
            }
            for note in page.notes
        ],
        "nextCursor": page.next_cursor,
        "fullHours": [{"provider": name, "from": _hour(hour)} for name, hour in page.full],
    }


def reverified_json(done: Reverified, next_cursor: str | None) -> dict[str, Any]:
    """Describe what became of deliveries that were checked again."""
    names = ("checked", "accepted", "refused", "failing", "remaining")
    return {name: getattr(done, name) for name in names} | {"nextCursor": next_cursor}


def secret_json(state: SecretState) -> dict[str, Any]:
    """Describe a secret by its fingerprints, and whether the older one may be removed."""
    judgement = state.judgement
    return {
        "provider": state.provider,
        "name": state.name,
        "keys": [
            {
                "fingerprint": key.fingerprint,
                "isCurrent": key.is_current,
                "lastMatchAt": instant(key.last_at),
                "hours": [{"from": _hour(hour), "deliveries": count} for hour, count in key.hours],
            }
            for key in state.keys
        ],
        "placeholder": state.is_placeholder,
        "safeToRemove": judgement.removal is Removal.SAFE,
        "reason": judgement.removal.value,
        "safeAt": instant(judgement.safe_at),
    }


def _hour(hour: str) -> str:
    return f"{hour}:00:00.000Z"


def erasure_json(report: ErasureReport) -> dict[str, Any]:
    """Describe what was erased of a shop, and what remains of it where, and how long."""
    return {
        "id": report.erasure_id,
        "status": "running" if report.ended_at is None else "completed",
        "requestedAt": instant(report.requested_at),
        "startedAt": instant(report.started_at),
        "endedAt": instant(report.ended_at),
        "deleted": dict(report.deleted),
        "remains": [
            {"where": each.where, "what": each.what, "days": each.days}
            for each in remainders(report)
        ],
    }
