"""Orders, and what they are made with."""

from collections import deque
from datetime import timedelta
from decimal import ROUND_HALF_UP, Decimal

from sources.eduframe_simulator.provider.store import JsonRow
from sources.eduframe_simulator.provider.values import money
from sources.eduframe_simulator.provider.world import Place, World
from sources.eduframe_simulator.stories import people, planning
from sources.eduframe_simulator.stories.learning import classes

VATS = (("21 %", "21.0"), ("9 %", "9.0"), ("vrijgesteld", "0.0"))
CENT = Decimal("0.01")
DISCOUNTS = (("fixed", 25), ("percentage", 10), ("fixed", 10), ("percentage", 12.5))


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
    """Each of them is good for half a year."""
    kind, amount = DISCOUNTS[place.i % len(DISCOUNTS)]
    row |= {"name": f"Action {place.i}", "discount_code": f"ACTION{place.i:02d}"}
    row |= {"discount_type": kind, "amount": amount, "max_usage": None, "usage_count": 0}
    start = world.today - timedelta(days=730 - 90 * (place.i % 8))
    row |= {
        "start_date": start.isoformat(),
        "expiration_date": (start + timedelta(days=180)).isoformat(),
    }


def referrals(world: World, row: JsonRow, place: Place) -> None:
    row["name"] = ("Google", "Friend", "Fair", "Newsletter", "Employer", "Other / anders")[
        place.i % 6
    ]


def orders(world: World, row: JsonRow, place: Place) -> None:
    """Places in a catalog variant, for people of one account; a discount now and then."""
    weights = (88, 8, 4, 0) if world.filling else (85, 7, 3, 5)
    if world.filling and place.i >= 0.95 * place.n:  # Not every new order is approved yet.
        weights = (60, 0, 0, 40)
    status = world.rng.choices(("active", "canceled", "denied", "requested"), weights)[0]
    year, room = int(row["created_at"][:4]), 10_000 if place.i < 10_000 else 10_000_000
    row |= {"number": year * room + place.i, "status": status}
    students = people.buyers(world, row, world.rng.choice((1, 1, 1, 2, 3, 6)))
    students = _chosen(world, row, students)
    variant = world.get("catalog_variants", row["catalog_variant_id"])
    row["number_of_students"] = len(students)
    row |= {"cost": variant.get("cost"), "cost_scheme": variant.get("cost_scheme", "student")}
    row["origin"] = world.rng.choice(("website", "admin", "api"))
    _price(world, row, variant)
    if variant.get("variantable_type") == "PlannedCourse" and "planned_course_id" in row:
        row["planned_course_id"] = variant["variantable_id"]
    else:
        row.pop("planned_course_id", None)
    row["order_items"] = [
        {
            "id": world.nested_id(),
            "order_id": row["id"],
            "student_id": student,
            "updated_at": row["updated_at"],
            "created_at": row["created_at"],
        }
        for student in students
    ]
    if world.filling and status in ("active", "canceled"):
        _enroll(world, row, variant)


def _chosen(world: World, row: JsonRow, students: list[int]) -> list[int]:
    """Choose what is ordered: mostly a planned course with places left. Returns for whom."""
    variants = world.ids("catalog_variants")
    planned = len(world.ids("planned_courses"))
    if not (world.filling and variants and planned):
        return students
    if len(variants) > planned and world.rng.random() < 0.06:
        there = world.memo.setdefault("program students", set())
        later = [
            ident for ident in variants[planned:]
            if _begins(world, ident) > row["created_at"][:10]
            and not any((ident, student) in there for student in students)
        ]
        if later:
            row["catalog_variant_id"] = chosen = world.rng.choice(later)
            there.update((chosen, student) for student in students)
            return students
    for _ in range(8):
        nth = planning.soon(world, row["created_at"])
        at = world.rng.randrange(planned) if nth is None else nth
        row["catalog_variant_id"] = variants[at % len(variants)]
        variant = world.get("catalog_variants", row["catalog_variant_id"])
        given = world.get("planned_courses", variant["variantable_id"])
        if row["status"] in ("denied", "requested") or classes(world).take(given, students):
            return students
        students = students[: 1 + len(students) // 2]
    if row["status"] == "active":  # There is no place left for them.
        row["status"] = "denied"
    return students


def _begins(world: World, variant_id: int) -> str:
    found: str = world.get("catalog_variants", variant_id)["properties"]["start_date"] or ""
    return found


def _price(world: World, row: JsonRow, variant: JsonRow) -> None:
    """What it costs in all: the price by its scheme, less a discount, and VAT."""
    units = {"student": row["number_of_students"], "order": 1}.get(row["cost_scheme"], 0)
    gross = Decimal(row["cost"] or 0) * units
    discount = _discount(world, row, gross) if row.get("discount_code") is not None else None
    if discount is None:
        row.pop("total_discount", None)
        row.pop("discount_code", None)
    else:
        row["total_discount"] = money(discount)
    excl = gross - (discount or 0)
    row |= {
        "total_cost_excl": money(excl),
        "total_cost_incl": money(with_vat(excl, VATS[vat_of(variant)][1])),
    }


def _discount(world: World, row: JsonRow, gross: Decimal) -> Decimal | None:
    """What a code takes off that is good on that day; None where there is no such code."""
    day = row["created_at"][:10]
    codes = [
        code
        for code in world.all("discount_codes")
        if code["start_date"] <= day <= code["expiration_date"]
    ]
    if not codes or world.rng.random() > 0.25:
        return None
    code = world.rng.choice(codes)
    row["discount_code"] = code["discount_code"]
    amount = Decimal(str(code["amount"]))
    off = amount if code["discount_type"] == "fixed" else gross * amount / 100
    return min(off.quantize(CENT, ROUND_HALF_UP), gross)


def vat_of(variant: JsonRow) -> int:
    """The place of its rate in the list of rates: some courses are exempt."""
    return 2 if variant.get("product_id", 1) % 6 == 0 else 0


def with_vat(excl: Decimal, percentage: str) -> Decimal:
    """An amount with VAT, to the cent."""
    return (excl * (1 + Decimal(percentage) / 100)).quantize(CENT, ROUND_HALF_UP)


def _enroll(world: World, row: JsonRow, variant: JsonRow) -> None:
    """Have enrollments made of it."""
    places: deque[tuple[JsonRow, int]] | list[tuple[JsonRow, int]]
    places = world.memo.setdefault("ordered programs", [])
    if variant.get("variantable_type") == "PlannedCourse":
        places = classes(world).ordered
    elif row["status"] != "active":
        return
    places.extend((row, item["student_id"]) for item in row["order_items"])
