"""Routes about what jobs are made of: products, templates, the provider's tools and credits."""

from shared.bodies.catalogue import NewTemplateBody, ProductsQuery, ProviderQuery, TemplateBody
from shared.bodies.requests import ShopQuery
from shared.bodies.route import Route

ROUTES = (
    Route(
        method="GET",
        path="/api/products",
        name="listProducts",
        summary="A page of the shop's products with their images, from Shopify, by title.",
        query=ProductsQuery,
        answers={200: "ProductsAnswer"},
        errors=(409,),
    ),
    Route(
        method="GET",
        path="/api/tools",
        name="listTools",
        summary="The provider's tools with what it quotes, as it told them at fetchedAt: asked "
        "again when that is over five minutes ago; waits up to 8 s.",
        query=ProviderQuery,
        answers={200: "ToolsAnswer"},
    ),
    Route(
        method="GET",
        path="/api/admin/credits",
        name="readCredits",
        summary="What is left of the account at the provider, which all shops share.",
        query=ProviderQuery,
        answers={200: "CreditsAnswer"},
        for_admins=True,
    ),
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
