"""The output bucket, on an imitation of S3."""

import base64
import hashlib
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest
from botocore.exceptions import EndpointConnectionError
from moto import mock_aws

from shared.domain.errors import NotFoundError, StoreUnavailableError
from shared.gateways.aws import AwsClients
from shared.gateways.files import S3Files

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

BUCKET = "outputs"
KEY = "shops/a-shop.myshopify.com/jobs/x/1-0.png"


@pytest.fixture
def client() -> Iterator["S3Client"]:
    with mock_aws():
        client = AwsClients().client("s3")
        client.create_bucket(Bucket=BUCKET)
        yield client


@pytest.fixture
def files(client: "S3Client") -> S3Files:
    return S3Files(client, BUCKET)


def test_what_is_put_can_be_got(files: S3Files) -> None:
    files.put(KEY, b"picture", "image/png")
    assert files.get(KEY) == b"picture"


def test_the_type_and_the_checksum_go_along(
    files: S3Files, client: "S3Client", monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: dict[str, Any] = {}
    put_object = client.put_object

    def spy(**arguments: Any) -> Any:
        sent.update(arguments)
        return put_object(**arguments)

    monkeypatch.setattr(client, "put_object", spy)
    files.put(KEY, b"picture", "image/png")
    digest = base64.b64encode(hashlib.sha256(b"picture").digest()).decode()
    assert sent["ChecksumSHA256"] == digest
    assert client.head_object(Bucket=BUCKET, Key=KEY)["ContentType"] == "image/png"


def test_a_file_that_is_not_there_is_not_found(files: S3Files) -> None:
    with pytest.raises(NotFoundError):
        files.get(KEY)


def test_deleting_what_is_not_there_is_no_error(files: S3Files) -> None:
    files.put(KEY, b"picture", "image/png")
    files.delete([KEY, "shops/other"])
    with pytest.raises(NotFoundError):
        files.get(KEY)


def test_nothing_to_delete_asks_nobody(files: S3Files, client: "S3Client") -> None:
    client.delete_bucket(Bucket=BUCKET)
    files.delete([])


def test_a_link_is_signed_by_version_4_and_lasts_as_asked(files: S3Files) -> None:
    query = parse_qs(urlsplit(files.link(KEY, valid_s=3600)).query)
    assert query["X-Amz-Algorithm"] == ["AWS4-HMAC-SHA256"]
    assert query["X-Amz-Expires"] == ["3600"]
    assert "response-content-disposition" not in query


@pytest.mark.parametrize(
    ("name", "disposition"),
    [
        ("mug.png", "attachment; filename=\"mug.png\"; filename*=UTF-8''mug.png"),
        ("Blüe.png", "attachment; filename=\"Bl_e.png\"; filename*=UTF-8''Bl%C3%BCe.png"),
        ('a"b\\c\r\n.png', "attachment; filename=\"a_b_c__.png\"; filename*=UTF-8''"),
    ],
)
def test_a_download_has_its_name(files: S3Files, name: str, disposition: str) -> None:
    query = parse_qs(urlsplit(files.link(KEY, valid_s=3600, download_name=name)).query)
    [told] = query["response-content-disposition"]
    assert told.startswith(disposition)
    assert "\n" not in told


def test_a_bucket_that_is_missing_is_our_own_trouble(client: "S3Client") -> None:
    files = S3Files(client, "no-such-bucket")
    with pytest.raises(StoreUnavailableError):
        files.put(KEY, b"x", "image/png")
    with pytest.raises(StoreUnavailableError):
        files.get(KEY)
    with pytest.raises(StoreUnavailableError):
        files.delete([KEY])


def test_a_bucket_that_does_not_answer_is_our_own_trouble(
    files: S3Files, client: "S3Client", monkeypatch: pytest.MonkeyPatch
) -> None:
    def out(**_: Any) -> Any:
        raise EndpointConnectionError(endpoint_url="https://secret.example")

    for name in ("put_object", "get_object", "delete_objects"):
        monkeypatch.setattr(client, name, out)
    for call in (
        lambda: files.put(KEY, b"x", "image/png"),
        lambda: files.get(KEY),
        lambda: files.delete([KEY]),
    ):
        with pytest.raises(StoreUnavailableError) as caught:
            call()
        assert "secret" not in str(caught.value)


def test_files_that_could_not_be_deleted_are_said(
    files: S3Files, client: "S3Client", monkeypatch: pytest.MonkeyPatch
) -> None:
    refusal = {"Errors": [{"Key": KEY, "Code": "AccessDenied"}]}
    monkeypatch.setattr(client, "delete_objects", lambda **_: refusal)
    with pytest.raises(StoreUnavailableError, match="AccessDenied"):
        files.delete([KEY])


# --- everything under a prefix -------------------------------------------------------------


def test_all_keys_under_a_prefix_are_told_page_by_page(
    files: S3Files, client: "S3Client", monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = [f"shops/a/{name}" for name in ("1.png", "2 ü.png", "3.png")]
    for key in (*mine, "shops/ab/1.png"):
        files.put(key, b"x", "image/png")
    monkeypatch.setattr(client, "list_objects_v2", partial(client.list_objects_v2, MaxKeys=2))
    assert files.keys("shops/a/") == mine
    assert files.keys("shops/b/") == []


def test_what_is_found_under_a_prefix_is_removed_for_good(files: S3Files) -> None:
    mine = [f"shops/a/{name}" for name in ("1.png", "a folder/ü+%2F?.csv", "ü/2.png")]
    for key in (*mine, "shops/ab/1.png", "other"):
        files.put(key, b"x", "image/png")
    assert len(files.find("shops/a/", limit=2)) == 2
    names = files.find("shops/a/", limit=10)
    assert sorted(names) == sorted(f"null/{key}" for key in mine)
    for _ in range(2):
        files.remove(names)
    assert files.find("shops/a/", limit=10) == []
    assert (files.get("shops/ab/1.png"), files.get("other")) == (b"x", b"x")


def test_should_versions_be_kept_they_go_too_and_the_marks_of_deletions(
    files: S3Files, client: "S3Client"
) -> None:
    files.put("shops/a/1.png", b"before versions", "image/png")
    status: Any = {"Status": "Enabled"}
    client.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration=status)
    files.put("shops/a/1.png", b"after", "image/png")
    files.put("shops/a/2.png", b"x", "image/png")
    files.delete(["shops/a/1.png", "shops/a/2.png"])
    names = files.find("shops/a/", limit=10)
    assert len(names) == 5
    files.remove(names)
    assert files.find("shops/a/", limit=10) == []
    left = client.list_object_versions(Bucket=BUCKET)
    assert [*left.get("Versions", ()), *left.get("DeleteMarkers", ())] == []


def test_a_bucket_that_does_not_answer_hides_no_files(
    files: S3Files, client: "S3Client", monkeypatch: pytest.MonkeyPatch
) -> None:
    def out(**_: Any) -> None:
        raise EndpointConnectionError(endpoint_url="https://s3.example")

    monkeypatch.setattr(client, "list_object_versions", out)
    monkeypatch.setattr(client, "list_objects_v2", out)
    with pytest.raises(StoreUnavailableError):
        files.find("shops/a/", limit=10)
    with pytest.raises(StoreUnavailableError):
        files.keys("shops/a/")
