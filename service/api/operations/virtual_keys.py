"""The operations on virtual keys, and the one by which a key reads its quota."""

from service.api.operations.operation import (
    FROM_MEMORY,
    PAGING,
    SEARCH,
    Answer,
    Operation,
    change,
    creation,
    in_path,
    in_query,
    listing,
    reading,
    removal,
    switch,
)
from service.models.responses import QuotaError
from service.models.virtual_key_responses import (
    ListVirtualKeysResponse,
    VirtualKeyEnvelope,
    VirtualKeyQuotaResponse,
    VirtualKeyResponse,
)
from service.models.virtual_keys import CreateVirtualKeyRequest, UpdateVirtualKeyRequest

_ALL = "/api/governance/virtual-keys"
_ONE = "/api/governance/virtual-keys/{vk_id}"
_ID = in_path("vk_id", "Virtual key ID")

OPERATIONS = (
    listing(
        "listVirtualKeys",
        _ALL,
        "virtual keys",
        ListVirtualKeysResponse,
        FROM_MEMORY,
        *PAGING,
        SEARCH,
        in_query("team_id", "Only keys of this team; with customer_id, of either."),
        in_query("customer_id", "Only keys of this customer; with team_id, of either."),
        in_query("sort_by", "name, budget_spent, created_at or status; anything else counts as created_at."),
        in_query("order", "desc, in any letter case; anything else, or no sort_by, counts as ascending."),
        switch("export", "True: a page may have 10,000 entries."),
        refuses=True,
        description="Virtual keys as configured, oldest first. All of them until a paging or filter parameter is sent.",
    ),
    creation(
        "createVirtualKey",
        _ALL,
        "virtual key",
        CreateVirtualKeyRequest,
        VirtualKeyResponse,
        description="Makes a key with a new secret. Every answer about the key shows it to admins.",
    ),
    Operation(
        id="getVirtualKeyQuota",
        method="get",
        path="/api/governance/virtual-keys/quota",
        summary="Get virtual key quota",
        description="What the virtual key that is presented may still use. The key is the credential: an admin's is neither "
        "needed nor enough. Reading consumes nothing.",
        answers={
            200: Answer(description="Successful response", schema=VirtualKeyQuotaResponse),
            401: Answer(description="Missing or invalid virtual key", schema=QuotaError, headers=("WWW-Authenticate",)),
            403: Answer(description="The virtual key has expired", schema=QuotaError),
        },
        errors=(500, 503),
        security=("VirtualKeyAuth", "BearerAuth", "ApiKeyAuth"),
    ),
    reading("getVirtualKey", _ONE, "virtual key", VirtualKeyEnvelope, _ID, FROM_MEMORY, description="A virtual key by its ID."),
    change(
        "updateVirtualKey",
        _ONE,
        "virtual key",
        UpdateVirtualKeyRequest,
        VirtualKeyResponse,
        _ID,
        description="Changes what is sent; the secret stays.",
    ),
    removal(
        "deleteVirtualKey",
        _ONE,
        "virtual key",
        _ID,
        description="Removes the key with its limits and model configs. Its secret is worthless at once.",
    ),
)
