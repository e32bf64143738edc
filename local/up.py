"""`make up`: the whole stack in the foreground, until Ctrl-C.

Environment: ``PORT`` (8787; 0 takes free ones), ``AUTH=1`` (enforce the template's IAM
policies), ``KEEP=dir`` (keep state across restarts), and any setting of the README.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from local.foreground import end_on_signals, forget_aws_profile
from local.stack import DEFAULT_PORT, Stack, StackError, running_stack
from local.stack.processes import PROJECT_ROOT
from local.stack.sam_template import SamTemplate
from local.stack.settings import port_in, settings_in

STATE_DIR = PROJECT_ROOT / ".local"


def main(
    environment: Mapping[str, str] = os.environ,
    *,
    state_dir: Path = STATE_DIR,
    project_dir: Path = PROJECT_ROOT,
) -> int:
    """Run the stack until a signal ends it; return the exit code."""
    forget_aws_profile()
    started_at = time.monotonic()
    end_on_signals()
    keep = environment.get("KEEP")
    try:
        with running_stack(
            port_in(environment, DEFAULT_PORT),
            auth=environment.get("AUTH") == "1",
            keep=Path(keep).resolve() if keep else None,
            settings=settings_in(environment, SamTemplate.load(project_dir / "template.yaml")),
            state_dir=state_dir,
            project_dir=project_dir,
        ) as stack:
            print(_summary(stack, state_dir, time.monotonic() - started_at), flush=True)
            stack.stay_up()
    except KeyboardInterrupt:
        print("\nStopped. Nothing is left running.")
    except StackError as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    return 0


def _summary(stack: Stack, state_dir: Path, seconds: float) -> str:
    info = stack.info
    rows = {
        "API": info.api_url,
        "page": info.page_url,
        "administrator": f"Authorization: Bearer {info.admin_key}",
        "PikcelAI": info.pikcel_url,
        "Replicate": info.replicate_url,
        "fal": info.fal_url,
        "Shopify": info.shopify_url,
        "AWS": f"{info.aws_endpoint} ({info.region})",
        "table": info.table_name,
        "details": str(state_dir / "stack.json"),
        "logs": str(state_dir / "logs"),
    }
    lines = [f"  {name:<14}{value}" for name, value in rows.items()]
    return "\n".join([f"Up in {seconds:.1f} s. Ctrl-C ends it.", *lines])


if __name__ == "__main__":
    sys.exit(main())
