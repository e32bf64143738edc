"""What a pushed file is called, what it says, and how it is recognised. Pure."""

import re

from shared.domain.job import Job, Output
from shared.usecases.ports import MediaFile, ProductMedia

MAX_ALT = 512  # characters; Shopify refuses longer ones (ALT_VALUE_LIMIT_EXCEEDED)

_PRODUCT = re.compile(r"(?:gid://shopify/Product/)?([1-9][0-9]{0,19})", re.ASCII)
_EXTENSIONS = {"image/png": "png", "image/jpeg": "jpg", "image/gif": "gif", "image/webp": "webp"}


def product_gid(product_id: str | None) -> str | None:
    """Return Shopify's id of a product, None for a text that cannot be one.

    >>> product_gid("1001"), product_gid("gid://shopify/Product/1001"), product_gid("mug")
    ('gid://shopify/Product/1001', 'gid://shopify/Product/1001', None)
    """
    match = _PRODUCT.fullmatch(product_id or "")
    return f"gid://shopify/Product/{match[1]}" if match else None


def is_uploadable(output: Output) -> bool:
    """Tell whether Shopify takes files of this kind."""
    return output.content_type in _EXTENSIONS


def filename(job: Job, output: Output) -> str:
    """Return the file's name: the same for the same output, so that Shopify refuses a second.

    Shape: `{job}-{attempt}-{index}[-{suffix}].{ext}`; the extension follows the content.
    """
    suffix = f"-{output.suffix}" if output.suffix else ""
    extension = _EXTENSIONS.get(output.content_type or "", "bin")
    return f"{job.job_id}-{output.attempt}-{output.index}{suffix}.{extension}"


def alt_text(job: Job, title: str | None = None) -> str:
    """Return the alt text: the user's, or "{product title} – {tool name}", what there is of it.

    Parameters: `title` is the product's as Shopify tells it, where the job does not know it.
    """
    if job.alt_text is not None:
        return job.alt_text[:MAX_ALT]
    parts = [job.product_title or title, job.tool_name]
    return " – ".join(part.strip() for part in parts if part and part.strip())[:MAX_ALT]


def plain(text: str) -> str:
    """Return an alt text as it is compared: Shopify may trim white space."""
    return " ".join(text.split())


def better_alt(job: Job, output: Output, file: MediaFile, product: ProductMedia) -> str | None:
    """Return the alt text to set when the file goes onto its product, None to leave it.

    Only a text of ours is replaced (the marker of a shared create call, or one without the
    product's title); what a merchant wrote stays.
    """
    wanted = alt_text(job, product.title)
    ours = {plain(filename(job, output)), plain(alt_text(job))}
    is_ours = plain(file.alt) in ours
    return wanted if is_ours and plain(file.alt) != plain(wanted) else None


def is_ours(job: Job, output: Output, file: MediaFile, title: str | None = None) -> bool:
    """Tell whether a file of the right name can be the one that a lost call made of `output`.

    Until it is READY only its alt text speaks for it; then its size does.

    Parameters: `title` is the product's, where Shopify told it.
    """
    if file.filename is None:
        texts = (filename(job, output), alt_text(job), alt_text(job, title))
        return plain(file.alt) in {plain(text) for text in texts}
    bytes_known = output.size_bytes is not None and file.size_bytes is not None
    if bytes_known and output.size_bytes == file.size_bytes:
        return True
    pixels_known = None not in (output.width, output.height, file.width, file.height)
    if pixels_known:
        return (output.width, output.height) == (file.width, file.height)
    return not bytes_known
