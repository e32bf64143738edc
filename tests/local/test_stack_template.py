"""What the laptop's stack reads out of our template, and how it packs our code."""

from __future__ import annotations

import doctest
import io
import zipfile
from pathlib import Path

from local.stack import sam_template
from local.stack.packages import function_package, layer_package
from local.stack.processes import PROJECT_ROOT
from local.stack.repairs import adapted
from local.stack.sam_template import SamTemplate
from local.stack.settings import development_secrets, kept_secrets, settings_in
from tests.local.probe_project import make_probe_project

TEMPLATE = SamTemplate.load(PROJECT_ROOT / "template.yaml")


def test_the_examples_in_the_docstrings_hold() -> None:
    results = doctest.testmod(sam_template)
    assert results.attempted > 0
    assert results.failed == 0


def test_functions_are_called_after_their_folders() -> None:
    names = {function.name for function in TEMPLATE.functions}
    assert {"webhook", "dispatch", "push", "sweep", "api", "notify", "deliver"} <= names
    for function in TEMPLATE.functions:
        assert function.code_dir == PROJECT_ROOT / "functions" / function.name


def test_a_dead_letter_queue_is_called_after_the_queue_it_serves() -> None:
    assert TEMPLATE.queue_names == {
        "bulk": "BulkQueue",
        "bulk-dlq": "BulkDeadLetterQueue",
        "deliver": "DeliverQueue",
        "deliver-dlq": "DeliverDeadLetterQueue",
        "dispatch": "DispatchQueue",
        "dispatch-dlq": "DispatchDeadLetterQueue",
        "notify-dlq": "NotifyDeadLetterQueue",
        "push": "PushQueue",
        "push-dlq": "PushDeadLetterQueue",
    }


def test_adapting_changes_a_copy_and_only_what_the_emulator_cannot_do() -> None:
    before = SamTemplate.load(PROJECT_ROOT / "template.yaml")
    document = adapted(before)
    assert before.document == TEMPLATE.document
    assert document["Resources"].keys() == before.document["Resources"].keys()
    assert before.document["Parameters"]["MetricMath"]["Default"] == "true"
    assert document["Parameters"]["MetricMath"]["Default"] == "false"
    assert "AutoPublishAlias" not in str(document)
    # What names an alias names the function itself, which is all that there is here.
    api = document["Resources"]["ApiFunction"]["Properties"]
    arn = {"Fn::GetAtt": ["WebhookFunction", "Arn"]}
    assert api["Environment"]["Variables"]["WEBHOOK_FUNCTION_ARN"] == arn
    assert ".Alias" not in str(document)
    assert {name for name, _ in SamTemplate(document, PROJECT_ROOT).resources(sam_template.TABLE)}


def test_a_function_carries_its_own_room_only(tmp_path: Path) -> None:
    project = SamTemplate.load(make_probe_project(tmp_path) / "template.yaml")
    webhook = next(each for each in project.functions if each.name == "webhook")
    names = _names(function_package(webhook).content)
    assert {"functions/__init__.py", "functions/webhook/app.py"} <= names
    assert all(name.startswith(("functions/__", "functions/webhook/")) for name in names)


def test_the_pages_files_come_as_a_layer_and_not_with_the_function() -> None:
    dashboard = next(each for each in TEMPLATE.functions if each.name == "dashboard")
    layers = {each.logical_id: each.content_dir for each in TEMPLATE.layers}
    names = _names(function_package(dashboard, layers.values()).content)
    assert "functions/dashboard/app.py" in names
    assert not any("jobs_page" in name for name in names)
    assert "python/jobs_page/index.html" in _names(layer_package(layers["PageLayer"]).content)


def test_every_module_of_the_layer_is_compiled(tmp_path: Path) -> None:
    names = _names(layer_package(make_probe_project(tmp_path) / "shared").content)
    assert "python/shared/probe.py" in names
    assert "python/shared/__pycache__/probe.cpython-313.pyc" in names


def test_equal_code_is_an_equal_package(tmp_path: Path) -> None:
    shared = make_probe_project(tmp_path) / "shared"
    first = layer_package(shared).key
    (shared / "probe.py").touch()
    assert layer_package(shared).key == first
    (shared / "probe.py").write_text("handler = None\n")
    assert layer_package(shared).key != first


def test_settings_come_from_the_variables_that_the_template_knows() -> None:
    environment = {"PIKCEL_API_KEY": "sk_live_1", "APP_SECRET": "s", "PUBLIC_URL": "", "HOME": "/"}
    assert settings_in(environment, TEMPLATE) == {"PIKCEL_API_KEY": "sk_live_1", "APP_SECRET": "s"}


def test_every_development_secret_fits_its_parameter() -> None:
    names = settings_in(dict.fromkeys(development_secrets(), "x"), TEMPLATE)
    assert names.keys() == development_secrets().keys()


def test_a_kept_stack_keeps_its_secrets_and_others_get_new_ones(tmp_path: Path) -> None:
    assert kept_secrets(tmp_path / "a") == kept_secrets(tmp_path / "a")
    assert kept_secrets(tmp_path / "a") != kept_secrets(tmp_path / "b")
    assert kept_secrets(None) != kept_secrets(None)


def _names(archive: bytes) -> set[str]:
    return set(zipfile.ZipFile(io.BytesIO(archive)).namelist())
