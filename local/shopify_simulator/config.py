"""What can be switched and what can be made to fail: plain data, changeable at run time.

Switches hold behaviour that differs between shops, or that is not verified about Shopify
(marked [?]); faults are rules that match calls and are used up. Both arrive as JSON at
``PUT /_simulator/config`` in the camelCase of these fields.
"""

import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal, get_args, get_origin, get_type_hints

Clock = Callable[[], float]
"""Epoch seconds."""

FaultKind = Literal[
    "throttled",
    "drop_before",
    "drop_after",
    "status_before",
    "status_after",
    "graphql_error",
    "user_error",
    "media_failed",
    "slow_ready",
    "name_taken",
    "product_gone",
    "media_limit",
]


class ConfigError(ValueError):
    """The configuration sent is not one; the message says which field."""


@dataclass(frozen=True)
class Switches:
    """Behaviour of one shop.

    bucket_size, restore_rate: cost points, points/s. Standard plan: 2000 and 100 [L].
    max_query_cost: one query may ask for this much [D].
    throttle_as_429: answer a throttle as HTTP 429 + Retry-After instead of 200 [S, D].
    throttle_retry_after_s: that Retry-After; None = the seconds until the bucket suffices.
    processing_after_s, ready_after_s: seconds after creation; READY after 1-3 s for small ones [L].
    search_lag_s: how long a new file stays invisible to files(query:) [?].
    file_create_mixed: a call with one bad file: reject all, or keep the valid ones [?].
    duplicate_name: a name clash comes at once or as a FAILED file later [?].
    failed_keeps_name: a FAILED file still occupies its name [?].
    add_reference_twice: adding a reference that exists: no effect, second entry, error [?].
    reorder_after_s: delay of productReorderMedia's job [L: asynchronous].
    shop_status: 402, 403, 404 or 423 for every Admin call; 0 = normal.
    latency_s: wait before each answer (served over the network only).
    """

    bucket_size: float = 2000.0
    restore_rate: float = 100.0
    max_query_cost: float = 1000.0
    throttle_as_429: bool = False
    throttle_retry_after_s: float | None = None
    processing_after_s: float = 0.2
    ready_after_s: float = 1.0
    search_lag_s: float = 0.0
    file_create_mixed: Literal["reject_all", "keep_valid"] = "reject_all"
    duplicate_name: Literal["synchronous", "late"] = "synchronous"
    failed_keeps_name: bool = True
    add_reference_twice: Literal["idempotent", "duplicate", "error"] = "idempotent"
    reorder_after_s: float = 0.0
    shop_status: Literal[0, 402, 403, 404, 423] = 0
    latency_s: float = 0.0


@dataclass
class Fault:
    """One rule: which calls it hits, how often, and what happens then.

    kind:
      throttled      THROTTLED (``status`` 429 for HTTP 429, ``retry_after_s`` its header)
      drop_before    cut the connection, nothing executed
      drop_after     execute, then cut the connection
      status_before  answer ``status`` (default 502), nothing executed
      status_after   execute, then answer ``status``
      graphql_error  top-level error ``code`` (default INTERNAL_SERVER_ERROR), nothing executed
      user_error     userErrors with ``code`` and ``message`` from mutation ``operation``
      media_failed   processing ends FAILED with ``code`` (default IMAGE_DOWNLOAD_FAILURE)
      slow_ready     processing takes ``seconds`` longer
      name_taken     the file name belongs to a stranger's file
      product_gone   the product behaves as deleted
      media_limit    attaching to the product answers PRODUCT_MEDIA_LIMIT_EXCEEDED
    shop, operation, filename, product_id: limits; None = any. ``operation`` is a root field
      (``fileCreate``), ``upload`` or ``token``; ``filename`` is a substring.
    after: so many matching calls pass first. times: so many are hit; None = all.
    until: epoch seconds after which the rule sleeps.
    """

    kind: FaultKind
    shop: str | None = None
    operation: str | None = None
    filename: str | None = None
    product_id: str | None = None
    after: int = 0
    times: int | None = 1
    until: float | None = None
    status: int | None = None
    retry_after_s: float | None = None
    code: str | None = None
    message: str | None = None
    seconds: float = 0.0

    def matches(
        self,
        now: float,
        shop: str,
        operations: frozenset[str],
        filename: str | None,
        product_id: str | None,
    ) -> bool:
        """Tell whether this rule speaks about such a call (not yet whether its turn has come)."""
        return (
            (self.until is None or now < self.until)
            and (self.shop is None or self.shop == shop)
            and (self.operation is None or self.operation in operations)
            and (self.filename is None or (filename is not None and self.filename in filename))
            and (self.product_id is None or self.product_id == product_id)
        )


@dataclass
class Config:
    """Switches for all, overrides per shop, and the faults in order; the first that fits wins."""

    switches: Switches = field(default_factory=Switches)
    shops: dict[str, dict[str, Any]] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    def for_shop(self, shop: str) -> Switches:
        """The switches in force for a shop."""
        return replace(self.switches, **self.shops.get(shop, {}))

    def take_fault(
        self,
        *kinds: FaultKind,
        now: float,
        shop: str,
        operations: frozenset[str] = frozenset(),
        filename: str | None = None,
        product_id: str | None = None,
    ) -> Fault | None:
        """Use up one turn of the first fitting fault, if there is one."""
        with self._lock:
            for fault in self.faults:
                if fault.kind not in kinds or fault.times == 0:
                    continue
                if not fault.matches(now, shop, operations, filename, product_id):
                    continue
                if fault.after > 0:
                    fault.after -= 1
                    continue
                if fault.times is not None:
                    fault.times -= 1
                return fault
        return None

    def add_fault(self, fault: Fault) -> None:
        """Put one more fault at the end."""
        with self._lock:
            self.faults.append(fault)

    def update(self, body: object) -> None:
        """Apply what ``PUT /_simulator/config`` sends.

        Shape: ``{"switches": {…}, "shops": {"a.myshopify.com": {…}}, "faults": [{…}]}``, every
        part optional. Switches are merged, a shop's overrides and the fault list replaced.

        Raises:
            ConfigError: unknown or wrongly typed; nothing has been changed then.
        """
        parts = _object(body, "configuration")
        unknown = parts.keys() - {"switches", "shops", "faults"}
        if unknown:
            raise ConfigError(f"unknown part {sorted(unknown)[0]!r}")
        switches = replace(self.switches, **_values(Switches, parts.get("switches", {})))
        shops = {
            name: _values(Switches, given)
            for name, given in _object(parts.get("shops", {}), "shops").items()
        }
        faults = [parse_fault(given) for given in parts["faults"]] if "faults" in parts else None
        with self._lock:
            self.switches = switches
            self.shops.update(shops)
            if faults is not None:
                self.faults = faults


def parse_fault(body: object) -> Fault:
    """Read one fault from JSON.

    Raises:
        ConfigError: unknown or wrongly typed field, or no ``kind``.
    """
    values = _values(Fault, body)
    if "kind" not in values:
        raise ConfigError("a fault needs a kind")
    return Fault(**values)


def to_json(value: object) -> object:
    """Turn switches, faults or a whole configuration into camelCase JSON."""
    if isinstance(value, Config):
        return {
            "switches": to_json(value.switches),
            "shops": {
                name: {_camel(key): given for key, given in overrides.items()}
                for name, overrides in value.shops.items()
            },
            "faults": [to_json(fault) for fault in value.faults],
        }
    if isinstance(value, Switches | Fault):
        return {_camel(item.name): getattr(value, item.name) for item in fields(value)}
    raise TypeError(f"no JSON form for {type(value).__name__}")


def _camel(name: str) -> str:
    return re.sub(r"_([a-z0-9])", lambda match: match.group(1).upper(), name)


def _object(value: object, what: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise ConfigError(f"{what} must be an object")
    return value


def _values(kind: type, body: object) -> dict[str, Any]:
    given = _object(body, kind.__name__.lower())
    hints = get_type_hints(kind)
    names = {_camel(name): name for name in hints}
    values: dict[str, Any] = {}
    for key, value in given.items():
        name = names.get(key)
        if name is None:
            raise ConfigError(f"unknown field {key!r}")
        if not _is_of(hints[name], value):
            raise ConfigError(f"field {key!r} cannot be {value!r}")
        values[name] = value
    return values


def _is_of(hint: Any, value: object) -> bool:
    if get_origin(hint) is Literal:
        return any(value is option or value == option for option in get_args(hint)) and not (
            isinstance(value, bool)
        )
    if get_args(hint):
        return any(_is_of(option, value) for option in get_args(hint))
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, hint)
