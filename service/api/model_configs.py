"""/api/governance/model-configs: limits of models, for everybody or for one virtual key."""

from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from service.admin import model_configs as admin
from service.api.answers import json_answer
from service.api.bodies import parse_body, parse_update
from service.api.paging import envelope, page_of
from service.api.rendering.snapshot import in_parts, shown_model_config
from service.api.routes import route
from service.api.services import Services, services_of
from service.entities import Kind
from service.models.model_configs import CreateModelConfigRequest, UpdateModelConfigRequest
from service.store.keys import Ref
from service.store.snapshot import read


async def list_model_configs(request: Request) -> Response:
    params = request.query_params
    page = page_of(params, "search", "scope", "provider")
    found = await admin.find_configs(
        services_of(request).store,
        page,
        scope=params.get("scope", ""),
        provider=params.get("provider", ""),
        search=params.get("search", ""),
    )
    rows = await in_parts(shown_model_config(found.snapshot, config_id) for config_id in found.ids)
    return json_answer(envelope("model_configs", rows, page, found.total))


async def create_model_config(request: Request) -> Response:
    services = services_of(request)
    config_id = await admin.create(services.store, await parse_body(request, CreateModelConfigRequest))
    return json_answer({"message": "Model config created successfully", "model_config": await _shown(services, config_id)})


async def get_model_config(request: Request) -> Response:
    return json_answer({"model_config": await _shown(services_of(request), request.path_params["mc_id"])})


async def update_model_config(request: Request) -> Response:
    services = services_of(request)
    config_id: str = request.path_params["mc_id"]
    wanted = await parse_update(request, UpdateModelConfigRequest, lambda: _shown(services, config_id))
    await admin.update(services.store, config_id, wanted)
    return json_answer({"message": "Model config updated successfully", "model_config": await _shown(services, config_id)})


async def delete_model_config(request: Request) -> Response:
    await admin.delete(services_of(request).store, request.path_params["mc_id"])
    return json_answer({"message": "Model config deleted successfully"})


async def _shown(services: Services, config_id: str) -> dict[str, Any]:
    shown = shown_model_config(await read(services.store, [Ref(Kind.MODEL_CONFIG, config_id)]), config_id)
    if shown is None:
        raise admin.not_found(config_id)
    return shown


ROUTES: Final = [
    route("/model-configs", GET=list_model_configs, POST=create_model_config),
    route("/model-configs/{mc_id}", GET=get_model_config, PUT=update_model_config, DELETE=delete_model_config),
]
