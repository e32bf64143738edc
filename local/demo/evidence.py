"""Everything that the simulators and the API say about the demo's jobs when it is over."""

import hashlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import httpx
from PIL import Image, UnidentifiedImageError

from local.demo.providers import PIKCEL, DemoProvider
from local.demo.story import Places, Sent

type Facts = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Fetched:
    """What a product's image address gave: `size` is None when it is no readable image."""

    url: str
    status: int
    sha256: str
    size: tuple[int, int] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class JobEvidence:
    """One job from every side.

    sent: with the job as the API shows it. timeline: the API's, the oldest first.
    media: what is on the product (the Shopify simulator's word), files: the shop's files named
    after the job, on a product or not. provider_jobs, charges, deliveries: what the
    provider's simulator did for it. fetched: the image on the product, if there is one.
    """

    sent: Sent
    timeline: Sequence[Facts]
    media: Sequence[Facts]
    files: Sequence[Facts]
    provider_jobs: Sequence[Facts]
    charges: Sequence[Facts]
    deliveries: Sequence[Facts]
    fetched: Fetched | None

    @property
    def title(self) -> str:
        """Return the product's title, by which the proofs name the job."""
        return self.sent.assignment.picture.title

    @property
    def pushed_media(self) -> Sequence[Facts]:
        """Return what of the product's media came from this job."""
        return [each for each in self.media if is_of_job(each, self.sent.job_id)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """All of it. stats, calls: by shop. requests: those that the provider received."""

    jobs: Sequence[JobEvidence]
    stats: Mapping[str, Facts]
    calls: Mapping[str, Sequence[Facts]]
    requests: Sequence[Facts]
    provider: DemoProvider = PIKCEL


def is_of_job(file: Facts, job_id: str) -> bool:
    """Tell whether a file is named after a job: `{job_id}-{attempt}-{output}.{ext}`."""
    return str(file["filename"]).startswith(f"{job_id}-")


def collect(places: Places, sent: Sequence[Sent], client: httpx.Client) -> Evidence:
    """Ask everybody. `client` fetches the products' images as a browser would."""
    provider_jobs = places.inside.read("jobs")["jobs"]
    charges = places.inside.read("ledger")["charges"]
    deliveries = places.inside.read("webhooks")["deliveries"]
    shops = sorted({each.shop for each in sent})
    products = {
        product["id"]: product for shop in shops for product in places.shopify.products(shop)
    }
    files = {shop: places.shopify.files(shop) for shop in shops}
    jobs = []
    for each in sent:
        mine = [job for job in provider_jobs if _is_for(job["ref"], each)]
        ids = {job["id"] for job in mine}
        media = products[each.product_id]["media"]
        jobs.append(
            JobEvidence(
                sent=each,
                timeline=places.pages[each.shop].timeline(each.job_id),
                media=media,
                files=[file for file in files[each.shop] if is_of_job(file, each.job_id)],
                provider_jobs=mine,
                charges=[charge for charge in charges if charge["job_id"] in ids],
                deliveries=[one for one in deliveries if one["job_id"] in ids],
                fetched=_fetch(client, media, each.job_id),
            )
        )
    return Evidence(
        jobs=jobs,
        stats={shop: places.pages[shop].stats() for shop in shops},
        calls={shop: places.shopify.calls(shop) for shop in shops},
        requests=places.inside.read("requests")["requests"],
        provider=places.provider,
    )


def _is_for(ref: str | None, sent: Sent) -> bool:
    """Tell whether our reference, `shop:job:attempt:token`, names this job."""
    return ref is not None and ref.split(":")[:2] == [sent.shop, sent.job_id]


def _fetch(client: httpx.Client, media: Sequence[Facts], job_id: str) -> Fetched | None:
    url = next((each["url"] for each in media if is_of_job(each, job_id)), None)
    if url is None:
        return None
    answer = client.get(url)
    try:
        with Image.open(io.BytesIO(answer.content)) as image:
            image.load()
            size: tuple[int, int] | None = image.size
    except (UnidentifiedImageError, OSError):
        size = None
    return Fetched(url, answer.status_code, hashlib.sha256(answer.content).hexdigest(), size)
