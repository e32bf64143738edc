"""What the simulated shops hold: products, files, staged uploads, running jobs.

Time moves only when somebody looks: ``Shop.settle(now)`` brings media and jobs to where they
are at that instant, so tests with their own clock never sleep.
"""

import itertools
import threading
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime

from .cost import Bucket
from .images import MediaFailure, Picture

FIRST_PRODUCT = 1001
FIRST_MEDIA = 43_000_000_000_001

PRODUCT_MEDIA_LIMIT = 250
"""Media per product [S, V]."""


def iso(at: float) -> str:
    """An instant as Shopify writes it: whole seconds, Z."""
    return datetime.fromtimestamp(int(at), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass
class Media:
    """One image file (a MediaImage; media and files share ids since 2023-04 [D]).

    ``outcome`` was decided from the real bytes when the file was created; it shows from
    ``done_at`` on, PROCESSING from ``processing_at`` on.
    """

    number: int
    filename: str
    alt: str
    created_at: float
    updated_at: float
    processing_at: float
    done_at: float
    outcome: Picture | MediaFailure
    source: str
    owns_name: bool = True
    status: str = "UPLOADED"

    @property
    def gid(self) -> str:
        """The global id."""
        return f"gid://shopify/MediaImage/{self.number}"

    @property
    def picture(self) -> Picture | None:
        """The image once READY, else None."""
        ready = self.status == "READY" and isinstance(self.outcome, Picture)
        return self.outcome if ready else None  # type: ignore[return-value]

    @property
    def failure(self) -> MediaFailure | None:
        """The error once FAILED, else None."""
        failed = self.status == "FAILED" and isinstance(self.outcome, MediaFailure)
        return self.outcome if failed else None  # type: ignore[return-value]

    def settle(self, now: float) -> None:
        """Move the status to where it is now."""
        if now >= self.done_at:
            self.status = "READY" if isinstance(self.outcome, Picture) else "FAILED"
        elif now >= self.processing_at:
            self.status = "PROCESSING"


@dataclass
class Variant:
    """A product's variant and its image, if it has one."""

    number: int
    title: str
    media: int | None = None

    @property
    def gid(self) -> str:
        """The global id."""
        return f"gid://shopify/ProductVariant/{self.number}"


@dataclass
class Product:
    """One product; ``media`` holds file numbers by position."""

    number: int
    title: str
    handle: str
    created_at: float
    updated_at: float
    description_html: str = ""
    status: str = "ACTIVE"
    vendor: str = ""
    product_type: str = ""
    tags: list[str] = field(default_factory=list)
    media: list[int] = field(default_factory=list)
    variants: list[Variant] = field(default_factory=list)

    @property
    def gid(self) -> str:
        """The global id."""
        return f"gid://shopify/Product/{self.number}"


@dataclass
class ReorderJob:
    """A productReorderMedia job: moves of (media id, new position)."""

    gid: str
    product: int
    moves: list[tuple[str, int]]
    done_at: float
    done: bool = False


@dataclass
class StagedUpload:
    """A staged target: who may send what, and the bytes once they came."""

    key: str
    filename: str
    mime_type: str
    method: str
    signature: str
    parameters: list[tuple[str, str]]
    expires_at: float
    content: bytes | None = None


@dataclass
class Shop:
    """One store. Hold ``lock`` while reading or changing it."""

    domain: str
    number: int
    products: dict[int, Product] = field(default_factory=dict)
    media: dict[int, Media] = field(default_factory=dict)
    names: dict[str, int] = field(default_factory=dict)
    jobs: dict[str, ReorderJob] = field(default_factory=dict)
    buckets: dict[str, Bucket] = field(default_factory=dict)
    lock: threading.RLock = field(default_factory=threading.RLock)

    @property
    def gid(self) -> str:
        """The global id."""
        return f"gid://shopify/Shop/{self.number}"

    def settle(self, now: float) -> None:
        """Bring everything that happens by itself up to ``now``."""
        for media in self.media.values():
            media.settle(now)
        for job in self.jobs.values():
            if not job.done and now >= job.done_at:
                job.done = True
                self._reorder(job)

    def delete_media(self, number: int) -> None:
        """Remove a file from the shop, its products and variants, and free its name."""
        media = self.media.pop(number)
        if self.names.get(media.filename) == number:
            del self.names[media.filename]
        for product in self.products.values():
            product.media = [held for held in product.media if held != number]
            for variant in product.variants:
                if variant.media == number:
                    variant.media = None

    def _reorder(self, job: ReorderJob) -> None:
        """Apply the moves one after the other; unknown media give no error [L]."""
        product = self.products.get(job.product)
        if product is None:
            return
        for gid, position in job.moves:
            number = gid_number(gid, "MediaImage")
            if number is not None and number in product.media:
                product.media.remove(number)
                product.media.insert(position, number)


class World:
    """All shops and staged uploads of one server."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.shops: dict[str, Shop] = {}
        self.staged: dict[str, StagedUpload] = {}
        self.product_numbers = itertools.count(FIRST_PRODUCT)
        self.media_numbers = itertools.count(FIRST_MEDIA)

    def shop(self, domain: str) -> Shop:
        """The shop, opened on first mention."""
        with self._lock:
            if domain not in self.shops:
                self.shops[domain] = Shop(domain, 90_000_000 + len(self.shops) + 1)
            return self.shops[domain]


def gid_number(gid: str, kind: str) -> int | None:
    """The number of ``gid://shopify/{kind}/{number}``, None for anything else.

    >>> gid_number("gid://shopify/Product/7", "Product"), gid_number("7", "Product")
    (7, None)
    """
    prefix = f"gid://shopify/{kind}/"
    digits = gid.removeprefix(prefix)
    return int(digits) if gid.startswith(prefix) and digits.isascii() and digits.isdigit() else None


def with_uuid(filename: str) -> str:
    """A free variant of a taken name: the basename plus ``_<uuid>`` [L]."""
    stem, dot, extension = filename.rpartition(".")
    return f"{stem or extension}_{uuid.uuid4()}{dot}{extension if stem else ''}"
