"""The operation on base prices: they are imported by the command line, and listed here."""

from service.api.operations.operation import PAGING, in_query, listing
from service.models.costs import ListPricesResponse

OPERATIONS = (
    listing(
        "listPrices",
        "/api/governance/prices",
        "prices",
        ListPricesResponse,
        in_query("model", "Only models whose name contains this text, in any letter case."),
        in_query("provider", "Only models of this provider."),
        *PAGING,
        refuses=True,
        description="Base prices of all models that are known, by provider and model: those that were imported with "
        "`quotad prices import`, then those that come with the service. Pricing overrides replace them where they apply. "
        "Always in pages.",
    ),
)
