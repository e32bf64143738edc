"""What people send to act on many jobs, and to make batches."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field

from shared.bodies.requests import (
    AltText,
    CursorQuery,
    Id,
    Input,
    Instant,
    JobConditions,
    Object,
    PageSize,
    ProductId,
    PushOutputs,
    Title,
    Url,
    VariantId,
    soon,
)
from shared.domain.batch import MAX_IMAGES, BatchStatus
from shared.usecases.start_bulk import MAX_IDS


def _truth(value: object) -> object:
    """Read the words that form data have for true and false."""
    return {"true": True, "false": False}.get(value, value) if isinstance(value, str) else value


class ActionBody(Input):
    """Which job, or which jobs: exactly one of jobId, jobIds and filter."""

    model_config = ConfigDict(strict=True)

    job_id: Id | None = None
    job_ids: Annotated[list[Id], Field(min_length=1, max_length=MAX_IDS)] | None = None
    filter: JobConditions | None = Field(None, description="As in the query of the list.")
    dry_run: Annotated[bool, BeforeValidator(_truth)] = Field(
        False,
        description="Change nothing: tell what would be done, to at most 1,000 jobs, and what "
        "retries are expected to cost.",
    )


class ExportBody(Input):
    """Which jobs: at most one of jobIds and filter; without either, all of the shop."""

    model_config = ConfigDict(strict=True)

    job_ids: Annotated[list[Id], Field(min_length=1, max_length=MAX_IDS)] | None = None
    filter: JobConditions | None = Field(None, description="As in the query of the list.")
    format: Literal["csv"] = "csv"


class BatchImage(Input):
    """One image of a batch."""

    model_config = ConfigDict(strict=True)

    input_image_url: Url
    product_id: ProductId | None = None
    product_title: Title | None = None
    variant_id: VariantId | None = None
    image_id: Id | None = None
    name: Title | None = None
    alt_text: AltText | None = None
    metadata: Object | None = None


class BatchBody(Input):
    """A batch: one tool, many images; a job for each."""

    model_config = ConfigDict(strict=True)

    tool_id: Id | None = Field(None, description="Required, here or in the template.")
    images: Annotated[list[BatchImage], Field(min_length=1, max_length=MAX_IMAGES)]
    name: Title | None = None
    parameters: Object | None = Field(None, description="At most 64 KB of JSON.")
    priority: Literal["low", "normal", "high", "urgent"] | None = None
    provider: Id | None = None
    project_id: Id | None = None
    template_id: Id | None = Field(
        None,
        description="A template of the shop's, for what is not given here; or of the provider's.",
    )
    auto_push: bool | None = Field(None, description="Else the shop's setting, else false.")
    push_outputs: PushOutputs | None = Field(None, description="Of each job, as of a single one.")
    scheduled_at: Annotated[Instant, AfterValidator(soon)] | None = Field(
        None, description="When its jobs start; at once if not given."
    )

    def common(self) -> dict[str, Any]:
        """Return what all jobs share, named as fields of NewJob."""
        return self.model_dump(exclude_none=True, exclude={"images", "name"})


class BatchesQuery(CursorQuery):
    """Which batches. A filtered page may be shorter than limit, even empty."""

    status: BatchStatus | None = None
    limit: PageSize = 20


class ExportQuery(JobConditions, CursorQuery):
    """Which jobs, as in the list; 5,000 rows at most, the rest by the cursor."""
