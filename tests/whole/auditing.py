"""What our own audit says of a world that has come to rest: there, nothing is in motion."""

from shared import wiring
from shared.domain.audit import Difference
from shared.usecases.audit_job import AuditLane, judge_job
from shared.usecases.audit_shop import look_at_shop
from tests.fakes.memory import InMemoryJobStore
from tests.fakes.memory_samples import InMemorySamples
from tests.whole.world import World


def differences_of(world: World) -> list[str]:
    """Have every job and the counters of every shop judged, once."""
    lane = wiring.bulk_app().audit
    store = world.store
    if isinstance(store, InMemoryJobStore):
        lane = AuditLane(tracker=lane.tracker, samples=InMemorySamples(store), files=lane.files)
    found: list[str] = []
    refs = [job.ref for job in world.jobs()]
    for seen in lane.samples.look(refs):
        found += [_told(seen.ref.job_id, each) for each in judge_job(lane, seen)]
    for shop in sorted({ref.shop for ref in refs}):
        found += [_told(shop, each) for each in look_at_shop(lane, shop, None).differences or ()]
    return found


def _told(whose: str, difference: Difference) -> str:
    return f"audit of {whose}: {difference.what}"
