"""Orders, invoices and payments, and what they are made with."""

from typing import Annotated

from pydantic import Field

from schemas.eduframe.models.column_types import (
    CustomFields,
    Date,
    LooseDate,
    Money,
    Number,
    OneOf,
    Row,
    Timestamp,
)
from schemas.eduframe.models.common import (
    AccountId,
    CatalogVariantId,
    CostScheme,
    Currency,
    InvoiceId,
    InvoiceVatId,
    LabelId,
    OrderId,
    PaymentMethodId,
    PaymentOptionId,
    PlannedCourseId,
    ReferralId,
    UserId,
    deprecated,
)

DiscountType = Annotated[str, OneOf("fixed", "percentage")]
InvoiceStatus = Annotated[str, OneOf("concept", "expired", "open", "paid")]
OrderStatus = Annotated[str, OneOf("active", "canceled", "denied", "requested")]
PaymentGateway = Annotated[
    str,
    OneOf(
        "Mollie",
        "StripeIdeal",
        "StripeAlipay",
        "StripeGiropay",
        "ValitorBasic",
        "ValitorLoan",
        "Borgun",
        "StripeCheckout",
        "AuthorizeNet",
        "TouchNet",
        "WpmEducation",
    ),
]
PaymentStatus = Annotated[str, OneOf("new", "open", "paid", "failed", "internal_server_error")]


class OrderItem(Row):
    """A student for whom an order is placed."""

    id: int
    order_id: OrderId
    student_id: UserId
    updated_at: Timestamp
    created_at: Timestamp


class Order(Row):
    """An order of places in a catalog variant."""

    id: int
    number: Number
    status: OrderStatus
    number_of_students: int
    origin: str = Field(description="Where the order was placed.")
    customer_comment: str | None
    total_cost_excl: Money | None = Field(description="Total without VAT.")
    total_cost_incl: Money | None = Field(description="Total with VAT.")
    cost: Money | None
    cost_scheme: CostScheme = Field(description="What the cost is counted by.")
    catalog_variant_id: CatalogVariantId
    creator_id: UserId | None = Field(description="The user who placed the order.")
    account_id: AccountId
    planned_course_id: PlannedCourseId | None = deprecated(default=None)
    payment_method_id: PaymentMethodId | None = None
    payment_option_id: PaymentOptionId | None
    label_ids: list[LabelId]
    discount_code: str | None = None
    total_discount: Money | None = None
    referral_id: ReferralId | None
    updated_at: Timestamp
    created_at: Timestamp
    custom: CustomFields | None = None
    order_items: list[OrderItem] | None = None


class InvoiceItem(Row):
    """A line of an invoice."""

    id: int
    name: str
    units: int
    unit_price: Money
    invoice_vat_id: InvoiceVatId
    catalog_variant_id: CatalogVariantId | None
    updated_at: Timestamp
    created_at: Timestamp


class Invoice(Row):
    """An invoice to an account."""

    id: int
    reference_id: str
    number_int: Number | None = Field(description="The invoice's number without its prefix.")
    order_id: OrderId | None
    order_number: Number | None
    status: InvoiceStatus
    expiration_date: Date | None = Field(description="When it should be paid.")
    opened_at: Date | None = Field(description="When it was made final.")
    description: str
    account_name: str
    currency: Currency
    total_incl: Money = Field(description="Total with VAT.")
    total_excl: Money = Field(description="Total without VAT.")
    total_open: Money = Field(description="What is still to be paid.")
    pdf_url: str
    xml_url: str
    number: str
    account_id: AccountId
    feature: str | None = Field(description="The customer's own reference.")
    footnote: str | None
    updated_at: Timestamp
    created_at: Timestamp
    invoice_items: list[InvoiceItem] | None = None


class Payment(Row):
    """A payment of an invoice."""

    id: int
    invoice_id: InvoiceId
    amount: Money
    currency: Currency
    payment_method_id: PaymentMethodId
    status: PaymentStatus
    gateway_id: int | None
    date: LooseDate


class PaymentMethod(Row):
    """A way of paying, such as a bank transfer."""

    id: int
    name: str
    gateway: PaymentGateway | None = Field(description="The service that handles the payment.")
    plugin_id: int | None


class PaymentOption(Row):
    """A choice of when to pay, such as in terms."""

    id: int
    name: str
    available_from: Number = Field(description="The order total from which it can be chosen.")
    extra_cost: Money
    percentage: Number | None = Field(description="What it adds, as a percentage.")
    multiplier: Money | None = Field(description="What it adds, as a factor.")


class InvoiceVat(Row):
    """A rate of VAT."""

    id: int
    name: str
    percentage: Money
    has_vat: bool


class DiscountCode(Row):
    """A code that lowers the price of an order."""

    id: int
    name: str
    discount_code: str = Field(description="What the customer types.")
    discount_type: DiscountType
    amount: Number = Field(description="Money, or a percentage, by discount_type.")
    max_usage: int | None
    usage_count: int
    start_date: Date
    expiration_date: Date


class Referral(Row):
    """A way in which customers have heard of the educator."""

    id: int
    name: str
