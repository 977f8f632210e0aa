"""When all lists are made: columns that sum up other lists, and what was there and is gone."""

from collections import Counter
from datetime import datetime, timedelta
from itertools import pairwise

from sources.eduframe_simulator.provider.store import Ident, JsonRow
from sources.eduframe_simulator.provider.values import born, timestamp
from sources.eduframe_simulator.provider.world import World

COUNTED = (
    ("accounts", "users_count", "affiliations", "account_id"),
    ("categories", "courses_count", "courses", "category_id"),
    ("categories", "products_count", "catalog_products", "category_id"),
    ("categories", "children_count", "categories", "parent_id"),
    ("teachers", "teacher_enrollments_count", "teacher_enrollments", "teacher_id"),
    ("planning_teachers", "teacher_enrollments_count", "teacher_enrollments", "teacher_id"),
    ("users", "teacher_enrollments_count", "teacher_enrollments", "teacher_id"),
    ("discount_codes", "usage_count", "orders", "discount_code"),
)
"""Columns that hold how many rows of another list there are."""
FEW = 3
"""From how few places on a variant's availability is limited."""


def settle(world: World) -> None:
    """Fill the columns that sum up other lists."""
    for table, column, counted, by in COUNTED:
        counts = Counter(row.get(by) for row in world.all(counted))
        key = "discount_code" if by == "discount_code" else "id"
        for row in world.all(table):
            if counts[row[key]]:
                world.put(table, row | {column: counts[row[key]]})
    enrolled = _occupy(world)
    _offer(world, enrolled)
    _play_roles(world)


def _occupy(world: World) -> Counter[tuple[str, Ident]]:
    """How full planned courses and editions are, and what courses cost at least."""
    taken = Counter(
        ("PlannedCourse", row["planned_course_id"])
        for row in world.all("enrollments")
        if row["status"] != "canceled"
    )
    taken.update(
        ("Program::Edition", row["edition_id"])
        for row in world.all("program_enrollments")
        if row["state"] != "canceled"
    )
    requested: Counter[Ident] = Counter()
    for order in world.all("orders"):
        if order["status"] == "requested":
            variant = world.get("catalog_variants", order["catalog_variant_id"])
            if variant.get("variantable_type") == "PlannedCourse":
                requested[variant["variantable_id"]] += order["number_of_students"]
    prices: dict[Ident, list[str]] = {}
    for row in world.store.rows("planned_courses"):
        count = taken["PlannedCourse", row["id"]]
        left = row["max_participants"] is None or row["max_participants"] > count
        row |= {"current_participants": count, "available_places": left}
        row["requested_enrollments_count"] = requested[row["id"]]
        row["confirmed_active_and_completed_enrollments_count"] = count
        world.put("planned_courses", row)
        if row["currency"] == "EUR" and row["status"] != "canceled" and row["cost"] is not None:
            prices.setdefault(row["course_id"], []).append(row["cost"])
    for row in world.all("courses"):
        if row["id"] in prices:
            world.put("courses", row | {"starting_price": min(prices[row["id"]], key=float)})
    for row in world.all("program_editions"):
        world.put(
            "program_editions",
            row | {"current_participants": taken["Program::Edition", row["id"]]},
        )
    return taken


def _offer(world: World, taken: Counter[tuple[str, Ident]]) -> None:
    """How many places of catalog variants are left; 0, but available, where any number is."""
    tables = {"PlannedCourse": "planned_courses", "Program::Edition": "program_editions"}
    for row in world.store.rows("catalog_variants"):
        kind, ident = row["variantable_type"], row["variantable_id"]
        most = world.get(tables[kind], ident).get("max_participants")
        left = 0 if most is None else max(most - taken[kind, ident], 0)
        row["available_places"] = left
        row["availability"] = "limited_availability" if left < FEW else "available"
        if most is None or not left:
            row["availability"] = "available" if most is None else "not_available"
        world.put("catalog_variants", row)


def _play_roles(world: World) -> None:
    """Who takes part is a student, and who places orders a customer."""
    students = {row["student_id"] for row in world.all("enrollments")}
    students |= {row["student_id"] for row in world.all("program_enrollments")}
    customers = {row["creator_id"] for row in world.all("orders")}
    for row in world.all("users"):
        roles = [role for role in row["roles"] if role in ("admin", "teacher")]
        roles += ["customer"] if row["id"] in customers else []
        roles += ["student"] if row["id"] in students else []
        if roles and roles != row["roles"]:
            world.put("users", row | {"roles": roles})


def gone(world: World) -> list[tuple[str, JsonRow]]:
    """Orders that were placed twice and deleted, with their items, and users that were there
    twice and merged. Their ids are among those of the rows that are left."""
    found = []
    for table, wanted in (("orders", 2), ("users", 2)):
        ids = world.ids(table)
        free = [i for i, after in pairwise(ids) if after > i + 1]
        for ident in free[len(free) // 2 :][:wanted]:
            found.append((table, _twice(world, table, world.store.get(table, ident) or {})))
    return found


def _twice(world: World, table: str, row: JsonRow) -> JsonRow:
    """The same once more, made a little later."""
    row["id"] += 1
    later = datetime.fromisoformat(row["created_at"]) + timedelta(minutes=3)
    born(row, timestamp(min(later, world.now)))
    if table == "users":
        row |= {"slug": f"{row['slug']}-2", "email": f"private.{row['email']}"}
    else:
        row["status"] = "requested"
        for item in row["order_items"] or []:
            item |= {"id": world.nested_id(), "order_id": row["id"]}
            born(item, row["created_at"])
    return row
