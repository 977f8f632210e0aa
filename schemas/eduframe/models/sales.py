"""Sales: orders, invoices and payments, and what they are made with."""

from typing import Annotated

from pydantic import Field

from schemas.eduframe.models.column_types import (
    Amount,
    CustomFields,
    Date,
    Derived,
    FreeText,
    LooseDate,
    Money,
    Name,
    Number,
    OneOf,
    References,
    Row,
    Unfollowed,
)
from schemas.eduframe.models.common import (
    CUSTOM,
    AccountId,
    CatalogVariantId,
    CostScheme,
    CreatedAt,
    Currency,
    Id,
    InvoiceId,
    InvoiceVatId,
    LabelId,
    OrderId,
    PaymentMethodId,
    PaymentOptionId,
    PlannedCourseId,
    ReferralId,
    UpdatedAt,
    UserId,
    deprecated,
)

DiscountType = Annotated[
    str,
    OneOf({"fixed": "an amount of money", "percentage": "a part of the price, in percent"}),
]
InvoiceStatus = Annotated[
    str,
    Derived(),
    OneOf(
        {
            "concept": "a draft: not sent, and not owed",
            "open": "sent, and not paid in full",
            "expired": "not paid in full, and noted by Eduframe as overdue, which is later than "
            "the day: to know what is overdue, compare expiration_date",
            "paid": "paid in full",
        }
    ),
]
OrderStatus = Annotated[
    str,
    OneOf(
        {
            "requested": "placed, and awaiting approval",
            "active": "approved: the only ones that are sales",
            "denied": "not approved",
            "canceled": "called off",
        }
    ),
]
PaymentGateway = Annotated[
    str,
    OneOf.codes(
        "names of payment services, as Eduframe calls them",
        (
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
    ),
]
PaymentStatus = Annotated[
    str,
    OneOf(
        {
            "new": "begun, and not with the payment service yet",
            "open": "with the payment service, and not decided",
            "paid": "received: the only ones that are money",
            "failed": "refused, or given up",
            "internal_server_error": "broken off by an error of a server",
        }
    ),
]

IN_THE_CATALOG = "in the currency of the catalog variant"


class OrderItem(Row):
    """A student for whom an order is placed; orders have number_of_students of them."""

    id: Id
    order_id: OrderId = Field(description="The order that the place is part of.")
    student_id: UserId = Field(description="Who is to take part.")
    updated_at: UpdatedAt
    created_at: CreatedAt


class Order(Row):
    """An order of places in a catalog variant. Only those that are active are sales."""

    id: Id
    number: Number = Field(
        description="The order's number for people: whole, cast it to an integer."
    )
    status: OrderStatus = Field(description="Whether the order counts.")
    number_of_students: int = Field(description="How many places are ordered.")
    origin: str = Field(
        description="Where the order was placed, in Eduframe's words (the API lists no values)."
    )
    customer_comment: FreeText | None = Field(description="What the customer wrote with it.")
    total_cost_excl: Amount | None = Field(
        description=f"Total without VAT, discount taken off (our reading), {IN_THE_CATALOG}."
    )
    total_cost_incl: Amount | None = Field(
        description=f"Total with VAT, discount taken off (our reading), {IN_THE_CATALOG}."
    )
    cost: Amount | None = Field(
        description="The price of what cost_scheme counts by, without VAT (our reading), "
        f"{IN_THE_CATALOG}."
    )
    cost_scheme: CostScheme
    catalog_variant_id: CatalogVariantId = Field(description="What was ordered.")
    creator_id: UserId | None = Field(description="The user who placed the order.")
    account_id: AccountId = Field(description="The customer, who owes it.")
    planned_course_id: PlannedCourseId | None = deprecated(
        "The planned course that was ordered, where it was one; catalog_variant_id has taken its "
        "place.",
        default=None,
    )
    payment_method_id: PaymentMethodId | None = Field(
        None, description="How the customer chose to pay."
    )
    payment_option_id: PaymentOptionId | None = Field(description="In which terms it is paid.")
    label_ids: list[LabelId] = Field(description="The labels that orders bear.")
    discount_code: Annotated[str, References("discount_codes", "discount_code")] | None = Field(
        None,
        description="What the customer typed to pay less. Codes that are gone lead nowhere.",
    )
    total_discount: Amount | None = Field(
        None, description=f"What was taken off, {IN_THE_CATALOG}."
    )
    referral_id: ReferralId | None = Field(
        description="How the customer says to have heard of the educator."
    )
    updated_at: UpdatedAt
    created_at: CreatedAt
    custom: CustomFields | None = Field(None, description=CUSTOM)
    order_items: list[OrderItem] | None = None


class InvoiceItem(Row):
    """A line of an invoice. Its amount is units times unit_price, to be rounded to cents."""

    id: Id
    name: str = Field(description="What the line says.")
    units: int = Field(description="How many; below zero on credit notes (our reading).")
    unit_price: Amount = Field(
        description="The price of one, without VAT (our reading), in the invoice's currency."
    )
    invoice_vat_id: InvoiceVatId = Field(description="The rate of VAT that comes on top.")
    catalog_variant_id: CatalogVariantId | None = Field(
        description="What the line is for. Many lines have none: the order's is the next best."
    )
    updated_at: UpdatedAt
    created_at: CreatedAt


class Invoice(Row):
    """An invoice to an account. Drafts have the status concept; not every invoice has an order."""

    id: Id
    reference_id: Annotated[str, Unfollowed("it is no key of a row.")] = Field(
        description="The reference by which a payment is recognised (our reading)."
    )
    number_int: Number | None = Field(
        description="The invoice's number without its prefix: whole, cast it to an integer."
    )
    order_id: OrderId | None = Field(description="The order that is charged; null where none is.")
    order_number: Number | None = Field(
        description="The same order's number for people: whole, cast it to an integer."
    )
    status: InvoiceStatus = Field(description="How far it is from being paid.")
    expiration_date: Date | None = Field(
        description="The day by which it should be paid; null for drafts."
    )
    opened_at: Date | None = Field(
        description="The day on which it was made final, which is its date (our reading)."
    )
    description: FreeText = Field(description="What the invoice says that it is for.")
    account_name: Name = Field(description="The customer's name when the invoice was made.")
    currency: Currency
    total_incl: Amount = Field(
        description="Total with VAT, in its currency; below zero on credit notes (our reading)."
    )
    total_excl: Amount = Field(
        description="Total without VAT, in its currency; below zero on credit notes (our reading)."
    )
    total_open: Annotated[Amount, Derived()] = Field(
        description="What is still to be paid, with VAT, in its currency."
    )
    pdf_url: str = Field(description="Address of the invoice as a PDF file.")
    xml_url: str = Field(description="Address of the invoice as an XML file, for programs.")
    number: str = Field(description="The invoice's number for people, with its prefix.")
    account_id: AccountId = Field(description="The customer, who owes it.")
    feature: FreeText | None = Field(
        description="A text that is shown on the invoice, such as the customer's own reference."
    )
    footnote: FreeText | None = Field(description="The note at the foot of the invoice.")
    updated_at: UpdatedAt
    created_at: CreatedAt
    invoice_items: list[InvoiceItem] | None = None


class Payment(Row):
    """A payment of an invoice, or an attempt at one: only those that are paid are money."""

    id: Id
    invoice_id: InvoiceId = Field(description="What is paid; it may take several payments.")
    amount: Amount = Field(description="What is paid, with VAT, in the payment's currency.")
    currency: Currency
    payment_method_id: PaymentMethodId = Field(description="How it is paid.")
    status: PaymentStatus = Field(description="Whether the money has come.")
    gateway_id: Annotated[int | None, Unfollowed("the API has no list of gateways.")] = Field(
        description="The payment service that handles it."
    )
    date: LooseDate = Field(description="The day on which the payment was made.")


class PaymentMethod(Row):
    """A way of paying, such as a bank transfer."""

    id: Id
    name: str = Field(description="What the customer chooses.")
    gateway: PaymentGateway | None = Field(description="The service that handles the payment.")
    plugin_id: Annotated[int | None, Unfollowed("the API has no list of plugins.")] = Field(
        description="The connection to that service, in Eduframe's settings (our reading)."
    )


class PaymentOption(Row):
    """A choice of when to pay, such as in terms."""

    id: Id
    name: str = Field(description="What the customer chooses.")
    available_from: Number = Field(
        description="The order total from which it can be chosen, in the educator's currency."
    )
    extra_cost: Money = Field(description="What it adds, as an amount in the educator's currency.")
    percentage: Number | None = Field(description="What it adds, as a percentage: 2.5 is 2.5 %.")
    multiplier: Money | None = Field(description="The same as a factor: 1.025 adds 2.5 %.")


class InvoiceVat(Row):
    """A rate of VAT that invoice lines are charged with, such as 21 %."""

    id: Id
    name: str = Field(description="What invoices call the rate.")
    percentage: Money = Field(description="The rate in percent: 21 is 21 %.")
    has_vat: bool = Field(
        description="Whether VAT is charged; no where it is exempt, or 0 % (our reading)."
    )


class DiscountCode(Row):
    """A code that lowers the price of an order."""

    id: Id
    name: str = Field(description="What the educator calls the discount.")
    discount_code: str = Field(description="What the customer types.")
    discount_type: DiscountType = Field(description="What amount is.")
    amount: Number = Field(
        description="What it takes off: money in the educator's currency, or a percentage, by "
        "discount_type."
    )
    max_usage: int | None = Field(description="How often it may be used; null for any number.")
    usage_count: Annotated[int, Derived()] = Field(description="How often it was used.")
    start_date: Date = Field(description="The first day on which it can be used.")
    expiration_date: Date = Field(description="The last day on which it can be used.")


class Referral(Row):
    """A way in which customers have heard of the educator."""

    id: Id
    name: str = Field(description="What the customer chooses.")
