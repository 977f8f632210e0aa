"""Orders, invoices and payments, and what they are made with."""

from collections import Counter, deque
from datetime import date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal

from sources.eduframe_simulator.provider import words
from sources.eduframe_simulator.provider.store import JsonRow, Scope
from sources.eduframe_simulator.provider.values import money
from sources.eduframe_simulator.provider.world import Place, World
from sources.eduframe_simulator.stories import planning

VATS = (("21 %", "21.0"), ("9 %", "9.0"), ("vrijgesteld", "0.0"))
CENT = Decimal("0.01")


def invoice_vats(world: World, row: JsonRow, place: Place) -> None:
    name, percentage = VATS[place.i % len(VATS)]
    row |= {"name": name, "percentage": percentage, "has_vat": percentage != "0.0"}


def payment_methods(world: World, row: JsonRow, place: Place) -> None:
    row["name"] = ("Bank transfer", "iDEAL", "Credit card", "On account")[place.i % 4]


def payment_options(world: World, row: JsonRow, place: Place) -> None:
    row["name"] = ("At once", "In 2 terms", "In 10 terms")[place.i % 3]
    row |= {
        "available_from": (0, 500, 1500.5)[place.i % 3],
        "extra_cost": money(25 * (place.i % 3)),
    }
    row |= {
        "percentage": (None, 0, 2.5)[place.i % 3],
        "multiplier": (None, "1.0", "1.025")[place.i % 3],
    }


def discount_codes(world: World, row: JsonRow, place: Place) -> None:
    row |= {"name": f"Action {place.i}", "discount_code": f"ACTION{place.i:02d}", "amount": 10}
    row["amount"] = world.rng.choice((5, 10, 12.5, 100))
    row |= {"start_date": "2025-01-01", "expiration_date": f"2026-{1 + place.i % 12:02d}-28"}


def referrals(world: World, row: JsonRow, place: Place) -> None:
    row["name"] = ("Google", "Friend", "Fair", "Newsletter", "Employer", "Other / anders")[
        place.i % 6
    ]


def orders(world: World, row: JsonRow, place: Place) -> None:
    """Places in a catalog variant, for one or more students; a discount now and then."""
    row["catalog_variant_id"] = planning.soon(world, "catalog_variants", place)
    variant = world.get("catalog_variants", row["catalog_variant_id"])
    students = world.rng.choice((1, 1, 1, 2, 3, 6))
    status = world.rng.choices(("active", "canceled", "denied", "requested"), (85, 7, 3, 5))[0]
    row |= {"number": 20_240_000 + place.i, "status": status, "number_of_students": students}
    row |= {"cost": variant.get("cost"), "cost_scheme": variant.get("cost_scheme", "student")}
    row["origin"] = world.rng.choice(("website", "admin", "api"))
    if row.get("discount_code") is not None:
        row |= {"discount_code": f"ACTION{world.rng.randrange(8):02d}", "total_discount": "10.00"}
    else:
        row.pop("total_discount", None)
    excl = Decimal(row["cost"] or 0) * students - Decimal(row.get("total_discount") or 0)
    excl = max(excl, Decimal(0))
    row |= {"total_cost_excl": money(excl), "total_cost_incl": money(with_vat(excl, "21.0"))}
    if variant.get("variantable_type") == "PlannedCourse" and "planned_course_id" in row:
        row["planned_course_id"] = variant["variantable_id"]
    else:
        row.pop("planned_course_id", None)
    row["order_items"] = [
        {
            "id": world.nested_id(),
            "order_id": row["id"],
            "student_id": world.pick("users"),
            "updated_at": row["updated_at"],
            "created_at": row["created_at"],
        }
        for _ in range(students)
    ]
    if status == "active" and variant.get("variantable_type") == "PlannedCourse":
        world.memo.setdefault("places", deque()).extend(
            (row["id"], item["student_id"], variant["variantable_id"], row["created_at"])
            for item in row["order_items"]
        )


def with_vat(excl: Decimal, percentage: str) -> Decimal:
    """An amount with VAT, to the cent."""
    return (excl * (1 + Decimal(percentage) / 100)).quantize(CENT, ROUND_HALF_UP)


def invoices(world: World, row: JsonRow, place: Place) -> None:
    """An order's invoice, its totals the sum of its lines; every tenth has no order."""
    order = _order_of(world, place)
    created: str = order.get("created_at") or row["created_at"]
    row |= {"created_at": created, "updated_at": max(row["updated_at"], created)}
    row |= {"order_id": order.get("id"), "order_number": order.get("number")}
    row["account_id"] = order.get("account_id", row["account_id"])
    row["account_name"] = world.get("accounts", row["account_id"]).get("name", "Unknown")
    row |= {"number_int": place.i + 1, "number": f"F{created[:4]}-{place.i + 1:05d}"}
    row |= {"reference_id": f"{created[:4]}{place.i + 1:08d}", "currency": "EUR"}
    lines = [_line(world, row, order, nth) for nth in range(world.rng.choice((1, 1, 2, 3)))]
    row["invoice_items"] = lines
    excl = sum((_amount(line) for line in lines), Decimal(0))
    incl = sum((with_vat(_amount(line), _percentage(world, line)) for line in lines), Decimal(0))
    opened = date.fromisoformat(created[:10])
    due = opened + timedelta(days=30)
    status, owed = "paid", Decimal(0)
    if world.rng.random() < 0.04:
        status, owed = "concept", incl
    elif world.rng.random() < (0.6 if due >= world.now.date() else 0.12):
        status = "open" if due >= world.now.date() or world.rng.random() < 0.4 else "expired"
        owed = world.rng.choice((incl, incl, incl, (incl / 2).quantize(CENT)))
    row |= {"total_excl": money(excl), "total_incl": money(incl), "total_open": money(owed)}
    row |= {"status": status, "opened_at": opened.isoformat(), "expiration_date": due.isoformat()}
    if status == "concept":
        row |= {"opened_at": None, "expiration_date": None, "number_int": None}


def _order_of(world: World, place: Place) -> JsonRow:
    ids = world.ids("orders")
    if not ids or place.i % 10 == 9:
        return {}
    order = world.get("orders", ids[place.i % len(ids)])
    return order if order["status"] == "active" else {}


def _line(world: World, row: JsonRow, order: JsonRow, nth: int) -> JsonRow:
    first = nth == 0 and bool(order)
    vats = world.ids("invoice_vats")
    return {
        "id": world.nested_id(),
        "name": "Course fee" if first else world.rng.choice(words.THINGS),
        "units": order["number_of_students"] if first else world.rng.randrange(1, 5),
        "unit_price": money(Decimal(order["cost"] or 0))
        if first
        else money(world.rng.randrange(1, 90)),
        "invoice_vat_id": vats[0 if first else nth % len(vats)] if vats else 1,
        "catalog_variant_id": order["catalog_variant_id"] if first else None,
        "updated_at": row["created_at"],
        "created_at": row["created_at"],
    }


def _amount(line: JsonRow) -> Decimal:
    return int(line["units"]) * Decimal(line["unit_price"])


def _percentage(world: World, line: JsonRow) -> str:
    if "vats" not in world.memo:
        world.memo["vats"] = {
            vat["id"]: vat["percentage"] for vat in world.store.rows("invoice_vats")
        }
    percentage: str = world.memo["vats"].get(line["invoice_vat_id"], "21.0")
    return percentage


def payers(world: World) -> list[Scope]:
    """The invoices that get payments; those that get two, twice."""
    times = {
        (str(invoice["id"]),): world.rng.choices((1, 2), (85, 15))[0]
        for invoice in world.store.rows("invoices")
        if invoice["total_open"] != invoice["total_incl"] or world.rng.random() < 0.1
    }
    world.memo["payments"] = Counter(times)
    return list(world.memo["payments"].elements())


def payments(world: World, row: JsonRow, place: Place) -> None:
    """What is paid of the invoice, in one or two parts; any further payment has failed."""
    invoice = world.get("invoices", int(place.scope["invoice_id"]))
    incl, owed = (Decimal(invoice.get(name, 0)) for name in ("total_incl", "total_open"))
    planned: Counter[Scope] = world.memo.get("payments", Counter())
    left: dict[Scope, Decimal] = world.memo.setdefault("unpaid", {})
    scope = tuple(place.scope.values())
    paid = left.get(scope, incl - owed)
    if planned[scope] > 1:
        paid = (paid / 2).quantize(CENT)
    planned[scope] -= 1
    left[scope] = left.get(scope, incl - owed) - paid
    row |= {"status": "paid" if paid else "failed", "amount": money(paid or incl)}
    row |= {"currency": "EUR", "gateway_id": world.rng.choice((None, 3))}
    created = datetime.fromisoformat(invoice.get("created_at", world.created_at))
    day = created.date() + timedelta(days=world.rng.randrange(1, 30))
    row["date"] = min(day, world.now.date()).isoformat()
