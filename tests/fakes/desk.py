"""Where workers' reports are read, on files of the test."""

from shared.bodies.worker import read_worker_report
from shared.providers.base import Receiver
from shared.providers.worker import WORKER_RECEIVER
from shared.usecases.ports import Files
from shared.usecases.receive_report import WorkerReport


class FakeDesk:
    """Implements Desk."""

    receiver: Receiver = WORKER_RECEIVER

    def __init__(self, files: Files) -> None:
        self.files = files

    def read(self, body: bytes) -> WorkerReport:
        """Read a report."""
        return read_worker_report(body)
