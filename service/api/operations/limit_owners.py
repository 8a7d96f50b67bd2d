"""The operations on teams, customers, model configs and provider governance, and the lists of all budgets and rate limits."""

from service.api.operations.operation import (
    FROM_MEMORY,
    LENIENT_PAGING,
    PAGING,
    SEARCH,
    change,
    creation,
    in_path,
    in_query,
    listing,
    reading,
    removal,
)
from service.models.budgets import ListBudgetsResponse
from service.models.customers import (
    CreateCustomerRequest,
    CustomerEnvelope,
    CustomerResponse,
    ListCustomersResponse,
    UpdateCustomerRequest,
)
from service.models.model_configs import (
    CreateModelConfigRequest,
    ListModelConfigsResponse,
    ModelConfigEnvelope,
    ModelConfigResponse,
    UpdateModelConfigRequest,
)
from service.models.provider_governance import (
    ListProviderGovernanceResponse,
    ProviderGovernanceResponse,
    UpdateProviderGovernanceRequest,
)
from service.models.rate_limits import ListRateLimitsResponse
from service.models.teams import CreateTeamRequest, ListTeamsResponse, TeamEnvelope, TeamResponse, UpdateTeamRequest

_TEAMS = "/api/governance/teams"
_TEAM = "/api/governance/teams/{team_id}"
_TEAM_ID = in_path("team_id", "Team ID")

TEAMS = (
    listing(
        "listTeams",
        _TEAMS,
        "teams",
        ListTeamsResponse,
        in_query("customer_id", "Only teams of this customer."),
        FROM_MEMORY,
        *LENIENT_PAGING,
        SEARCH,
        refuses=False,
        description="Teams, oldest first. All of them until a paging or filter parameter is sent.",
    ),
    creation("createTeam", _TEAMS, "team", CreateTeamRequest, TeamResponse, description="Makes a team."),
    reading("getTeam", _TEAM, "team", TeamEnvelope, _TEAM_ID, FROM_MEMORY, description="A team by its ID, with its keys."),
    change("updateTeam", _TEAM, "team", UpdateTeamRequest, TeamResponse, _TEAM_ID, description="Changes what is sent."),
    removal("deleteTeam", _TEAM, "team", _TEAM_ID, description="Removes the team and its limits. Its keys stay, without a team."),
)

_CUSTOMERS = "/api/governance/customers"
_CUSTOMER = "/api/governance/customers/{customer_id}"
_CUSTOMER_ID = in_path("customer_id", "Customer ID")

CUSTOMERS = (
    listing(
        "listCustomers",
        _CUSTOMERS,
        "customers",
        ListCustomersResponse,
        FROM_MEMORY,
        *LENIENT_PAGING,
        SEARCH,
        refuses=False,
        description="Customers, oldest first. All of them until a paging or filter parameter is sent.",
    ),
    creation("createCustomer", _CUSTOMERS, "customer", CreateCustomerRequest, CustomerResponse, description="Makes a customer."),
    reading(
        "getCustomer",
        _CUSTOMER,
        "customer",
        CustomerEnvelope,
        _CUSTOMER_ID,
        FROM_MEMORY,
        description="A customer by its ID, with its teams and keys.",
    ),
    change(
        "updateCustomer",
        _CUSTOMER,
        "customer",
        UpdateCustomerRequest,
        CustomerResponse,
        _CUSTOMER_ID,
        description="Changes what is sent.",
    ),
    removal(
        "deleteCustomer",
        _CUSTOMER,
        "customer",
        _CUSTOMER_ID,
        description="Removes the customer and its limits. Its teams and keys stay, without a customer.",
    ),
)

ALL_LIMITS = (
    listing(
        "listBudgets",
        "/api/governance/budgets",
        "budgets",
        ListBudgetsResponse,
        FROM_MEMORY,
        refuses=False,
        description="The budgets of every owner.",
    ),
    listing(
        "listRateLimits",
        "/api/governance/rate-limits",
        "rate limits",
        ListRateLimitsResponse,
        FROM_MEMORY,
        refuses=False,
        description="The rate limits of every owner.",
    ),
)

_MODEL_CONFIGS = "/api/governance/model-configs"
_MODEL_CONFIG = "/api/governance/model-configs/{mc_id}"
_MODEL_CONFIG_ID = in_path("mc_id", "Model config ID")

MODEL_CONFIGS = (
    listing(
        "listModelConfigs",
        _MODEL_CONFIGS,
        "model configs",
        ListModelConfigsResponse,
        FROM_MEMORY,
        *PAGING,
        in_query("search", "Only entries whose model_name contains this text, in any letter case."),
        in_query("scope", "Only entries of this scope: global, virtual_key or user."),
        in_query("provider", "Only entries of this provider."),
        refuses=True,
        description="Limits of models, oldest first. All of them until a paging or filter parameter is sent.",
    ),
    creation(
        "createModelConfig",
        _MODEL_CONFIGS,
        "model config",
        CreateModelConfigRequest,
        ModelConfigResponse,
        description="Limits a model, or with model_name `*` every model: for everybody, or for one virtual key.",
    ),
    reading(
        "getModelConfig",
        _MODEL_CONFIG,
        "model config",
        ModelConfigEnvelope,
        _MODEL_CONFIG_ID,
        description="A model config by its ID.",
    ),
    change(
        "updateModelConfig",
        _MODEL_CONFIG,
        "model config",
        UpdateModelConfigRequest,
        ModelConfigResponse,
        _MODEL_CONFIG_ID,
        description="Changes what is sent.",
    ),
    removal(
        "deleteModelConfig",
        _MODEL_CONFIG,
        "model config",
        _MODEL_CONFIG_ID,
        description="Removes the model config and its limits.",
    ),
)

_PROVIDER = "/api/governance/providers/{provider_name}"
_PROVIDER_NAME = in_path("provider_name", "Provider name")

PROVIDERS = (
    listing(
        "listProviderGovernance",
        "/api/governance/providers",
        "provider governance",
        ListProviderGovernanceResponse,
        FROM_MEMORY,
        refuses=False,
        description="Providers that have a budget or a rate limit, by name.",
    ),
    change(
        "updateProviderGovernance",
        _PROVIDER,
        "provider governance",
        UpdateProviderGovernanceRequest,
        ProviderGovernanceResponse,
        _PROVIDER_NAME,
        description="Changes what is sent of the limits of a configured provider.",
    ),
    removal(
        "deleteProviderGovernance",
        _PROVIDER,
        "provider governance",
        _PROVIDER_NAME,
        description="Removes the limits of a configured provider, if it has any.",
    ),
)
