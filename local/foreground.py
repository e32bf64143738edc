"""What the programs in the foreground share: a tidy environment and a tidy end."""

import os
import signal
from types import FrameType


def forget_aws_profile() -> None:
    """Keep a developer's own AWS set-up out of this process: it must not decide anything."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        del os.environ[name]
    os.environ["AWS_CONFIG_FILE"] = os.environ["AWS_SHARED_CREDENTIALS_FILE"] = os.devnull


def end_on_signals() -> None:
    """Make the first SIGINT or SIGTERM a KeyboardInterrupt, wherever the main thread is."""

    def on_signal(number: int, frame: FrameType | None) -> None:
        # The second signal must not interrupt the tidying up after the first.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise KeyboardInterrupt

    signal.signal(signal.SIGINT, on_signal)
    signal.signal(signal.SIGTERM, on_signal)
