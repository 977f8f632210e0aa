"""Invoices and payments: of orders, in one or two terms; others; and credit notes."""

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import NamedTuple

from sources.eduframe_simulator.provider import words
from sources.eduframe_simulator.provider.store import JsonRow, Scope
from sources.eduframe_simulator.provider.values import born, money, timestamp
from sources.eduframe_simulator.provider.world import SPAN, ZONE, Place, World
from sources.eduframe_simulator.stories.sales import CENT, VATS, vat_of, with_vat

TERMS_FROM = 2500
"""The total of an order from which it may be invoiced in two terms."""


class Charge(NamedTuple):
    """An invoice to be made: when, of which order, which of how many terms; or a credit note."""

    at: str
    order: JsonRow
    term: int = 0
    terms: int = 1
    credit: bool = False


def _charges(world: World, n: int) -> list[Charge]:
    """``n`` invoices: those of orders, as far as there are that many, and others between them."""
    found: list[Charge] = []
    for order in world.all("orders"):
        total = Decimal(order["total_cost_excl"] or 0)
        if total <= 0 or order["status"] not in ("active", "canceled"):
            continue
        terms = 2 if total >= TERMS_FROM and world.rng.random() < 0.6 else 1
        if order["status"] == "active":
            found += [
                Charge(_after(order, 3 + 60 * term), order, term, terms) for term in range(terms)
            ]
        elif len(found) % 2 == 0:  # It was called off when its invoice had been sent.
            found.append(Charge(_after(order, 1), order))
            found.append(Charge(_after(order, 20), order, credit=True))
    now = timestamp(world.now)
    found = [charge for charge in found if charge.at < now]
    others = n - len(found)
    for nth in range(others):
        at = timestamp(world.now - SPAN + SPAN * (nth + world.rng.random()) / others)
        found.append(Charge(at, {}))
    return sorted(found, key=lambda charge: charge.at)[-n:]


def _after(order: JsonRow, days: float) -> str:
    return timestamp(datetime.fromisoformat(order["created_at"]) + timedelta(days=days))


def invoices(world: World, row: JsonRow, place: Place) -> None:
    """An order's invoice, its totals the sums of its lines."""
    if world.filling and "charges" not in world.memo:
        world.memo["charges"] = iter(_charges(world, place.n))
    charge = next(world.memo.get("charges", iter(())), Charge(row["created_at"], {}))
    order = charge.order
    born(row, charge.at)
    row |= {"order_id": order.get("id"), "order_number": order.get("number")}
    row["account_id"] = order.get("account_id", row["account_id"])
    row["account_name"] = world.get("accounts", row["account_id"]).get("name", "Unknown")
    variant = world.get("catalog_variants", order.get("catalog_variant_id", 0))
    row["currency"] = variant.get("currency", "EUR")
    row["invoice_items"] = [
        {"id": world.nested_id()} | line | {"updated_at": charge.at, "created_at": charge.at}
        for line in (_lines_of(world, charge, variant) if order else _other_lines(world))
    ]
    _total(world, row)
    _date(world, row, place, charge)


def _lines_of(world: World, charge: Charge, variant: JsonRow) -> Iterator[JsonRow]:
    """A line for the course, often one for its material, and one for the discount."""
    order, sign = charge.order, -1 if charge.credit else 1
    vats = world.ids("invoice_vats")
    same = {
        "invoice_vat_id": vats[vat_of(variant) % len(vats)] if vats else 1,
        "catalog_variant_id": None,
    }
    units = order["number_of_students"] if order["cost_scheme"] == "student" else 1
    price, name = _share(Decimal(order["cost"] or 0), charge), "Course fee"
    if charge.terms > 1:
        name += f", term {charge.term + 1} of {charge.terms}"
    material = Decimal(0)
    if price > 60 and order["id"] % 2:
        material = Decimal("24.50")
    fee = {"name": name, "units": sign * units, "unit_price": money(price - material)}
    yield fee | same | {"catalog_variant_id": variant.get("id")}
    if material:
        yield {"name": "Workbook", "units": sign * units, "unit_price": money(material)} | same
    discount = _share(Decimal(order.get("total_discount") or 0), charge)
    if discount:
        code = f"Discount {order['discount_code']}"
        yield {"name": code, "units": sign, "unit_price": money(-discount)} | same


def _share(amount: Decimal, charge: Charge) -> Decimal:
    """The part of an amount that one term has; the last has the rest."""
    part = (amount / charge.terms).quantize(CENT, ROUND_HALF_UP)
    return part if charge.term < charge.terms - 1 else amount - part * (charge.terms - 1)


def _other_lines(world: World) -> Iterator[JsonRow]:
    """Things that are sold without an order."""
    vats = world.ids("invoice_vats")
    for nth in range(world.rng.choice((1, 1, 2, 3))):
        yield {
            "name": world.rng.choice(words.THINGS),
            "units": world.rng.randrange(1, 5),
            "unit_price": money(world.rng.randrange(1, 90)),
            "invoice_vat_id": vats[nth % len(vats)] if vats else 1,
            "catalog_variant_id": None,
        }


def _total(world: World, row: JsonRow) -> None:
    excl = incl = Decimal(0)
    for line in row["invoice_items"]:
        amount = int(line["units"]) * Decimal(line["unit_price"])
        vat = world.get("invoice_vats", line["invoice_vat_id"])
        excl += amount
        incl += with_vat(amount, vat.get("percentage", VATS[0][1]))
    row |= {"total_excl": money(excl), "total_incl": money(incl), "total_open": "0.00"}


def _date(world: World, row: JsonRow, place: Place, charge: Charge) -> None:
    """Its number, days, status, and what of it is still open."""
    created = row["created_at"]
    row |= {"number_int": place.i + 1, "number": f"F{created[:4]}-{place.i + 1:05d}"}
    row |= {"reference_id": f"{created[:4]}{place.i + 1:08d}"}
    opened = datetime.fromisoformat(created).astimezone(ZONE).date()
    due = opened + timedelta(days=30)
    row |= {"opened_at": opened.isoformat(), "expiration_date": due.isoformat(), "status": "paid"}
    incl = Decimal(row["total_incl"])
    late = (world.today - due).days
    called_off = charge.order.get("status") == "canceled"
    if place.i >= 0.97 * place.n and not called_off and world.rng.random() < 0.4:
        row |= {"opened_at": None, "expiration_date": None, "number_int": None}
        row |= {"status": "concept", "total_open": money(incl)}
    elif incl and world.rng.random() < _unpaid(late, charge):
        # That an invoice is overdue is noted some days later, and sometimes never.
        noted = late > 10 and world.rng.random() < 0.8
        owed = incl if charge.credit else world.rng.choice((incl, incl, (incl / 2).quantize(CENT)))
        row |= {"status": "expired" if noted else "open", "total_open": money(owed)}


def _unpaid(late: int, charge: Charge) -> float:
    """How likely an invoice is not paid yet, some days after it should have been."""
    if charge.order.get("status") == "canceled":
        return 0.5 if charge.credit and late <= 60 else 0.0
    return 0.6 if late <= 0 else 0.3 if late <= 60 else 0.04


class Part(NamedTuple):
    """A payment to be made."""

    scope: Scope
    amount: Decimal
    status: str = "paid"


def payers(world: World) -> list[Scope]:
    """The invoices that get payments; those that get several, as often."""
    parts = [part for invoice in world.all("invoices") for part in _parts(world, invoice)]
    world.memo["payments"] = parts
    return [part.scope for part in parts]


def _parts(world: World, invoice: JsonRow) -> Iterator[Part]:
    """What is paid of an invoice, in one or two parts; now and then after a vain attempt."""
    if invoice["status"] == "concept":
        return
    scope = (str(invoice["id"]),)
    incl = Decimal(invoice["total_incl"])
    paid = incl - Decimal(invoice["total_open"])
    if incl > 0 and world.rng.random() < 0.1:
        yield Part(scope, incl, "failed")
    if paid > 0 and world.rng.random() < 0.15:
        half = (paid / 2).quantize(CENT, ROUND_HALF_UP)
        yield Part(scope, half)
        paid -= half
    if paid:
        yield Part(scope, paid)


def payments(world: World, row: JsonRow, place: Place) -> None:
    """A payment that was planned; any further one has failed."""
    invoice = world.get("invoices", int(place.scope["invoice_id"]))
    planned: list[Part] = world.memo.get("payments", [])
    part = Part((), Decimal(invoice.get("total_incl", 0)), "failed")
    if place.i < len(planned):
        part = planned[place.i]
    row |= {"status": part.status, "amount": money(part.amount)}
    row |= {"currency": invoice.get("currency", "EUR"), "gateway_id": world.rng.choice((None, 3))}
    order = world.get("orders", invoice.get("order_id") or 0)
    if "payment_method_id" in order:
        row["payment_method_id"] = order["payment_method_id"] or row["payment_method_id"]
    opened = date.fromisoformat((invoice.get("opened_at") or invoice.get("created_at", ""))[:10]
                                or world.today.isoformat())
    day = opened + timedelta(days=world.rng.randrange(1, 35))
    row["date"] = max(opened, min(day, world.today)).isoformat()
