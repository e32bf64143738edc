"""Secrets are read rarely, refreshed on demand, and never shown."""

import json

import pytest
from botocore.stub import Stubber

from shared.domain.errors import SecretUnavailableError
from shared.gateways.aws import AwsClients
from shared.gateways.secrets import SecretsManagerSecrets
from tests.fakes.clock import FakeClock


class World:
    def __init__(self) -> None:
        client = AwsClients().client("secretsmanager")
        self.clock = FakeClock()
        self.stub = Stubber(client)
        self.secrets = SecretsManagerSecrets(client, {"signing": "id-1"}, self.clock)
        self.stub.activate()

    def holds(self, **values: object) -> None:
        self.stub.add_response(
            "get_secret_value", {"SecretString": json.dumps(values)}, {"SecretId": "id-1"}
        )

    def is_out(self, code: str = "InternalServiceError") -> None:
        self.stub.add_client_error("get_secret_value", code)


@pytest.fixture
def world() -> World:
    return World()


def test_a_secret_is_read_once_and_again_after_five_minutes(world: World) -> None:
    world.holds(KEY="one")
    assert world.secrets.get("signing", "KEY") == ("one",)
    world.clock.advance(300)
    assert world.secrets.get("signing", "KEY") == ("one",)
    world.clock.advance(1)
    world.holds(KEY="two")
    assert world.secrets.get("signing", "KEY") == ("two",)


def test_several_values_are_separated_by_commas(world: World) -> None:
    world.holds(KEY=" new, old ,", OTHER=5)
    assert world.secrets.get("signing", "KEY") == ("new", "old")
    assert world.secrets.get("signing", "OTHER") == ()
    assert world.secrets.get("signing", "MISSING") == ()


def test_an_unreadable_secret_is_our_fault_and_is_not_quoted(world: World) -> None:
    world.stub.add_response("get_secret_value", {"SecretString": "whsec_plain"})
    with pytest.raises(SecretUnavailableError) as caught:
        world.secrets.get("signing", "KEY")
    assert "whsec" not in str(caught.value)
    assert caught.value.__cause__ is None
    world.is_out("AccessDeniedException")
    with pytest.raises(SecretUnavailableError):
        world.secrets.get("signing", "KEY")


def test_an_old_copy_is_better_than_an_outage(world: World) -> None:
    world.holds(KEY="one")
    world.secrets.get("signing", "KEY")
    world.clock.advance(301)
    world.is_out()
    assert world.secrets.get("signing", "KEY") == ("one",)


def test_a_refresh_happens_only_when_the_copy_is_old_enough(world: World) -> None:
    world.holds(KEY="one")
    world.secrets.get("signing", "KEY")
    world.clock.advance(30)
    assert not world.secrets.refresh("signing", older_than_s=30)
    world.clock.advance(1)
    world.holds(KEY="two")
    assert world.secrets.refresh("signing", older_than_s=30)
    assert world.secrets.get("signing", "KEY") == ("two",)
    world.clock.advance(31)
    world.is_out()
    assert not world.secrets.refresh("signing", older_than_s=30)


def test_a_service_that_is_out_is_asked_once_in_thirty_seconds(world: World) -> None:
    world.holds(KEY="one")
    world.secrets.get("signing", "KEY")
    world.clock.advance(301)
    world.is_out()
    world.holds(KEY="two")  # which a second call would bring
    for _ in range(3):
        assert world.secrets.get("signing", "KEY") == ("one",)
        assert not world.secrets.refresh("signing", older_than_s=30)
    world.clock.advance(31)
    assert world.secrets.get("signing", "KEY") == ("two",)


def test_a_secret_that_was_never_read_is_asked_for_every_time(world: World) -> None:
    world.is_out()
    with pytest.raises(SecretUnavailableError):
        world.secrets.get("signing", "KEY")
    world.holds(KEY="one")
    assert world.secrets.get("signing", "KEY") == ("one",)
