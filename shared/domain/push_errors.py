"""What Shopify's refusals mean for a push, and the sentence that a merchant reads.

Two tables, one row per word of the schema's enums (2026-10; a test compares them with the
schema): what to do about it, and if nothing heals it, under which code of ours it ends.
"""

from dataclasses import dataclass
from enum import StrEnum

from shared.domain.job import OUTPUT_EXPIRED, SHOP_NOT_INSTALLED, TOKEN_DEAD


class Remedy(StrEnum):
    """What to do about a refusal."""

    RETRY = "retry"  # make the media again, under another file name
    LATER = "later"  # look again later; nothing needs to change
    LOOK_UP = "look_up"  # the name is taken: find out by whom
    MAKE_AGAIN = "make_again"  # the file is gone
    FAIL = "fail"  # it will not heal


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a word means. code: ours, a key of PUSH_SENTENCES, once nothing helps any more."""

    remedy: Remedy
    code: str


PRODUCT_GONE = "product_gone"
MEDIA_LIMIT = "media_limit"
PRODUCT_SUSPENDED = "product_suspended"
IMAGE_TYPE = "image_type_unsupported"
IMAGE_SIZE = "image_file_too_large"
IMAGE_RESOLUTION = "image_resolution"
IMAGE_RATIO = "image_aspect_ratio"
STORAGE_FULL = "storage_full"
TRIAL_STORE = "trial_store"
FILE_REFUSED = "file_refused"
NAME_TAKEN = "file_name_taken"
PROCESSING_FAILED = "media_failed"
MEDIA_SLOW = "media_slow"
UPLOAD_FAILED = "upload_failed"
UPLOAD_ADDRESS = "upload_address_refused"
OUTPUT_MISSING = "output_missing"
MEDIA_LOCKED = "media_locked"

MISSING_SCOPE = "missing_scope"
SHOP_FROZEN = "shop_frozen"
SHOP_GONE = "shop_gone"
SHOP_LOCKED = "shop_locked"
SHOP_INACTIVE = "shop_inactive"

# Trouble of the whole shop that waiting does not heal.
SHOP_SENTENCES = {
    SHOP_NOT_INSTALLED: "The app is not installed in this store yet. Open it once in the Shopify "
    "admin; the image then follows by itself.",
    TOKEN_DEAD: "Shopify no longer accepts the app's access to this store. Open the app in the "
    "Shopify admin; the image then follows by itself.",
    MISSING_SCOPE: "The app may not change products or files in this store. Open the app, accept "
    "its permissions, and push the image again.",
    SHOP_FROZEN: "This store is frozen because of its bill with Shopify. Settle it, then push the "
    "image again.",
    SHOP_GONE: "Shopify does not know this store (any more).",
    SHOP_LOCKED: "Shopify has locked this store. Once it is open again, push the image again.",
    SHOP_INACTIVE: "This store is not active. Once it is, push the image again.",
}

# The same for somebody who looks at the store's products.
CATALOGUE_SENTENCES = {
    SHOP_NOT_INSTALLED: "The app is not installed in this store yet. Open it once in the Shopify "
    "admin.",
    TOKEN_DEAD: "Shopify no longer accepts the app's access to this store. Open the app in the "
    "Shopify admin.",
    MISSING_SCOPE: "The app may not read products in this store. Open the app and accept its "
    "permissions.",
    SHOP_FROZEN: "This store is frozen because of its bill with Shopify.",
    SHOP_GONE: "Shopify does not know this store (any more).",
    SHOP_LOCKED: "Shopify has locked this store.",
    SHOP_INACTIVE: "This store is not active.",
}

# Every code a push can fail with.
PUSH_SENTENCES = SHOP_SENTENCES | {
    PRODUCT_GONE: "The product no longer exists in the store, so the image cannot be put on it.",
    MEDIA_LIMIT: "The product has as many images as Shopify allows (250). Remove one, then push "
    "the image again.",
    PRODUCT_SUSPENDED: "Shopify has suspended this product; its images cannot be changed.",
    IMAGE_TYPE: "Shopify does not take images of this kind. PNG, JPEG, GIF and WebP work.",
    IMAGE_SIZE: "The image's file is larger (or smaller) than Shopify allows (up to 20 MB).",
    IMAGE_RESOLUTION: "The image has more pixels than Shopify allows (20 megapixels).",
    IMAGE_RATIO: "The image is too long and narrow for Shopify.",
    STORAGE_FULL: "The store's file storage is full. Delete some files in the Shopify admin, then "
    "push the image again.",
    TRIAL_STORE: "Shopify does not take this file while the store is on trial. Choose a plan, "
    "then push the image again.",
    FILE_REFUSED: "Shopify refused the image.",
    NAME_TAKEN: "Other files of the store have the names this image would get. Rename or delete "
    "them, then push the image again.",
    PROCESSING_FAILED: "Shopify took the image but could not process it, several times. Push it "
    "again later.",
    MEDIA_SLOW: "Shopify has not finished processing the image for a long time. Push it again "
    "later; nothing is uploaded twice.",
    UPLOAD_FAILED: "The image could not be uploaded to Shopify, several times. Push it again "
    "later.",
    UPLOAD_ADDRESS: "Shopify named no secure address for the upload, so the image was not sent. "
    "Push it again later.",
    OUTPUT_MISSING: "The image's file is no longer here. Create a new job to make it again.",
    OUTPUT_EXPIRED: "The image was no longer to be had from the service that made it. Retry the "
    "job to make a new one.",
    MEDIA_LOCKED: "Something else in Shopify is using this image and does not let go. Push it "
    "again later.",
}

_AGAIN = Verdict(Remedy.RETRY, PROCESSING_FAILED)
_REFUSED = Verdict(Remedy.FAIL, FILE_REFUSED)

# MediaErrorCode: why processing ended FAILED.
MEDIA_ERRORS = {
    "IMAGE_DOWNLOAD_FAILURE": _AGAIN,
    "IMAGE_PROCESSING_FAILURE": _AGAIN,
    "INVALID_SIGNED_URL": _AGAIN,
    "MEDIA_TIMEOUT_ERROR": _AGAIN,
    "GENERIC_FILE_DOWNLOAD_FAILURE": _AGAIN,
    "UNKNOWN": _AGAIN,
    "DUPLICATE_FILENAME_ERROR": Verdict(Remedy.LOOK_UP, NAME_TAKEN),
    "UNSUPPORTED_IMAGE_FILE_TYPE": Verdict(Remedy.FAIL, IMAGE_TYPE),
    "INVALID_IMAGE_FILE_SIZE": Verdict(Remedy.FAIL, IMAGE_SIZE),
    "GENERIC_FILE_INVALID_SIZE": Verdict(Remedy.FAIL, IMAGE_SIZE),
    "INVALID_IMAGE_RESOLUTION": Verdict(Remedy.FAIL, IMAGE_RESOLUTION),
    "INVALID_IMAGE_ASPECT_RATIO": Verdict(Remedy.FAIL, IMAGE_RATIO),
    "FILE_STORAGE_LIMIT_EXCEEDED": Verdict(Remedy.FAIL, STORAGE_FULL),
    # Of videos and 3D models, which we never send.
    **dict.fromkeys(
        (
            "EXTERNAL_VIDEO_EMBED_DISABLED",
            "EXTERNAL_VIDEO_EMBED_NOT_FOUND_OR_TRANSCODING",
            "EXTERNAL_VIDEO_INVALID_ASPECT_RATIO",
            "EXTERNAL_VIDEO_NOT_FOUND",
            "EXTERNAL_VIDEO_UNLISTED",
            "MODEL3D_GLB_OUTPUT_CREATION_ERROR",
            "MODEL3D_GLB_TO_USDZ_CONVERSION_ERROR",
            "MODEL3D_PROCESSING_FAILURE",
            "MODEL3D_THUMBNAIL_GENERATION_ERROR",
            "MODEL3D_THUMBNAIL_REGENERATION_ERROR",
            "MODEL3D_VALIDATION_ERROR",
            "VIDEO_INVALID_FILETYPE_ERROR",
            "VIDEO_MAX_DURATION_ERROR",
            "VIDEO_MAX_HEIGHT_ERROR",
            "VIDEO_MAX_WIDTH_ERROR",
            "VIDEO_METADATA_READ_ERROR",
            "VIDEO_MIN_DURATION_ERROR",
            "VIDEO_MIN_HEIGHT_ERROR",
            "VIDEO_MIN_WIDTH_ERROR",
            "VIDEO_VALIDATION_ERROR",
        ),
        _REFUSED,
    ),
}

_LOCKED = Verdict(Remedy.LATER, MEDIA_LOCKED)
_TRIAL = Verdict(Remedy.FAIL, TRIAL_STORE)

# FilesErrorCode: why fileCreate, fileUpdate or fileDelete refused a file.
FILE_ERRORS = {
    "FILENAME_ALREADY_EXISTS": Verdict(Remedy.LOOK_UP, NAME_TAKEN),
    "FILE_DOES_NOT_EXIST": Verdict(Remedy.MAKE_AGAIN, FILE_REFUSED),
    "NON_READY_STATE": Verdict(Remedy.LATER, MEDIA_SLOW),
    "FILE_LOCKED": _LOCKED,
    "MEDIA_CANNOT_BE_MODIFIED": _LOCKED,
    "REFERENCE_TARGET_DOES_NOT_EXIST": Verdict(Remedy.FAIL, PRODUCT_GONE),
    "PRODUCT_MEDIA_LIMIT_EXCEEDED": Verdict(Remedy.FAIL, MEDIA_LIMIT),
    "PRODUCT_SUSPENDED": Verdict(Remedy.FAIL, PRODUCT_SUSPENDED),
    "UNACCEPTABLE_ASSET": _REFUSED,
    "UNACCEPTABLE_TRIAL_ASSET": _TRIAL,
    "UNACCEPTABLE_UNVERIFIED_TRIAL_ASSET": _TRIAL,
    **dict.fromkeys(
        (
            "ALT_VALUE_LIMIT_EXCEEDED",
            "BLANK_SEARCH",
            "INVALID",
            "INVALID_DUPLICATE_MODE_FOR_TYPE",
            "INVALID_DUPLICATE_RESOLUTION_MODE",
            "INVALID_FAILED_MEDIA_STATE",
            "INVALID_FILENAME",
            "INVALID_FILENAME_EXTENSION",
            "INVALID_IMAGE_SOURCE_URL",
            "INVALID_QUERY",
            "MISMATCHED_FILENAME_AND_ORIGINAL_SOURCE",
            "MISSING_ARGUMENTS",
            "MISSING_FILENAME_FOR_DUPLICATE_MODE_REPLACE",
            "NON_IMAGE_MEDIA_PER_SHOP_LIMIT_EXCEEDED",
            "TOO_MANY_ARGUMENTS",
            "TOO_MANY_FILE_REFERENCE",
            "UNSUPPORTED_FILE_REFERENCE",
            "UNSUPPORTED_MEDIA_TYPE_FOR_FILENAME_UPDATE",
        ),
        _REFUSED,
    ),
}


def judge_media(errors: tuple[str, ...]) -> Verdict:
    """Say what a FAILED media means: the first error that will not heal, else the first.

    >>> judge_media(("IMAGE_DOWNLOAD_FAILURE", "INVALID_IMAGE_RESOLUTION")).code
    'image_resolution'
    >>> judge_media(()).remedy.value
    'retry'
    """
    verdicts = [MEDIA_ERRORS.get(error, _AGAIN) for error in errors] or [_AGAIN]
    ranked = {Remedy.FAIL: 0, Remedy.LOOK_UP: 1}
    return min(verdicts, key=lambda verdict: ranked.get(verdict.remedy, 2))


def judge_file(code: str) -> Verdict:
    """Say what a refused file means. An unknown word is not believed to heal."""
    return FILE_ERRORS.get(code, _REFUSED)
