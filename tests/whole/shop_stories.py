"""What happens to a shop: it is installed, its tokens age and die, it leaves, it is erased."""

from typing import Any

from shared.domain.status import JobStatus
from tests.whole.story import Story
from tests.whole.world import INPUT, SHOP, World

BY_LOGIN = {"has_own_token": False}
AN_HOUR, A_DAY = 3600, 24 * 3600


def _photo(world: World, **changes: Any) -> str:
    body: dict[str, Any] = {
        "toolId": "image-enhancement",
        "inputImageUrl": INPUT,
        "productId": world.new_product(),
        "autoPush": True,
        "projectId": "spring",
    }
    return world.ask("POST", "/api/jobs", body | changes).job_id


def _installed(world: World) -> None:
    """The first login brings the token that the push needs."""
    world.login()
    _photo(world)


def _refreshed(world: World) -> None:
    """A token lives for an hour; the second push must get the next one."""
    world.login()
    _photo(world)
    world.settle()
    world.run_for(2 * AN_HOUR)
    _photo(world)


def _waiting_for_a_login(world: World) -> None:
    job_id = _photo(world)
    world.settle()
    assert world.job(job_id).push.error_code == "shop_not_installed"
    world.login()


def _revived(world: World) -> None:
    """Shopify takes no token of ours any more: the next login brings one that it takes."""
    world.login()
    _photo(world)
    world.settle()
    dead = {"shop": SHOP, "state": "dead"}
    assert world.merchant.put("/_simulator/tokens", json=dead).status_code == 200
    job_id = _photo(world)
    world.settle()
    assert world.job(job_id).push.error_code == "token_dead"
    world.login()


def _uninstalled(world: World) -> None:
    world.login()
    job_id = _photo(world, parameters={"simulate": {"processing_s": 900}})
    world.ask("POST", "/api/jobs", {"name": "A task of ours"})
    while world.job(job_id).status is not JobStatus.PROCESSING:
        world.run_for(5)
    world.hear_from_shopify("app/uninstalled")
    world.settle()
    assert world.ask("GET", "/api/shop").body["shop"]["token"] == "missing"


def _installed_again(world: World) -> None:
    """What waited for a token when the app was uninstalled goes out with the next one."""
    world.login()
    world.hear_from_shopify("app/uninstalled")
    world.run_for(60)
    job_id = _photo(world)
    world.settle()
    assert world.job(job_id).push.error_code == "shop_not_installed"
    world.run_for(A_DAY)
    world.login()


def _erased(world: World) -> None:
    """Nothing is left that names the shop, and a report says what there was."""
    world.login()
    _photo(world, autoPush=False, metadata={"notes": ["kept with the job"] * 200})
    gone = _photo(world, autoPush=False)
    _photo(world, parameters={"simulate": {"fail": {}}})
    world.settle()
    world.ask("DELETE", f"/api/jobs/{gone}")
    world.ask("POST", "/api/shop/keys", {"name": "program"})
    world.ask("PUT", "/api/shop", {"retentionDays": 30, "autoPush": True})
    world.hear_from_shopify("app/uninstalled")
    world.run_for(2 * A_DAY)
    assert world.naming(SHOP) != []
    world.hear_from_shopify("shop/redact")
    world.settle()
    assert world.naming(SHOP) == []
    (report,) = world.ask("GET", "/api/admin/erasures").body["erasures"]
    assert report["status"] == "completed"
    # A call that died may have left one thing more; the job for retention may have been faster.
    least = {"jobs": 3, "keys": 1, "tombstones": 1, "files": 2}
    assert all(report["deleted"][name] >= count for name, count in least.items()), report


def _erased_and_back(world: World) -> None:
    world.login()
    _photo(world, autoPush=False)
    world.settle()
    world.hear_from_shopify("app/uninstalled")
    world.run_for(2 * A_DAY)
    world.hear_from_shopify("shop/redact")
    world.settle()
    world.login()
    _photo(world)


def _retained(world: World) -> None:
    """Kept for a day: the first goes, the second is too young. Then the setting is taken back."""
    _photo(world, autoPush=False)
    world.settle()
    world.ask("PUT", "/api/shop", {"retentionDays": 1})
    world.run_for(A_DAY / 2)
    _photo(world)
    world.run_for(A_DAY)
    world.ask("PUT", "/api/shop", {"retentionDays": None})
    world.run_for(1.5 * A_DAY)


SHOP_STORIES = (
    Story("installed", _installed, BY_LOGIN),
    Story("refreshed", _refreshed, BY_LOGIN, ends=("completed", "pushed", 2)),
    Story("waiting_for_a_login", _waiting_for_a_login, BY_LOGIN),
    Story("revived", _revived, BY_LOGIN, ends=("completed", "pushed", 2)),
    Story("uninstalled", _uninstalled, BY_LOGIN, ends=("cancelled", "none", 0)),
    Story("installed_again", _installed_again, BY_LOGIN),
    Story("erased", _erased, BY_LOGIN, ends=("", "", 0)),
    Story("erased_and_back", _erased_and_back, BY_LOGIN),
    Story("retained", _retained),
)
