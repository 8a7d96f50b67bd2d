"""What a usage costs, and the prices there are: what may be asked, and what is answered."""

from typing import Annotated

from pydantic import Field

from service.models.enforcement import ModelName, RequestType, Usage, VirtualKeyValue
from service.models.request_types import DEFAULT_REQUEST_TYPE
from service.models.responses import Dollars, Page, ResponseModel, Timestamp, omitted
from service.models.text import Reference


class CostRequest(Usage):
    """A usage to be priced, as in settle. Nothing is charged."""

    model: ModelName
    provider: ModelName | None = Field(
        None, description="Unset: taken from a model of the form `provider/model`, else the maker whose models have such names."
    )
    request_type: RequestType | None = Field(None, description=f"Unset: {DEFAULT_REQUEST_TYPE}.")
    virtual_key: VirtualKeyValue | None = Field(
        None, description="The secret of the key whose prices are meant, instead of a header such as x-bf-vk."
    )
    virtual_key_id: Reference | None = Field(None, description="The same by its ID, for admins.")


UnitPrice = Annotated[float, Field(ge=0, description="US dollars per unit.")]


class UsedPrice(ResponseModel):
    """Where a price comes from."""

    source: str = Field(
        description="imported: the price sheet of the operator; genai-prices: the catalogue that comes with the service; "
        "override: a pricing override alone; caller: the cost that was sent."
    )
    provider: str | None = Field(description="With `model`: the entry of the catalogue. Null: there is none.")
    model: str | None
    override_id: str | None = Field(description="The pricing override that replaced some of its prices.")


class CostLine(ResponseModel):
    unit: str = Field(description="The name of the price, as in pricing overrides.")
    quantity: float = Field(ge=0)
    price: UnitPrice | None = Field(description="Null: there is none, so the unit adds nothing.")
    amount: Dollars = Field(description="quantity x price, not rounded.")


class CostResponse(ResponseModel):
    cost: Dollars = Field(description="What settle would charge: the sum of all amounts, rounded once.")
    priced: bool = Field(description="False: nobody has said what this costs; the cost is 0.")
    price: UsedPrice | None
    provider: str | None
    model: str
    request_type: str
    tokens: int = Field(description="Input and output: long requests may have prices of their own.")
    lines: tuple[CostLine, ...]


class PricedModel(ResponseModel):
    provider: str
    model: str
    source: str = Field(description="imported or genai-prices.")
    prices: dict[str, UnitPrice] = Field(description="By unit; a unit that is missing has no price.")


class PriceSource(ResponseModel):
    source: str
    models: int = Field(ge=0, description="Models whose price it gives.")
    version: str = omitted("Of the catalogue that comes with the service.")
    name: str = omitted("Of the file that was imported.")
    imported_at: Timestamp = omitted()


class ListPricesResponse(Page):
    prices: tuple[PricedModel, ...]
    sources: tuple[PriceSource, ...] = Field(description="In the order in which they are asked.")
    version: int = Field(description="Raised by every import and every change of a pricing override.")
