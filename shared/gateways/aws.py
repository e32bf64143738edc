"""AWS clients, made by botocore alone: boto3 itself would only add to the cold start."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

from botocore.config import Config
from botocore.session import Session, get_session

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_secretsmanager import SecretsManagerClient
    from mypy_boto3_sqs import SQSClient

# A Lambda that waits costs money and blocks its caller: give up early, try a few times.
# A fixed user agent saves a third of the CPU of every warm call (it is rebuilt otherwise).
_CONFIG = Config(
    connect_timeout=2,
    read_timeout=8,
    retries={"mode": "standard", "total_max_attempts": 3},
    user_agent="job-tracker",
)

# Presigned links would otherwise be signed with the retired version 2 in some regions.
_S3_CONFIG = _CONFIG.merge(Config(signature_version="s3v4"))
# Whoever asks another function waits for as long as that has, and does not ask it twice.
_LAMBDA_CONFIG = _CONFIG.merge(
    Config(read_timeout=20, retries={"mode": "standard", "total_max_attempts": 1})
)
# botocore checks every part of a request before it is sent: a tenth of a webhook's CPU. The two
# that are called with each event check it themselves, and the tests' clients still do it for all
# requests of ours. Not for S3 or Lambda: a missing part of a path would ask for something else.
_UNCHECKED_CONFIG = _CONFIG.merge(Config(parameter_validation=False))
_CONFIGS = {
    "dynamodb": _UNCHECKED_CONFIG,
    "lambda": _LAMBDA_CONFIG,
    "s3": _S3_CONFIG,
    "sqs": _UNCHECKED_CONFIG,
}

# Every client reads the roots that it trusts anew: all 127 of the usual list, three times, were a
# quarter of the webhook's cold start. AWS's endpoints need these five only. Source:
# amazontrust.com/repository, "custom trust stores", read 2026-11-26.
_AMAZON_ROOTS = str(Path(__file__).with_name("amazon_roots.pem"))
# China's endpoints are another company's; what their certificates hang on is not promised.
_CHINA = "cn-"


class AwsClients:
    """One session, one client per service, made when first asked for."""

    def __init__(self, session: Session | None = None) -> None:
        self._session = session or get_session()
        self._made: dict[str, Any] = {}

    @overload
    def client(self, service: Literal["dynamodb"]) -> "DynamoDBClient": ...
    @overload
    def client(self, service: Literal["s3"]) -> "S3Client": ...
    @overload
    def client(self, service: Literal["secretsmanager"]) -> "SecretsManagerClient": ...
    @overload
    def client(self, service: Literal["sqs"]) -> "SQSClient": ...
    @overload
    def client(self, service: Literal["events", "lambda", "sns"]) -> Any: ...
    def client(self, service: str) -> Any:
        """Return the client of a service."""
        if service not in self._made:
            config = _CONFIGS.get(service, _CONFIG)
            self._made[service] = self._session.create_client(
                service, config=config, verify=self._roots()
            )
        return self._made[service]

    def _roots(self) -> str | None:
        """Return the file of trusted roots: the user's own (AWS_CA_BUNDLE), else Amazon's; None
        leaves it to botocore."""
        region: str = self._session.get_config_variable("region") or ""
        own: str | None = self._session.get_config_variable("ca_bundle")
        if own or region.startswith(_CHINA):
            return own
        return _AMAZON_ROOTS
