"""The logger and the metrics of every function.

One JSON line and one metric per outcome. Nothing here ever sees a secret, a header or a body.
"""

from aws_lambda_powertools.logging import Logger
from aws_lambda_powertools.metrics import EphemeralMetrics, Metrics, MetricUnit

# Service and namespace come from POWERTOOLS_SERVICE_NAME and POWERTOOLS_METRICS_NAMESPACE.
logger = Logger()
metrics = Metrics()


def count(name: str, value: float = 1) -> None:
    """Add to a counter metric."""
    metrics.add_metric(name=name, unit=MetricUnit.Count, value=value)


def seconds(name: str, value: float) -> None:
    """Record a duration in seconds."""
    metrics.add_metric(name=name, unit=MetricUnit.Seconds, value=value)


def completion(provider: str, *, by_poll: bool) -> None:
    """Count a completion towards its provider's share of those that only a poll brought to light.

    On a line of its own, because of all metrics these two alone are kept per provider.

    Shape
        LearntByPoll: 100 or 0; the average is the share in percent.
        PollLead: 1 or -1; the sum is by how many completions the polls are ahead of the
        webhooks: in one number, that they are more than half and that they are not few. An alarm
        on every provider at once is a query, and a query takes one metric only.
    Source: Amazon CloudWatch user guide, "Metrics Insights query components and syntax" and
        "Create a CloudWatch alarm based on a Metrics Insights query", read 2026-11-26.
    """
    line = EphemeralMetrics()
    line.add_dimension("provider", provider)
    line.add_metric("LearntByPoll", MetricUnit.Percent, 100 if by_poll else 0)
    line.add_metric("PollLead", MetricUnit.Count, 1 if by_poll else -1)
    line.flush_metrics()
