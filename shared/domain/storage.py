"""Where things lie in the bucket: everything of a shop below its own prefixes, and nothing else.

| key | what | how long |
| --- | --- | --- |
| `shops/{shop}/jobs/{job_id}/…` | kept results, big documents | as long as the job |
| `exports/{shop}/{job_id}/…` | files that a bulk job writes, and its drafts of them | 7 days |

The second has a prefix of its own because a bucket's rules go by the beginning of a key.
"""

import unicodedata
from datetime import timedelta

from shared.domain.ids import JobRef

# What the bucket's rule says too; it comes round once a day, so files live a little longer.
EXPORTS_KEPT_FOR = timedelta(days=7)
EXPORTS_PREFIX = "exports/"
MAX_SLUG = 60


def prefixes_of(shop: str) -> tuple[str, ...]:
    """Return the prefixes of all that is kept for a shop: to erase it is to empty these.

    >>> prefixes_of("a.myshopify.com")
    ('shops/a.myshopify.com/', 'exports/a.myshopify.com/')
    """
    return f"shops/{shop}/", f"{EXPORTS_PREFIX}{shop}/"


def job_folder(ref: JobRef) -> str:
    """Return what the keys of a job's results and documents begin with."""
    return f"shops/{ref.shop}/jobs/{ref.job_id}/"


def export_folder(ref: JobRef) -> str:
    """Return what the keys of the files that a bulk job writes begin with."""
    return f"{EXPORTS_PREFIX}{ref.shop}/{ref.job_id}/"


def slug(text: str | None, otherwise: str) -> str:
    """Return a text as part of a file's name that is safe everywhere, and still says something.

    Letters and digits of any script stay; what is between them becomes one hyphen. `otherwise`
    is for a text without any.

    >>> slug("  Blaue Tasse / 0,5 l: NEU! ", "image"), slug("Cốc sứ", "image"), slug("../..", "x")
    ('blaue-tasse-0-5-l-neu', 'cốc-sứ', 'x')
    """
    plain = unicodedata.normalize("NFC", text or "").lower()
    kept = "".join(c if c.isalnum() else " " for c in plain)
    return "-".join(kept.split())[:MAX_SLUG].rstrip("-") or otherwise
