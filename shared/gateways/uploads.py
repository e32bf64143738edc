"""Large files on S3, by its multipart uploads.

Sources: Amazon S3 User Guide, "Amazon S3 multipart upload limits" (parts of 5 MiB to 5 GiB but
for the last, 10,000 of them) and "Checking object integrity"; API reference of
CompleteMultipartUpload (a checksum that the upload was begun with is asked for again, part by
part; an answer of 200 may hold an error, which botocore tells); read 2026-11.
"""

import base64
import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from shared.domain.errors import NotFoundError, StoreUnavailableError, UploadLostError
from shared.gateways.files import attachment, error_code, map_error
from shared.usecases.ports import Part

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_LOST = frozenset({"NoSuchUpload", "InvalidPart", "InvalidPartOrder"})


class S3Uploads:
    """`Uploads` in one bucket."""

    def __init__(self, client: "S3Client", bucket: str) -> None:
        self._client = client
        self._bucket = bucket

    def begin(self, key: str, content_type: str, *, download_name: str) -> str:
        """Begin a file; see `Uploads.begin`."""
        try:
            reply = self._client.create_multipart_upload(
                Bucket=self._bucket,
                Key=key,
                ContentType=content_type,
                ContentDisposition=attachment(download_name),
                ChecksumAlgorithm="SHA256",
            )
        except (ClientError, BotoCoreError) as error:
            raise map_error(error) from None
        return reply["UploadId"]

    def put_part(self, key: str, upload_id: str, number: int, body: bytes) -> Part:
        """Store a part; S3 compares it with the checksum that goes along."""
        checksum = base64.b64encode(hashlib.sha256(body).digest()).decode()
        try:
            reply = self._client.upload_part(
                Bucket=self._bucket,
                Key=key,
                UploadId=upload_id,
                PartNumber=number,
                Body=body,
                ChecksumSHA256=checksum,
            )
        except (ClientError, BotoCoreError) as error:
            raise _map(error) from None
        return Part(etag=reply["ETag"], sha256=checksum)

    def finish(self, key: str, upload_id: str, parts: Sequence[Part]) -> None:
        """Make the file of its parts.

        An upload that is gone was finished before, if the file is there: its key belongs to
        this one file.
        """
        told: list[Any] = [
            {"PartNumber": number, "ETag": part.etag, "ChecksumSHA256": part.sha256}
            for number, part in enumerate(parts, 1)
        ]
        try:
            self._client.complete_multipart_upload(
                Bucket=self._bucket,
                Key=key,
                UploadId=upload_id,
                MultipartUpload={"Parts": told},
            )
        except (ClientError, BotoCoreError) as error:
            mapped = _map(error)
            if not isinstance(mapped, UploadLostError) or not self._is_there(key):
                raise mapped from None

    def abort(self, key: str, upload_id: str) -> None:
        """Clear away what was uploaded."""
        try:
            self._client.abort_multipart_upload(Bucket=self._bucket, Key=key, UploadId=upload_id)
        except (ClientError, BotoCoreError) as error:
            mapped = _map(error)
            if not isinstance(mapped, UploadLostError):
                raise mapped from None

    def _is_there(self, key: str) -> bool:
        try:
            self._client.head_object(Bucket=self._bucket, Key=key)
        except (ClientError, BotoCoreError) as error:
            mapped = map_error(error)
            if isinstance(mapped, NotFoundError):
                return False
            raise mapped from None
        return True


def _map(error: ClientError | BotoCoreError) -> UploadLostError | StoreUnavailableError:
    if isinstance(error, ClientError) and error_code(error) in _LOST:
        return UploadLostError("The upload is no longer there as it was recorded.")
    mapped = map_error(error)
    if isinstance(mapped, NotFoundError):
        return UploadLostError("The upload is no longer there.")
    return mapped
