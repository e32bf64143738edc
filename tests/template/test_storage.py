"""What the table, the bucket and the secrets promise."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from shared.domain.ids import JobRef
from shared.domain.storage import EXPORTS_KEPT_FOR, EXPORTS_PREFIX, job_folder
from tests.template.stack import ids_of_type, properties, resource, template

BY_TABLES_SORT_KEY = (
    "agent", "batch", "day", "product", "project", "push", "status", "tool", "type",
)  # fmt: skip

SECRETS = {
    "SigningSecret": {
        "PIKCEL_WEBHOOK_SECRET": "${PikcelWebhookSecret}",
        "REPLICATE_WEBHOOK_SECRET": "${ReplicateWebhookSecret}",
        "OPENAI_WEBHOOK_SECRET": "${OpenaiWebhookSecret}",
        "WORKER_WEBHOOK_SECRET": "${WorkerWebhookSecret}",
        "SHOPIFY_API_SECRET": "${ShopifyApiSecret}",
    },
    "ProvidersSecret": {
        "PIKCEL_API_KEY": "${PikcelApiKey}",
        "REPLICATE_API_KEY": "${ReplicateApiKey}",
        "FAL_API_KEY": "${FalApiKey}",
        "RUNPOD_API_KEY": "${RunpodApiKey}",
        "BFL_API_KEY": "${BflApiKey}",
        "OPENAI_API_KEY": "${OpenaiApiKey}",
    },
    "ShopifySecret": {
        "SHOPIFY_API_KEY": "${ShopifyApiKey}",
        "SHOPIFY_API_SECRET": "${ShopifyApiSecret}",
        "SHOPIFY_ACCESS_TOKEN": "${ShopifyAccessToken}",
    },
    "AdminSecret": {"ADMIN_API_KEYS": "${AdminApiKeys}"},
}
MORE = {"SigningSecret": "MoreWebhookSecrets", "ProvidersSecret": "MoreApiKeys"}


@pytest.mark.parametrize("logical_id", ["Table", "OutputBucket", "OutputBucketPolicy", "AppSecret"])
def test_what_cannot_be_made_again_outlives_the_stack(logical_id: str) -> None:
    assert resource(logical_id)["DeletionPolicy"] == "Retain"
    assert resource(logical_id)["UpdateReplacePolicy"] == "Retain"


def test_the_table_is_paid_by_use_encrypted_recoverable_and_forgets() -> None:
    table = properties("Table")
    assert table["BillingMode"] == "PAY_PER_REQUEST"
    assert table["SSESpecification"] == {"SSEEnabled": True}
    assert table["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
    assert table["TimeToLiveSpecification"] == {"AttributeName": "expires_at", "Enabled": True}
    assert table["StreamSpecification"] == {"StreamViewType": "NEW_AND_OLD_IMAGES"}


def test_the_table_has_pk_and_sk() -> None:
    assert _keys(properties("Table")) == [("pk", "HASH"), ("sk", "RANGE")]


def test_every_index_is_there_from_the_start_and_carries_keys_only() -> None:
    indexes = properties("Table")["GlobalSecondaryIndexes"]
    wanted = {
        f"by_{name}": [(f"{name}_pk", "HASH"), ("sk", "RANGE")] for name in BY_TABLES_SORT_KEY
    }
    wanted["by_due"] = [("due_pk", "HASH"), ("due_at", "RANGE")]
    assert {each["IndexName"]: _keys(each) for each in indexes} == wanted
    assert all(each["Projection"] == {"ProjectionType": "KEYS_ONLY"} for each in indexes)


def test_every_key_is_text_but_the_instant_of_being_due() -> None:
    kinds = {
        each["AttributeName"]: each["AttributeType"]
        for each in properties("Table")["AttributeDefinitions"]
    }
    wanted = dict.fromkeys(["pk", "sk", "due_pk", *(f"{n}_pk" for n in BY_TABLES_SORT_KEY)], "S")
    assert kinds == wanted | {"due_at": "N"}


def test_outputs_are_encrypted_and_private() -> None:
    bucket = properties("OutputBucket")
    (rule,) = bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert rule["ServerSideEncryptionByDefault"]["SSEAlgorithm"] == "AES256"
    assert bucket["PublicAccessBlockConfiguration"] == {
        "BlockPublicAcls": True,
        "BlockPublicPolicy": True,
        "IgnorePublicAcls": True,
        "RestrictPublicBuckets": True,
    }
    assert bucket["OwnershipControls"]["Rules"] == [{"ObjectOwnership": "BucketOwnerEnforced"}]


def test_no_kept_output_is_ever_deleted_by_a_rule() -> None:
    uploads, exports = properties("OutputBucket")["LifecycleConfiguration"]["Rules"]
    assert uploads["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 1}
    assert not [key for key in uploads if "Expiration" in key or "Transition" in key]
    assert exports == {
        "Id": "forget-exports",
        "Status": "Enabled",
        "Prefix": EXPORTS_PREFIX,
        "ExpirationInDays": EXPORTS_KEPT_FOR.days,
    }
    assert not job_folder(JobRef("a.myshopify.com", "x")).startswith(EXPORTS_PREFIX)


def test_the_bucket_is_reached_over_tls_only() -> None:
    policy = properties("OutputBucketPolicy")
    (statement,) = policy["PolicyDocument"]["Statement"]
    assert policy["Bucket"] == {"Ref": "OutputBucket"}
    assert statement["Effect"] == "Deny"
    assert statement["Principal"] == "*"
    assert statement["Action"] == "s3:*"
    assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    assert statement["Resource"] == [
        {"Fn::GetAtt": ["OutputBucket", "Arn"]},
        {"Fn::Sub": "${OutputBucket.Arn}/*"},
    ]


def test_there_is_one_secret_per_audience() -> None:
    assert sorted(ids_of_type("AWS::SecretsManager::Secret")) == sorted([*SECRETS, "AppSecret"])


@pytest.mark.parametrize("logical_id", SECRETS)
def test_a_secret_is_a_flat_object_of_its_variables(logical_id: str) -> None:
    text = properties(logical_id)["SecretString"]["Fn::Sub"]
    assert json.loads(_with_more(text)) == SECRETS[logical_id]


@pytest.mark.parametrize(("logical_id", "parameter"), MORE.items())
def test_a_provider_without_parameters_of_its_own_has_room_for_its_secrets(
    logical_id: str, parameter: str
) -> None:
    more = ',"FREEPIK_API_KEY":"one,two","FREEPIK_OTHER":"whsec_a+/="'
    pattern = template()["Parameters"][parameter]["AllowedPattern"]
    assert re.fullmatch(pattern, more)
    assert not re.fullmatch(pattern, ',"A":"breaks","json')
    assert not re.fullmatch(pattern, ',"A":"breaks\\","json":""')
    assert template()["Parameters"][parameter]["NoEcho"] is True
    text = properties(logical_id)["SecretString"]["Fn::Sub"]
    assert json.loads(_with_more(text, more)) == SECRETS[logical_id] | {
        "FREEPIK_API_KEY": "one,two",
        "FREEPIK_OTHER": "whsec_a+/=",
    }


def _with_more(text: str, more: str = "") -> str:
    for parameter in MORE.values():
        text = text.replace(f"${{{parameter}}}", more)
    return text


def test_the_apps_own_secret_is_generated_without_the_separator() -> None:
    generated = properties("AppSecret")["GenerateSecretString"]
    assert generated["GenerateStringKey"] == "APP_SECRET"
    assert generated["PasswordLength"] >= 32
    assert generated["ExcludePunctuation"] is True
    assert json.loads(generated["SecretStringTemplate"]) == {}


def _secret_parameters() -> list[str]:
    return sorted({value[2:-1] for secret in SECRETS.values() for value in secret.values()})


# The app's client id lies with its secrets, but is in every page that Shopify's admin shows.
SHOWN = {"ShopifyApiKey"}


@pytest.mark.parametrize("name", _secret_parameters())
def test_a_secret_parameter_is_never_shown(name: str) -> None:
    assert template()["Parameters"][name].get("NoEcho", False) is (name not in SHOWN)


@pytest.mark.parametrize("name", _secret_parameters())
@pytest.mark.parametrize(
    ("value", "is_allowed"),
    [
        ("", True),
        ("sk_live_eu_0123456789", True),
        ("new-value,old-value", True),
        ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw+/=", True),
        ('breaks"json', False),
        ("breaks\\json", False),
        ("pasted with spaces", False),
        ("pasted-with-newline\n", False),
    ],
)
def test_a_secret_parameter_takes_two_values_and_nothing_that_breaks_json(
    name: str, value: str, is_allowed: bool
) -> None:
    pattern = template()["Parameters"][name]["AllowedPattern"]
    # CloudFormation matches the whole value.
    assert bool(re.fullmatch(pattern.removeprefix("^").removesuffix("$"), value)) is is_allowed


def _keys(described: dict[str, Any]) -> list[tuple[str, str]]:
    return [(each["AttributeName"], each["KeyType"]) for each in described["KeySchema"]]
