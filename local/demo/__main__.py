"""`make demo`: photos through the whole pipeline on this machine.

Environment: ``ONCE=1`` (exit when it is over: 0 if every job ended as expected, else 1),
``PHOTOS=dir`` (one's own JPEG, PNG and WebP files), ``PROVIDER=replicate`` or ``fal`` (through
whom they go; PikcelAI if nothing is said), ``PORT`` (8787; 0 takes free ones).
"""

from __future__ import annotations

import io
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import httpx

from local.demo.cases import CASES, SHOP, SHOPS, assign
from local.demo.clients import DemoError, Provider, Shopify, ShopPage, Web
from local.demo.evidence import Evidence, collect
from local.demo.photos import PhotosError, Picture, own_pictures, pictures_in
from local.demo.proofs import Proof, prove
from local.demo.providers import PIKCEL, DemoProvider, provider_named
from local.demo.screen import list_of, table, viewer_for
from local.demo.story import Places, Sent, Story, StuckError
from local.foreground import end_on_signals, forget_aws_profile
from local.stack import DEFAULT_PORT, Stack, StackError, StackInfo, running_stack
from local.stack.processes import PROJECT_ROOT
from local.stack.settings import port_in

STATE_DIR = PROJECT_ROOT / ".local"
INTERRUPTED = 130
# A duplicate may still be on its way when the last image is on its product.
SETTLE_S = 15.0
LOG_LINES = 12


def main(
    environment: Mapping[str, str] = os.environ,
    *,
    state_dir: Path = STATE_DIR,
) -> int:
    """Run the demo; return the exit code."""
    forget_aws_profile()
    end_on_signals()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
    is_once = environment.get("ONCE", "0") not in ("", "0")
    folder = environment.get("PHOTOS")
    result = INTERRUPTED
    try:
        provider = provider_named(environment.get("PROVIDER") or PIKCEL.name)
        photos = Path(folder).expanduser().resolve() if folder else None
        pictures = pictures_in(photos) if photos else own_pictures()
        with running_stack(
            port_in(environment, DEFAULT_PORT),
            # No custom app's token: the shops are installed by token exchange.
            settings={"SHOPIFY_ACCESS_TOKEN": ""},
            photos=photos,
            state_dir=state_dir,
        ) as stack:
            result = _perform(stack, pictures, provider)
            if not is_once:
                print(_how_to_go_on(stack.info, provider), flush=True)
                stack.stay_up()
    except KeyboardInterrupt:
        print("\nStopped. Nothing is left running.")
    except (StackError, PhotosError, DemoError) as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    return result


def _perform(stack: Stack, pictures: Sequence[Picture], provider: DemoProvider) -> int:
    """Tell the whole story on the running stack; return 0 if it ended as expected, else 1."""
    begun = time.monotonic()
    assignments = assign(pictures, f"{provider.url_in(stack.info)}/photos", provider.cases)
    # trust_env off: a proxy of the machine must not see, or refuse, loopback traffic.
    with httpx.Client(timeout=40.0, trust_env=False) as client:
        places = places_of(stack.info, client, provider)
        print(_opening(stack.info, len(pictures), provider))
        try:
            sent = Story(places, assignments, viewer_for(sys.stdout)).run()
            evidence, proofs = _settle(lambda: collect(places, sent, client))
        except DemoError as error:
            stuck = error.jobs if isinstance(error, StuckError) else ()
            print(f"\n{error}\n{_explain(stack, places, stuck)}", file=sys.stderr, flush=True)
            return 1
        print(f"\n{table(evidence)}\n\n{list_of(proofs)}\n", flush=True)
        return _verdict(stack, places, evidence, proofs, time.monotonic() - begun)


def _opening(info: StackInfo, photos: int, provider: DemoProvider) -> str:
    """Say what is about to happen, and what is left out because the provider has no such thing."""
    labels = {case.kind: case.label for case in CASES}
    lines = [
        f"The stack is up: {info.api_url}. Sending {photos} photos through {provider.label}.",
        *(f"  Left out, “{labels[kind]}”: {why}." for kind, why in provider.left_out.items()),
    ]
    return "\n".join([*lines, ""])


def places_of(info: StackInfo, client: httpx.Client, provider: DemoProvider = PIKCEL) -> Places:
    """Return the clients of a running stack."""
    shopify = Shopify(client, info.shopify_url.removesuffix("/{shop}"))
    api = Web(client, info.api_url)

    def page(shop: str) -> ShopPage:
        return ShopPage(api, lambda: shopify.id_token(shop))

    inside = Provider(client, provider.url_in(info))
    return Places(inside, shopify, {shop: page(shop) for shop in SHOPS}, provider)


def _settle(look: Callable[[], Evidence]) -> tuple[Evidence, tuple[Proof, ...]]:
    """Collect evidence until everything is proven or nothing more can be expected."""
    deadline = time.monotonic() + SETTLE_S
    while True:
        evidence = look()
        proofs = prove(evidence)
        if all(proof.holds for proof in proofs) or time.monotonic() > deadline:
            return evidence, proofs
        time.sleep(0.5)


def _verdict(
    stack: Stack, places: Places, evidence: Evidence, proofs: Sequence[Proof], seconds: float
) -> int:
    failed = [proof for proof in proofs if not proof.holds]
    if not failed:
        print(f"Every job ended as expected, in {seconds:.0f} s.", flush=True)
        return 0
    problems = [problem for proof in failed for problem in proof.problems]
    suspects = [job.sent for job in evidence.jobs if any(job.title in p for p in problems)]
    print(f"Not as expected:\n{list_of(failed)}", file=sys.stderr)
    print(_explain(stack, places, suspects[:3]), file=sys.stderr, flush=True)
    return 1


def _explain(stack: Stack, places: Places, jobs: Sequence[Sent]) -> str:
    """Return the timelines of jobs and what the functions logged of them, or logged last."""
    parts = []
    for each in jobs:
        parts.append(f"\n{each.assignment.picture.title} ({each.shop}, {each.job_id}):")
        parts += _timeline(places.pages[each.shop], each.job_id)
    ids = [each.job_id for each in jobs]
    for name in stack.info.functions:
        lines = [line.strip() for line in stack.function_logs(name) if _is_telling(line)]
        # The webhook function names no job in its log: then the last lines must do.
        about = [line for line in lines if any(job_id in line for job_id in ids)] or lines
        parts.append(f"\nThe last log lines of {name}:")
        parts += [f"  {line[:400]}" for line in about[-LOG_LINES:]]
    return "\n".join(parts)


def _timeline(page: ShopPage, job_id: str) -> list[str]:
    try:
        entries = page.timeline(job_id)
    except DemoError as error:
        # What is wrong with the job may be wrong with the API, too: the logs still follow.
        return [f"  {error}"]
    return [
        f"  {entry['at']}  attempt {entry['attempt']}  {entry['source']}, {entry['outcome']}"
        f"  {entry['to'] or '–'}: {entry['message']}"
        for entry in entries
    ]


def _is_telling(line: str) -> bool:
    """Tell whether a log line is more than Lambda's book-keeping or a metric."""
    return not line.startswith(("START ", "END ", "REPORT ", '{"_aws"'))


def _how_to_go_on(info: StackInfo, provider: DemoProvider) -> str:
    rows = {
        "API": info.api_url,
        "administrator": f"Authorization: Bearer {info.admin_key}",
        "Shopify": f"{info.shopify_url.removesuffix('/{shop}')}/_simulator/shops/{SHOP}/products",
        provider.label: f"{provider.url_in(info)}/_simulator/ledger",
    }
    if _has_page(info.page_url):
        rows["page"] = info.page_url
    lines = [f"  {name:<14}{value}" for name, value in rows.items()]
    curl = (
        f"curl -s '{info.api_url}/api/jobs?limit=3' "
        f"-H 'Authorization: Bearer {info.admin_key}' -H 'X-Shop: {SHOP}'"
    )
    return "\n".join(["\nIt stays up until Ctrl-C.", *lines, f"\n  {curl}"])


def _has_page(url: str) -> bool:
    try:
        answer = httpx.get(url, timeout=10.0, trust_env=False)
    except httpx.HTTPError:
        return False
    return answer.status_code == 200 and "html" in answer.headers.get("content-type", "")


if __name__ == "__main__":
    sys.exit(main())
