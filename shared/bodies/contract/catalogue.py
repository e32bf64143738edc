"""Routes about what jobs are made of: templates."""

from shared.bodies.catalogue import NewTemplateBody, TemplateBody
from shared.bodies.requests import ShopQuery
from shared.bodies.route import Route

ROUTES = (
    Route(
        method="GET",
        path="/api/templates",
        name="listTemplates",
        summary="List the shop's templates.",
        query=ShopQuery,
        answers={200: "TemplatesAnswer"},
    ),
    Route(
        method="POST",
        path="/api/templates",
        name="createTemplate",
        summary="Make a template (at most 100) for jobs and batches, used by its templateId.",
        query=ShopQuery,
        body=NewTemplateBody,
        answers={201: "TemplateAnswer"},
        errors=(409, 413),
        once=True,
    ),
    Route(
        method="GET",
        path="/api/templates/{templateId}",
        name="readTemplate",
        summary="Read a template.",
        query=ShopQuery,
        answers={200: "TemplateAnswer"},
        errors=(404,),
    ),
    Route(
        method="PATCH",
        path="/api/templates/{templateId}",
        name="changeTemplate",
        summary="Change a template; what is left out stays. Jobs made with it stay as they are.",
        query=ShopQuery,
        body=TemplateBody,
        answers={200: "TemplateAnswer"},
        errors=(404, 413),
    ),
    Route(
        method="DELETE",
        path="/api/templates/{templateId}",
        name="deleteTemplate",
        summary="Delete a template. Jobs made with it stay as they are.",
        query=ShopQuery,
        answers={200: "DoneAnswer"},
        errors=(404,),
    ),
)
