"""The kinds of things that others are told of."""

from enum import StrEnum


class NoticeType(StrEnum):
    """What happened."""

    JOB_COMPLETED = "job.completed"
    JOB_FAILED = "job.failed"
    JOB_PUSHED = "job.pushed"
    JOB_PUSH_FAILED = "job.push_failed"
    BATCH_FINISHED = "batch.finished"
    ENDPOINT_DISABLED = "endpoint.disabled"
    # Nothing happened: somebody wants to see whether an endpoint works.
    ENDPOINT_TEST = "endpoint.test"


# What can be asked for.
CHOICES = tuple(each for each in NoticeType if each is not NoticeType.ENDPOINT_TEST)
