"""ministack, the local AWS: started on loopback with an environment of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from local.stack.processes import LOOPBACK, ChildProcess, clean_environment

REGION = "us-east-1"
DEPLOYER_KEY = "test"
"""ministack's administrator (both key and secret), also with AUTH=1. Not a secret."""


def start_emulator(
    port: int, *, log_path: Path, unpack_dir: Path, enforce_policies: bool, keep_dir: Path | None
) -> ChildProcess:
    """Start ministack on 127.0.0.1:``port`` and return when it answers.

    Parameters
        unpack_dir: where the functions' packages are unpacked; of no use afterwards.
        enforce_policies: refuse what the roles' policies do not allow.
        keep_dir: where tables, queues, secrets and objects survive a graceful stop;
            None keeps everything in memory.
    """
    settings = {
        "GATEWAY_PORT": str(port),
        "BIND_HOST": LOOPBACK,
        "MINISTACK_HOST": LOOPBACK,
        "MINISTACK_REGION": REGION,
        "SFTP_ENABLED": "0",
        "IOT_MTLS_ENABLED": "0",
        "AUTH": "true" if enforce_policies else "false",
        "TMPDIR": str(unpack_dir),
        # The functions inherit all of this: nothing of the developer's own AWS set-up.
        "HOME": str(unpack_dir),
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    if keep_dir is not None:
        settings |= {
            "PERSIST_STATE": "1",
            "S3_PERSIST": "1",
            "STATE_DIR": str(keep_dir / "state"),
            "S3_DATA_DIR": str(keep_dir / "s3"),
        }
    emulator = ChildProcess(
        "ministack",
        "ministack",
        environment=clean_environment(**settings),
        log_path=log_path,
    )
    try:
        emulator.wait_until_ready(f"{endpoint_of(port)}/_ministack/health")
    except BaseException:
        emulator.stop()
        raise
    return emulator


def endpoint_of(port: int) -> str:
    """Return the address of the emulator's AWS APIs."""
    return f"http://{LOOPBACK}:{port}"


def aws_client(endpoint: str, service: str) -> Any:
    """Return a boto3 client that talks to the emulator as its administrator."""
    session = boto3.Session(
        aws_access_key_id=DEPLOYER_KEY,
        aws_secret_access_key=DEPLOYER_KEY,
        region_name=REGION,
    )
    config = Config(
        connect_timeout=5, read_timeout=90, retries={"total_max_attempts": 1}, proxies={}
    )
    return session.client(service, endpoint_url=endpoint, config=config)  # type: ignore[call-overload]
