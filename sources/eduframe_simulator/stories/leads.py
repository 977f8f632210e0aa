"""Leads, what became of them, and tasks."""

from bisect import bisect_left
from datetime import datetime, timedelta
from typing import Any

from schemas.eduframe.models.educator import SUBJECTS
from sources.eduframe_simulator.provider import words
from sources.eduframe_simulator.provider.store import JsonRow
from sources.eduframe_simulator.provider.values import money, timestamp
from sources.eduframe_simulator.provider.world import Place, World
from sources.eduframe_simulator.stories import people

PATIENCE_DAYS = 90
"""After how long a lead of which nothing came counts as lost."""


def leads(world: World, row: JsonRow, place: Place) -> None:
    """Some lead to an order in the weeks after, others come to nothing, or may still."""
    created = datetime.fromisoformat(row["created_at"])
    order = _next_order(world, created) if world.rng.random() < 0.45 else {}
    admins = world.ids("users")[: people.ADMINS]
    if admins and row["administrator_id"] is not None:
        row["administrator_id"] = world.rng.choice(admins)
    row["quality"] = world.rng.choice((None, "1", "2", "3", "4", "5"))
    row["creation_method"] = world.rng.choice(("website", "admin", "api"))
    if order:
        _known(world, row, order)
    else:
        _stranger(world, row)
    waits = world.now - created < timedelta(days=PATIENCE_DAYS)
    if order.get("status") == "active":
        row["status"] = "won"
    elif order or waits:
        row["status"] = world.rng.choice(("prospect", "prospect", "waiting_list"))
    else:
        row["status"] = world.rng.choice(("lost", "lost", "lost", "archive"))
    people.addressed(row, people.name_of(row))
    _interest(world, row, order)


def _next_order(world: World, created: datetime) -> JsonRow:
    """An order that was placed in the weeks after, and counts or may; nothing, if there is none."""
    if not world.filling:
        return {}
    if "placed" not in world.memo:
        world.memo["placed"] = [row["created_at"] for row in world.all("orders")]
    placed: list[str] = world.memo["placed"]
    nth = bisect_left(placed, timestamp(created + timedelta(days=world.rng.randrange(2, 45))))
    for order_id in world.ids("orders")[nth : nth + 5]:
        order = world.get("orders", order_id)
        if order["status"] in ("active", "requested"):
            return order
    return {}


def _known(world: World, row: JsonRow, order: JsonRow) -> None:
    """The lead is who placed the order."""
    user = world.get("users", order["creator_id"] or 0)
    account = world.get("accounts", order["account_id"])
    row |= {"user_id": user.get("id"), "account_id": order["account_id"]}
    business = account.get("account_type") == "business"
    row["company_name"] = account["name"] if business else None
    for name in ("first_name", "middle_name", "last_name", "email"):
        row[name] = user.get(name, row[name])
    if world.rng.random() < 0.2:  # As a person only, whose account nobody looked up.
        row["account_id"] = None


def _stranger(world: World, row: JsonRow) -> None:
    """Somebody who is no customer yet."""
    first, middle, last = name = words.person(world.rng)
    row |= {"first_name": first, "middle_name": middle, "last_name": last}
    row["email"] = f"{words.slug(words.full_name(name))}.lead{row['id']}@example.com"
    row |= {"user_id": None, "account_id": None}
    if row["company_name"] is not None:
        row["company_name"] = world.rng.choice(words.COMPANIES)


def _interest(world: World, row: JsonRow, order: JsonRow) -> None:
    """What the lead would like to have: what was ordered then, and other things."""
    ordered: Any = order.get("catalog_variant_id")
    wanted = [
        world.get("catalog_variants", ordered or world.pick("catalog_variants"))
        for ordered in (ordered, None, None, None)
    ]
    product = world.get("catalog_products", wanted[0].get("product_id", 0))
    row["title"] = product.get("name", f"In-company {world.rng.choice(words.TOPICS)}")
    for item, variant in zip(row.get("courses_leads") or [], wanted, strict=False):
        if variant.get("variantable_type") == "Program::Edition":
            variant = world.get("catalog_variants", world.ids("catalog_variants")[0])
        planned = world.get("planned_courses", variant.get("variantable_id", 0))
        item |= {"lead_id": row["id"], "planned_course_id": planned.get("id")}
        item["course_id"] = planned.get("course_id", item["course_id"])
    for item, variant in zip(row.get("lead_products") or [], wanted, strict=False):
        item["catalog_variant_id"] = variant.get("id")
        item["catalog_product_id"] = variant.get("product_id", item["catalog_product_id"])
    if row["value"] is not None:
        guess = float(wanted[0].get("cost") or 0) * world.rng.choice((1, 2, 6))
        row["value"] = order.get("total_cost_excl") or money(guess)


def tasks(world: World, row: JsonRow, place: Place) -> None:
    """What people of the staff have to do."""
    row["name"] = f"{world.rng.choice(('Call', 'Mail', 'Plan', 'Check'))} {place.i}"
    created = datetime.fromisoformat(row["created_at"])
    due = (created + timedelta(days=world.rng.randrange(1, 30))).date().isoformat()
    row["due_date"] = world.rng.choice((None, due))
    staff = world.ids("users")[: people.ADMINS]
    if staff and world.filling:
        row["creator_id"] = world.rng.choice(staff)
        for who in ("assigned_by_id", "assignee_id", "completed_by_id"):
            row[who] = row[who] and world.rng.choice(staff)
    done = created + timedelta(days=world.rng.expovariate(1 / 10))
    if done > world.now or world.rng.random() < 0.2:
        row |= {"completed_at": None, "completed_by_id": None}
    elif row["completed_at"] is not None:
        row["completed_at"] = timestamp(done)
        row["updated_at"] = max(row["updated_at"], row["completed_at"])
    if row["subject_type"] is None:
        row["subject_id"] = None
    else:
        row["subject_id"] = world.pick(SUBJECTS[row["subject_type"]])
