"""AWS's side of a function: one TLS endpoint on loopback that answers, and notes every call.

It keeps nothing: each call is answered with what the bench has laid ready, so that every event
finds the same job in the same state.
"""

from __future__ import annotations

import hashlib
import json
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

import botocore
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

HOST: Final = "localhost"

type Answer = Callable[[Mapping[str, Any]], Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Call:
    """One call. operation: as `dynamodb.GetItem`."""

    operation: str
    request: Mapping[str, Any]


@dataclass(slots=True)
class Aws:
    """The endpoint. calls: every call so far, in order. bundle: the certificates to trust."""

    url: str
    bundle: Path
    calls: list[Call] = field(default_factory=list)

    @property
    def operations(self) -> list[str]:
        """The names of the calls, in order."""
        return [call.operation for call in self.calls]


@contextmanager
def aws_service(answers: Mapping[str, Answer], folder: Path) -> Iterator[Aws]:
    """Answer calls until the block ends.

    Parameters: `answers` by operation; what is not in it is answered with an empty object.
    `folder` is for the endpoint's certificate.
    """
    certificate, key = _make_certificate(folder)
    server = _Server(("127.0.0.1", 0), _Call)
    server.answers = answers
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server.context = context
    found = Aws(f"https://{HOST}:{server.server_address[1]}", _bundle(folder, certificate))
    server.aws = found
    serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    serving.start()
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()
        serving.join()


def nothing(_: Mapping[str, Any]) -> Mapping[str, Any]:
    """Answer what needs no answer."""
    return {}


def sent_messages(request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Answer SendMessageBatch: all of them were taken."""
    taken = [
        {
            "Id": entry["Id"],
            "MessageId": "00000000-0000-4000-8000-000000000001",
            "MD5OfMessageBody": hashlib.md5(entry["MessageBody"].encode()).hexdigest(),
        }
        for entry in request["Entries"]
    ]
    return {"Successful": taken}


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    answers: Mapping[str, Answer]
    aws: Aws
    context: ssl.SSLContext


# As in the header X-Amz-Target → as we call it.
_SERVICES: Final = {
    "DynamoDB_20120810": "dynamodb",
    "AmazonSQS": "sqs",
    "secretsmanager": "secretsmanager",
}


class _Call(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def setup(self) -> None:
        # In the connection's own thread: another one need not wait for this handshake.
        self.request = self.server.context.wrap_socket(self.request, server_side=True)
        super().setup()

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        target, _, name = self.headers["X-Amz-Target"].partition(".")
        call = Call(f"{_SERVICES[target]}.{name}", json.loads(body))
        self.server.aws.calls.append(call)
        answer = self.server.answers.get(call.operation, nothing)(call.request)
        text = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/x-amz-json-1.0")
        self.send_header("x-amzn-RequestId", "BENCH")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's
        """Say nothing."""


def _bundle(folder: Path, certificate: Path) -> Path:
    """Write the certificates that botocore trusts, and the endpoint's: reading them is a part of
    a function's first call."""
    stock = Path(botocore.__file__).parent / "cacert.pem"
    bundle = folder / "bundle.pem"
    bundle.write_bytes(stock.read_bytes() + b"\n" + certificate.read_bytes())
    return bundle


def _make_certificate(folder: Path) -> tuple[Path, Path]:
    """Make a certificate for loopback that vouches for itself; return its file and its key's."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, HOST)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(HOST)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate_path, key_path = folder / "endpoint.pem", folder / "endpoint-key.pem"
    certificate_path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    key_path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return certificate_path, key_path
