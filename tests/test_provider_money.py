"""Orders, invoices and payments of a provider."""

from collections import Counter
from datetime import timedelta
from decimal import Decimal

import pytest

from tests.provider_rows import AS_OF, CENTS, TODAY, Provider, day, local, money, provider


@pytest.fixture(scope="module")
def world() -> Provider:
    return provider()


def test_totals_of_orders_follow_from_price_discount_and_vat(world: Provider) -> None:
    codes = {row["discount_code"]: row for row in world.rows("discount_codes")}
    for order in world.rows("orders"):
        variant = world.get("catalog_variants", order["catalog_variant_id"])
        assert (order["cost"], order["cost_scheme"]) == (variant["cost"], variant["cost_scheme"])
        units = {"student": order["number_of_students"], "order": 1, "free": 0}
        gross = Decimal(order["cost"]) * units[order["cost_scheme"]]
        off = Decimal(order.get("total_discount") or 0)
        assert Decimal(order["total_cost_excl"]) == gross - off >= 0
        rate = Decimal(order["total_cost_incl"]) / (Decimal(order["total_cost_excl"]) or 1)
        assert any(abs(rate - each) < Decimal("0.001") for each in (0, 1, Decimal("1.21")))
        assert ("discount_code" in order) == ("total_discount" in order)
        if "discount_code" in order:
            code = codes[order["discount_code"]]
            ordered_on = order["created_at"][:10]
            assert code["start_date"] <= ordered_on <= code["expiration_date"]
            amount = Decimal(str(code["amount"]))
            fixed = code["discount_type"] == "fixed"
            expected = min(amount if fixed else gross * amount / 100, gross)
            assert abs(off - expected) < Decimal("0.01")
    used = Counter(order.get("discount_code") for order in world.rows("orders"))
    assert all(row["usage_count"] == used[row["discount_code"]] for row in codes.values())


def test_orders_are_placed_before_the_course_begins(world: Provider) -> None:
    for order in world.rows("orders"):
        planned = world.ordered(order)
        if planned:
            assert order["created_at"][:10] < planned["start_date"]


def test_only_new_orders_await_approval(world: Provider) -> None:
    waiting = [row for row in world.rows("orders") if row["status"] == "requested"]
    assert all(AS_OF - local(row["created_at"]) < timedelta(days=60) for row in waiting)


def test_invoices_add_up(world: Provider) -> None:
    rates = {row["id"]: Decimal(row["percentage"]) for row in world.rows("invoice_vats")}
    for invoice in world.rows("invoices"):
        excl = incl = Decimal(0)
        for line in invoice["invoice_items"]:
            amount = line["units"] * Decimal(line["unit_price"])
            excl += amount
            incl += amount * (1 + rates[line["invoice_vat_id"]] / 100)
        assert Decimal(invoice["total_excl"]) == excl
        assert abs(Decimal(invoice["total_incl"]) - incl) < CENTS


def test_invoices_follow_their_orders(world: Provider) -> None:
    for ident, invoices in world.by("invoices", "order_id").items():
        if ident is None:
            continue
        order = world.get("orders", ident)
        assert {row["account_id"] for row in invoices} == {order["account_id"]}
        assert {row["order_number"] for row in invoices} == {order["number"]}
        assert all(row["created_at"] > order["created_at"] for row in invoices)
        charged = money(invoices, "total_excl")
        terms = len(invoices) == 1 and Decimal(order["total_cost_excl"]) >= 2500
        if order["status"] == "active" and not terms:  # Of two terms one may be still to come.
            assert charged == Decimal(order["total_cost_excl"])
            assert abs(money(invoices, "total_incl") - Decimal(order["total_cost_incl"])) < CENTS
        assert order["status"] in ("active", "canceled")
        if order["status"] == "canceled" and len(invoices) == 2:
            assert charged == 0
        variant = world.get("catalog_variants", order["catalog_variant_id"])
        assert {row["currency"] for row in invoices} == {variant["currency"]}
    for row in world.rows("invoices"):
        assert row["account_name"] == world.get("accounts", row["account_id"])["name"]


def test_nearly_every_order_that_costs_something_is_invoiced(world: Provider) -> None:
    sold = [
        row
        for row in world.rows("orders")
        if row["status"] == "active" and Decimal(row["total_cost_excl"])
    ]
    invoiced = world.by("invoices", "order_id")
    assert sum(row["id"] in invoiced for row in sold) > 0.9 * len(sold)


def test_payments_are_what_is_not_open_any_more(world: Provider) -> None:
    for invoice in world.rows("invoices"):
        payments = world.by("payments", "invoice_id").get(invoice["id"], [])
        paid = money((row for row in payments if row["status"] == "paid"), "amount")
        incl, still_open = (Decimal(invoice[f"total_{name}"]) for name in ("incl", "open"))
        assert paid == incl - still_open
        assert abs(paid) <= abs(incl)
        assert 0 <= still_open <= incl or incl <= still_open <= 0
        for row in payments:
            assert row["currency"] == invoice["currency"]
            assert invoice["opened_at"] <= row["date"] <= TODAY.isoformat()


def test_status_of_invoices_follows(world: Provider) -> None:
    late = {"open": 0, "expired": 0}
    for row in world.rows("invoices"):
        if row["status"] == "concept":
            assert (row["opened_at"], row["expiration_date"], row["number_int"]) == (None,) * 3
            continue
        assert (row["status"] == "paid") == (Decimal(row["total_open"]) == 0)
        assert row["opened_at"] == local(row["created_at"]).date().isoformat()
        assert row["opened_at"] < row["expiration_date"]
        if row["status"] != "paid":
            overdue = day(row["expiration_date"]) < TODAY
            assert overdue or row["status"] == "open"
            late[row["status"]] += overdue
    assert late["open"]  # Overdue by its date, which its status does not tell.
    assert late["expired"] > late["open"]
