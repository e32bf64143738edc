"""Files written part by part: in memory, on moto's S3 and on ministack's alike."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from moto import mock_aws

from local.stack.emulator import endpoint_of, start_emulator
from local.stack.processes import free_ports
from shared.domain.errors import StoreUnavailableError, UploadLostError
from shared.gateways.aws import AwsClients
from shared.gateways.files import S3Files
from shared.gateways.uploads import S3Uploads
from shared.usecases.ports import Files, Part, Uploads
from tests.fakes.files import FakeFiles
from tests.fakes.uploads import FakeUploads

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

BUCKET = "outputs"
KEY = "exports/a-shop.myshopify.com/x/jobs.csv"
FULL = b"x" * 5 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Bucket:
    files: Files
    uploads: Uploads

    def begin(self) -> str:
        return self.uploads.begin(KEY, "text/csv", download_name="jobs.csv")


@pytest.fixture
def moto_client() -> Iterator[S3Client]:
    with mock_aws():
        client = AwsClients().client("s3")
        client.create_bucket(Bucket=BUCKET)
        yield client


@pytest.fixture
def ministack_s3(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Client]:
    (port,) = free_ports(1)
    emulator = start_emulator(
        port,
        log_path=tmp_path / "ministack.log",
        unpack_dir=tmp_path,
        enforce_policies=False,
        keep_dir=None,
    )
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint_of(port))
    client = AwsClients().client("s3")
    client.create_bucket(Bucket=BUCKET)
    try:
        yield client
    finally:
        emulator.stop()


EMULATED = pytest.param("ministack", marks=pytest.mark.slow)


@pytest.fixture(params=["memory", "moto", EMULATED])
def bucket(request: pytest.FixtureRequest) -> Bucket:
    if request.param == "memory":
        files = FakeFiles()
        return Bucket(files, FakeUploads(files))
    name = "moto_client" if request.param == "moto" else "ministack_s3"
    client = request.getfixturevalue(name)
    return Bucket(S3Files(client, BUCKET), S3Uploads(client, BUCKET))


def test_a_file_is_its_parts_in_order_and_finishing_again_changes_nothing(bucket: Bucket) -> None:
    upload = bucket.begin()
    last = bucket.uploads.put_part(KEY, upload, 2, b"end")
    first = bucket.uploads.put_part(KEY, upload, 1, FULL)
    bucket.uploads.finish(KEY, upload, [first, last])
    bucket.uploads.finish(KEY, upload, [first, last])
    assert bucket.files.get(KEY) == FULL + b"end"


def test_a_file_may_be_one_small_part(bucket: Bucket) -> None:
    upload = bucket.begin()
    bucket.uploads.finish(KEY, upload, [bucket.uploads.put_part(KEY, upload, 1, b"x")])
    assert bucket.files.get(KEY) == b"x"


def test_a_part_that_was_put_again_the_same_is_the_same(bucket: Bucket) -> None:
    upload = bucket.begin()
    first = bucket.uploads.put_part(KEY, upload, 1, b"x")
    assert bucket.uploads.put_part(KEY, upload, 1, b"x") == first
    bucket.uploads.finish(KEY, upload, [first])


def test_a_part_that_somebody_else_overwrote_never_gets_into_the_file(bucket: Bucket) -> None:
    upload = bucket.begin()
    ours = bucket.uploads.put_part(KEY, upload, 1, b"ours")
    bucket.uploads.put_part(KEY, upload, 1, b"theirs")
    with pytest.raises(UploadLostError):
        bucket.uploads.finish(KEY, upload, [ours])


# moto breaks with a KeyError on an upload that is gone.
@pytest.mark.parametrize("bucket", ["memory", EMULATED], indirect=True)
def test_an_upload_that_is_gone_is_lost_but_may_be_aborted_again(bucket: Bucket) -> None:
    upload = bucket.begin()
    part = bucket.uploads.put_part(KEY, upload, 1, b"x")
    bucket.uploads.abort(KEY, upload)
    bucket.uploads.abort(KEY, upload)
    with pytest.raises(UploadLostError):
        bucket.uploads.put_part(KEY, upload, 2, b"y")
    with pytest.raises(UploadLostError):
        bucket.uploads.finish(KEY, upload, [part])


def test_what_is_not_finished_is_found_and_removed_with_all_of_a_shops_files(
    bucket: Bucket,
) -> None:
    upload = bucket.begin()
    bucket.uploads.put_part(KEY, upload, 1, b"x")
    bucket.files.put(KEY, b"an earlier one", "text/csv")
    bucket.files.put("exports/another-shop.myshopify.com/x", b"theirs", "text/csv")
    prefix = "exports/a-shop.myshopify.com/"
    rounds = 0
    while found := bucket.files.find(prefix, limit=10):
        bucket.files.remove(found)
        bucket.files.remove(found)
        rounds += 1
    assert rounds == 2
    assert bucket.files.find("exports/", limit=10) != []


@pytest.mark.parametrize("code", ["NoSuchUpload", "InvalidPart", "InvalidPartOrder"])
def test_s3s_words_for_an_upload_that_is_lost(
    moto_client: S3Client, monkeypatch: pytest.MonkeyPatch, code: str
) -> None:
    def lost(**_: Any) -> Any:
        raise ClientError({"Error": {"Code": code}}, "any")

    for name in ("complete_multipart_upload", "upload_part", "abort_multipart_upload"):
        monkeypatch.setattr(moto_client, name, lost)
    uploads, part = S3Uploads(moto_client, BUCKET), Part(etag="e", sha256="s")
    uploads.abort(KEY, "u")
    with pytest.raises(UploadLostError):
        uploads.put_part(KEY, "u", 1, b"x")
    with pytest.raises(UploadLostError):
        uploads.finish(KEY, "u", [part])
    # It is gone because it was finished before: the file is there.
    S3Files(moto_client, BUCKET).put(KEY, b"x", "text/csv")
    uploads.finish(KEY, "u", [part])


def test_the_file_has_its_type_and_its_name(moto_client: S3Client) -> None:
    bucket = Bucket(S3Files(moto_client, BUCKET), S3Uploads(moto_client, BUCKET))
    upload = bucket.begin()
    bucket.uploads.finish(KEY, upload, [bucket.uploads.put_part(KEY, upload, 1, b"x")])
    head = moto_client.head_object(Bucket=BUCKET, Key=KEY)
    assert head["ContentType"] == "text/csv"


def test_s3_is_told_the_names_and_checksums(
    moto_client: S3Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: dict[str, Any] = {}

    def watch(name: str) -> None:
        real = getattr(moto_client, name)

        def call(**arguments: Any) -> Any:
            told[name] = arguments
            return real(**arguments)

        monkeypatch.setattr(moto_client, name, call)

    watch("create_multipart_upload")
    watch("complete_multipart_upload")
    uploads = S3Uploads(moto_client, BUCKET)
    upload = uploads.begin(KEY, "text/csv", download_name="Tässe.csv")
    part = uploads.put_part(KEY, upload, 1, b"x")
    uploads.finish(KEY, upload, [part])
    disposition = told["create_multipart_upload"]["ContentDisposition"]
    assert disposition == "attachment; filename=\"T_sse.csv\"; filename*=UTF-8''T%C3%A4sse.csv"
    assert told["create_multipart_upload"]["ChecksumAlgorithm"] == "SHA256"
    parts = told["complete_multipart_upload"]["MultipartUpload"]["Parts"]
    assert parts == [{"PartNumber": 1, "ETag": part.etag, "ChecksumSHA256": part.sha256}]


def test_a_bucket_that_does_not_answer_is_our_own_trouble(
    moto_client: S3Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    uploads = S3Uploads(moto_client, BUCKET)

    def out(**_: Any) -> Any:
        raise EndpointConnectionError(endpoint_url="https://secret.example")

    for verb in ("create", "complete", "abort"):
        monkeypatch.setattr(moto_client, f"{verb}_multipart_upload", out)
    monkeypatch.setattr(moto_client, "upload_part", out)
    part = Part(etag="e", sha256="s")
    for call in (
        lambda: uploads.begin(KEY, "text/csv", download_name="x"),
        lambda: uploads.put_part(KEY, "u", 1, b"x"),
        lambda: uploads.finish(KEY, "u", [part]),
        lambda: uploads.abort(KEY, "u"),
    ):
        with pytest.raises(StoreUnavailableError) as caught:
            call()
        assert "secret" not in str(caught.value)


def test_an_error_within_an_answer_of_success_is_an_error(
    moto_client: S3Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """S3 sends 200 before it has finished; botocore makes a 500 of an error that follows."""

    def late(**_: Any) -> Any:
        raise ClientError({"Error": {"Code": "InternalError"}}, "CompleteMultipartUpload")

    monkeypatch.setattr(moto_client, "complete_multipart_upload", late)
    with pytest.raises(StoreUnavailableError):
        S3Uploads(moto_client, BUCKET).finish(KEY, "u", [Part(etag="e", sha256="s")])
