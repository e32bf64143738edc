"""The output bucket on S3. It is private and encrypts by itself; people get presigned links."""

import base64
import hashlib
from collections.abc import Sequence
from itertools import batched
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from botocore.exceptions import BotoCoreError, ClientError

from shared.domain.errors import NotFoundError, StoreUnavailableError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import ListObjectsV2RequestTypeDef, ObjectIdentifierTypeDef

_ABSENT = frozenset({"NoSuchKey", "404", "NotFound"})
_DELETED_AT_ONCE = 1000  # S3's own limit
_LISTED_AT_ONCE = 1000  # and this one too
_UPLOAD = "upload-"


class S3Files:
    """`Files` in one bucket."""

    def __init__(self, client: "S3Client", bucket: str) -> None:
        self._client = client
        self._bucket = bucket

    def put(self, key: str, body: bytes, content_type: str) -> None:
        """Store bytes under a key; S3 compares them with the checksum that goes along.

        Raises StoreUnavailableError.
        """
        checksum = base64.b64encode(hashlib.sha256(body).digest()).decode()
        try:
            self._client.put_object(
                Bucket=self._bucket,
                Key=key,
                Body=body,
                ContentType=content_type,
                ChecksumSHA256=checksum,
            )
        except (ClientError, BotoCoreError) as error:
            raise map_error(error) from None

    def get(self, key: str) -> bytes:
        """Read bytes. Raises NotFoundError, StoreUnavailableError."""
        try:
            return self._client.get_object(Bucket=self._bucket, Key=key)["Body"].read()
        except (ClientError, BotoCoreError) as error:
            raise map_error(error) from None

    def delete(self, keys: Sequence[str]) -> None:
        """Delete; keys that do not exist are no error. Raises StoreUnavailableError."""
        self._delete([{"Key": key} for key in keys])

    def keys(self, prefix: str) -> list[str]:
        """Return the keys of all files under a prefix. Raises StoreUnavailableError."""
        found: list[str] = []
        request: ListObjectsV2RequestTypeDef = {"Bucket": self._bucket, "Prefix": prefix}
        while True:
            try:
                reply = self._client.list_objects_v2(**request)
            except (ClientError, BotoCoreError) as error:
                raise map_error(error) from None
            found += [each["Key"] for each in reply.get("Contents", ())]
            if not reply.get("IsTruncated"):
                return found
            request["ContinuationToken"] = reply["NextContinuationToken"]

    def find(self, prefix: str, *, limit: int) -> list[str]:
        """Return `{version}/{key}` of some files under a prefix.

        Of a bucket without versions each file has one, "null"; of one with versions, what was
        deleted has a marker, which is found too. Where there is nothing of either, uploads that
        were begun and not finished are found, `upload-{id}/{key}`. Raises StoreUnavailableError.
        """
        most = min(limit, _LISTED_AT_ONCE)
        try:
            reply = self._client.list_object_versions(
                Bucket=self._bucket, Prefix=prefix, MaxKeys=most
            )
            found = [*reply.get("Versions", ()), *reply.get("DeleteMarkers", ())]
            if found:
                return [f"{each['VersionId']}/{each['Key']}" for each in found]
            begun = self._client.list_multipart_uploads(
                Bucket=self._bucket, Prefix=prefix, MaxUploads=most
            )
        except (ClientError, BotoCoreError) as error:
            raise map_error(error) from None
        uploads = begun.get("Uploads", ())
        return [f"{_UPLOAD}{each['UploadId']}/{each['Key']}" for each in uploads]

    def remove(self, names: Sequence[str]) -> None:
        """Delete what was found for good. Raises StoreUnavailableError."""
        pairs = [name.split("/", 1) for name in names]
        files = [pair for pair in pairs if not pair[0].startswith(_UPLOAD)]
        self._delete([{"Key": key, "VersionId": version} for version, key in files])
        for upload, key in pairs:
            if upload.startswith(_UPLOAD):
                self._abort(key, upload.removeprefix(_UPLOAD))

    def _abort(self, key: str, upload_id: str) -> None:
        try:
            self._client.abort_multipart_upload(Bucket=self._bucket, Key=key, UploadId=upload_id)
        except (ClientError, BotoCoreError) as error:
            if not (isinstance(error, ClientError) and error_code(error) == "NoSuchUpload"):
                raise map_error(error) from None

    def _delete(self, objects: "Sequence[ObjectIdentifierTypeDef]") -> None:
        for chunk in batched(objects, _DELETED_AT_ONCE, strict=False):
            try:
                reply = self._client.delete_objects(
                    Bucket=self._bucket, Delete={"Objects": list(chunk), "Quiet": True}
                )
            except (ClientError, BotoCoreError) as error:
                raise map_error(error) from None
            if reply.get("Errors"):
                codes = ", ".join(sorted({str(item.get("Code")) for item in reply["Errors"]}))
                raise StoreUnavailableError(f"Files could not be deleted ({codes}).")

    def link(self, key: str, *, valid_s: int, download_name: str | None = None) -> str:
        """Return a presigned link to one file, without asking the bucket.

        Parameters
            valid_s: how long it works; no longer than the credentials that sign it.
            download_name: the name under which a browser saves it; None shows it.
        """
        params: dict[str, Any] = {"Bucket": self._bucket, "Key": key}
        if download_name is not None:
            params["ResponseContentDisposition"] = attachment(download_name)
        return self._client.generate_presigned_url("get_object", Params=params, ExpiresIn=valid_s)


def attachment(name: str) -> str:
    """Name a download in both forms of RFC 6266: ASCII for all, the true name for most."""
    plain = "".join(c if c.isascii() and c.isprintable() and c not in '"\\' else "_" for c in name)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"


def error_code(error: ClientError) -> str:
    """Return S3's word for an error."""
    return str(error.response.get("Error", {}).get("Code", ""))


def map_error(error: ClientError | BotoCoreError) -> NotFoundError | StoreUnavailableError:
    """Return what an error of S3's means to us."""
    if not isinstance(error, ClientError):
        return StoreUnavailableError(f"The bucket does not answer ({type(error).__name__}).")
    code = error_code(error)
    if code in _ABSENT:
        return NotFoundError("There is no such file.")
    return StoreUnavailableError(f"The bucket does not answer ({code or 'no code'}).")
