"""What every function promises: its own role, bounded logs, reasons, and exact settings."""

from __future__ import annotations

import re
from dataclasses import fields
from typing import Any

import pytest

from shared import settings
from shared.providers.base import KeySource
from shared.providers.registry import ADAPTERS
from shared.usecases import audit_sample
from tests.template.stack import (
    CONSUMERS,
    FUNCTIONS,
    ROOT,
    function,
    ids_of_type,
    properties,
    resource,
    template,
)

ABOUT_PROVIDERS = {
    f"{name}_{field.name}".upper()
    for name in ADAPTERS
    for field in fields(settings.ProviderSettings)
}
WITH_PARAMETERS = ("bfl", "fal", "openai", "pikcel", "replicate", "runpod")
POWERTOOLS = {"LOG_LEVEL", "POWERTOOLS_METRICS_NAMESPACE", "POWERTOOLS_SERVICE_NAME"}


def test_the_template_has_exactly_the_functions_that_are_tested_here() -> None:
    assert sorted(ids_of_type("AWS::Serverless::Function")) == sorted(
        f"{name.capitalize()}Function" for name in FUNCTIONS
    )


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_is_packaged_from_its_own_folder_under_one_import_name(name: str) -> None:
    assert function(name)["CodeUri"] == f"functions/{name}/"
    assert function(name)["Handler"] == f"functions.{name}.app.handler"


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_runs_on_the_python_and_processor_of_the_layer(name: str) -> None:
    layer = resource("SharedLayer")
    pages = [{"Ref": "PageLayer"}] if name == "dashboard" else []
    assert function(name)["Layers"] == [{"Ref": "SharedLayer"}, *pages]
    assert layer["Properties"]["CompatibleRuntimes"] == [function(name)["Runtime"]]
    assert layer["Properties"]["CompatibleArchitectures"] == function(name)["Architectures"]
    assert layer["Metadata"]["BuildArchitecture"] == "arm64"
    assert function(name)["Architectures"] == ["arm64"]
    assert function(name)["Runtime"] == "python3.13"


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_variables_of_a_function_are_the_fields_of_its_settings(name: str) -> None:
    model = getattr(settings, f"{name.capitalize()}Settings")
    wanted = {field.name.upper() for field in fields(model)}
    found = set(function(name)["Environment"]["Variables"])
    assert found - POWERTOOLS - ABOUT_PROVIDERS == wanted


def test_what_is_set_about_a_provider_goes_to_the_function_that_needs_it() -> None:
    """A provider need not have parameters; one that has, has all that are of use to it."""
    wanted = {
        "dispatch": {f"{name.upper()}_API_URL" for name in WITH_PARAMETERS},
        "webhook": {
            f"{name.upper()}_{setting}"
            for name in WITH_PARAMETERS
            if ADAPTERS[name].key_source is KeySource.KEY_SET
            for setting in ("JWKS_URL", "USER_ID")
        },
    }
    for name in FUNCTIONS:
        found = set(function(name)["Environment"]["Variables"]) & ABOUT_PROVIDERS
        assert found == wanted.get(name, set())


def test_an_address_of_a_provider_is_by_default_what_its_adapter_says() -> None:
    parameters = template()["Parameters"]
    for name in WITH_PARAMETERS:
        adapter = ADAPTERS[name]
        assert parameters[f"{name.capitalize()}ApiUrl"]["Default"] == adapter.access.url
        key_set = parameters.get(f"{name.capitalize()}JwksUrl", {"Default": None})
        assert key_set["Default"] == adapter.key_set_url


def test_the_template_knows_providers_of_the_registry_only() -> None:
    named = {
        found.group(1).lower()
        for parameter in template()["Parameters"]
        if (found := re.fullmatch(r"([A-Z][a-z]+)(ApiUrl|JwksUrl|UserId)", parameter))
    }
    assert named == set(WITH_PARAMETERS)
    assert set(WITH_PARAMETERS) <= set(ADAPTERS)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_says_its_name_in_logs_and_metrics(name: str) -> None:
    variables = function(name)["Environment"]["Variables"]
    assert variables["POWERTOOLS_SERVICE_NAME"] == name
    # A stack of its own: another one in the account counts under the same names.
    assert variables["POWERTOOLS_METRICS_NAMESPACE"] == {"Ref": "AWS::StackName"}
    assert variables["LOG_LEVEL"] == {"Ref": "LogLevel"}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_logs_json_to_a_group_of_its_own_that_forgets(name: str) -> None:
    logging = function(name)["LoggingConfig"]
    group = f"{name.capitalize()}Logs"
    assert logging["LogFormat"] == "JSON"
    assert logging["LogGroup"] == {"Ref": group}
    assert properties(group)["RetentionInDays"] == {"Ref": "LogRetentionDays"}


def test_every_log_group_forgets() -> None:
    groups = ids_of_type("AWS::Logs::LogGroup")
    assert len(groups) == len(FUNCTIONS) + 1  # and the API's access log
    for group in groups:
        assert properties(group)["RetentionInDays"] == {"Ref": "LogRetentionDays"}


def test_a_log_level_that_hides_normal_life_cannot_be_chosen() -> None:
    assert template()["Parameters"]["LogLevel"]["AllowedValues"] == ["DEBUG", "INFO"]


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("setting", ["Timeout", "MemorySize"])
def test_timeout_and_memory_come_with_a_reason(name: str, setting: str) -> None:
    text = (ROOT / "template.yaml").read_text(encoding="utf-8")
    block = text.split(f"  {name.capitalize()}Function:\n")[1].split("\n\n")[0]
    assert re.search(rf"^      {setting}: \d+ # \S+ \S+", block, re.MULTILINE)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_answers_before_whoever_waits_for_it_gives_up(name: str) -> None:
    limits = {"api": 29, "dashboard": 29, "webhook": 29, "sweep": 59, "push": 89}
    limits |= {"bulk": 899, "deliver": 899, "dispatch": 899, "notify": 899}
    assert 0 < function(name)["Timeout"] <= limits[name]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_change_of_a_function_publishes_a_version(name: str) -> None:
    assert function(name)["AutoPublishAlias"] == "live"
    assert function(name)["AutoPublishAliasAllProperties"] is True
    for layer in function(name)["Layers"]:
        assert properties(layer["Ref"])["PublishLambdaVersion"] is True


@pytest.mark.parametrize("name", FUNCTIONS)
def test_exactly_the_functions_that_feed_themselves_may_loop(name: str) -> None:
    sends_to_itself = name in CONSUMERS
    assert (function(name).get("RecursiveLoop") == "Allow") is sends_to_itself


def test_one_sweep_runs_at_a_time_every_minute_and_is_not_repeated() -> None:
    sweep = function("sweep")
    assert sweep["ReservedConcurrentExecutions"] == 1
    # An invocation that had to wait for the run before it would only delay the next minute's.
    assert sweep["EventInvokeConfig"] == {
        "MaximumRetryAttempts": 0,
        "MaximumEventAgeInSeconds": 60,
    }
    (event,) = sweep["Events"].values()
    assert event == {"Type": "Schedule", "Properties": {"Schedule": "rate(1 minute)"}}


def test_an_audit_runs_every_hour_and_is_not_repeated() -> None:
    bulk = function("bulk")
    schedules = [event for event in bulk["Events"].values() if event["Type"] == "Schedule"]
    assert schedules == [{"Type": "Schedule", "Properties": {"Schedule": "rate(1 hour)"}}]
    assert bulk["EventInvokeConfig"] == {"MaximumRetryAttempts": 0}
    assert bulk["Timeout"] > audit_sample.BUDGET_S


@pytest.mark.parametrize("name", FUNCTIONS)
def test_no_variable_of_a_function_holds_a_secret(name: str) -> None:
    hidden = {key for key, each in template()["Parameters"].items() if each.get("NoEcho")}
    assert hidden
    assert not hidden & set(_references(function(name)["Environment"]))


def test_the_functions_behind_the_api_do_not_refer_to_it() -> None:
    # The API's definition names both functions: a reference back would be a circle.
    for name in ("api", "dashboard", "webhook"):
        assert "HttpApi" not in _references(function(name)["Environment"])


def test_callbacks_go_to_the_stacks_own_api_unless_told_otherwise() -> None:
    assert function("dispatch")["Environment"]["Variables"]["PUBLIC_URL"] == {
        "Fn::If": ["HasPublicUrl", {"Ref": "PublicUrl"}, {"Fn::GetAtt": ["HttpApi", "ApiEndpoint"]}]
    }
    assert template()["Parameters"]["PublicUrl"]["Default"] == ""


def _references(value: Any) -> list[str]:
    """Return the logical ids and parameters that a value names anywhere inside."""
    if isinstance(value, dict):
        own = [value["Ref"]] if "Ref" in value else []
        own += [value["Fn::GetAtt"][0]] if "Fn::GetAtt" in value else []
        own += re.findall(r"\$\{([^.}]+)", str(value["Fn::Sub"])) if "Fn::Sub" in value else []
        return own + [name for each in value.values() for name in _references(each)]
    if isinstance(value, list):
        return [name for each in value for name in _references(each)]
    return []
