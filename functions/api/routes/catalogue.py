"""Routes about what jobs are made of: templates."""

from functions.api.calls import Action, Answer, Call
from shared.bodies.catalogue import NewTemplateBody, TemplateBody
from shared.bodies.requests import ShopQuery
from shared.catalogue_representation import template_json
from shared.domain.templates import Template
from shared.usecases.keep_templates import (
    change_template,
    create_template,
    delete_template,
    read_template,
)


def list_templates(call: Call, query: ShopQuery) -> Answer:
    """List the shop's templates."""
    found = call.app.templates.templates(call.caller.require_shop())
    return Answer(body={"success": True, "templates": [template_json(each) for each in found]})


def create(call: Call, query: ShopQuery, body: NewTemplateBody) -> Answer:
    """Make a template."""
    given = body.model_dump(exclude_none=True)
    made = create_template(call.app.tracker, call.app.templates, call.caller, given)
    return _answer(made, status=201)


def read(call: Call, template_id: str, query: ShopQuery) -> Answer:
    """Read a template."""
    return _answer(read_template(call.app.templates, call.caller.require_shop(), template_id))


def change(call: Call, template_id: str, query: ShopQuery, body: TemplateBody) -> Answer:
    """Change a template."""
    app, shop = call.app, call.caller.require_shop()
    changed = change_template(app.tracker, app.templates, shop, template_id, body.changes())
    return _answer(changed)


def delete(call: Call, template_id: str, query: ShopQuery) -> Answer:
    """Delete a template."""
    delete_template(call.app.templates, call.caller.require_shop(), template_id)
    return Answer(body={"success": True})


def _answer(template: Template, status: int = 200) -> Answer:
    return Answer(status=status, body={"success": True, "template": template_json(template)})


ACTIONS: dict[str, Action] = {
    "listTemplates": list_templates,
    "createTemplate": create,
    "readTemplate": read,
    "changeTemplate": change,
    "deleteTemplate": delete,
}
