"""What the laptop's stack is set up with: the developer's settings, or development values.

The settings are those of the template's parameters, by their variable names (``PikcelApiKey`` is
``PIKCEL_API_KEY``), and ``APP_SECRET``, which the template generates itself.
"""

from __future__ import annotations

import base64
import json
import re
import secrets
from collections.abc import Mapping
from pathlib import Path

from local.stack.processes import StackError
from local.stack.sam_template import SamTemplate, variable_name

# The emulator and the simulators take the five ports after it.
LAST_FIRST_PORT = 65_530


def settings_in(environment: Mapping[str, str], template: SamTemplate) -> dict[str, str]:
    """Return the settings that an environment holds; an empty variable is none."""
    names = [*map(variable_name, template.parameters), "APP_SECRET"]
    return {name: environment[name] for name in names if environment.get(name)}


def port_in(environment: Mapping[str, str], default: int) -> int:
    """Return PORT, the first of the stack's six ports; 0 takes free ones.

    Raises StackError when it is not a port with five more after it.
    """
    given = environment.get("PORT") or str(default)
    if not re.fullmatch("[0-9]{1,5}", given, re.ASCII) or int(given) > LAST_FIRST_PORT:
        raise StackError(f"PORT={given}: give a number up to {LAST_FIRST_PORT}, or 0 for any.")
    return int(given)


def development_secrets() -> dict[str, str]:
    """Return new random secrets, in the forms that the real ones have.

    SHOPIFY_ACCESS_TOKEN is not among them: shops are installed by token exchange, unless a
    developer sets one.

    Source: PikcelAI's public client; Shopify's own forms (32 hexadecimal digits,
    ``shpss_`` before a secret); Standard Webhooks 1.0.0.
    """
    return {
        "PIKCEL_API_KEY": f"sk_test_local_{secrets.token_hex(16)}",
        "PIKCEL_WEBHOOK_SECRET": f"whsec_{secrets.token_hex(16)}",
        "REPLICATE_API_KEY": f"r8_local_{secrets.token_hex(16)}",
        "REPLICATE_WEBHOOK_SECRET": _standard_secret(),
        "FAL_API_KEY": f"local:{secrets.token_hex(16)}",
        "RUNPOD_API_KEY": f"rpa_local_{secrets.token_hex(16)}",
        "BFL_API_KEY": f"bfl_local_{secrets.token_hex(16)}",
        "OPENAI_API_KEY": f"sk-local-{secrets.token_hex(16)}",
        "OPENAI_WEBHOOK_SECRET": _standard_secret(),
        "WORKER_WEBHOOK_SECRET": _standard_secret(),
        "SHOPIFY_API_KEY": secrets.token_hex(16),
        "SHOPIFY_API_SECRET": f"shpss_{secrets.token_hex(16)}",
        "ADMIN_API_KEYS": f"admin_{secrets.token_hex(16)}",
        "APP_SECRET": secrets.token_hex(32),
    }


def _standard_secret() -> str:
    return f"whsec_{base64.b64encode(secrets.token_bytes(32)).decode()}"


def kept_secrets(keep_dir: Path | None) -> dict[str, str]:
    """Return the development secrets of a kept stack, made at its first start.

    Stored tokens are encrypted with one of them: new ones would make the kept data unreadable.
    """
    if keep_dir is None:
        return development_secrets()
    path = keep_dir / "development-secrets.json"
    if not path.exists():
        keep_dir.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        path.write_text(json.dumps(development_secrets(), indent=2))
    held: dict[str, str] = json.loads(path.read_text())
    complete = {**development_secrets(), **held}
    if complete.keys() != held.keys():
        # The data is of a time when there were fewer.
        path.write_text(json.dumps(complete, indent=2))
    return complete
