"""Users, accounts, teachers, organizations, leads, labels and tasks."""

from typing import Any

from sources.eduframe_simulator.provider import words
from sources.eduframe_simulator.provider.store import JsonRow
from sources.eduframe_simulator.provider.values import money
from sources.eduframe_simulator.provider.world import Place, World
from sources.eduframe_simulator.stories import custom

LABELLED = {
    "accounts": "Account",
    "courses": "Catalog::Product",
    "catalog_products": "Catalog::Product",
    "leads": "Lead",
    "orders": "Order",
    "program_enrollments": "Program::Enrollment",
    "tasks": "Task",
    "teachers": "Teacher",
    "planning_teachers": "Teacher",
    "users": "User",
}
"""Lists whose rows have labels, and the kind of label they have."""
ADMINS = 5
SUBJECTS = {
    "Course": "courses",
    "Account": "accounts",
    "User": "users",
    "Lead": "leads",
    "Invoice": "invoices",
    "PlannedCourse": "planned_courses",
    "Order": "orders",
    "Program::Program": "programs",
    "Program::Edition": "program_editions",
}


def labels(world: World, row: JsonRow, place: Place) -> None:
    kinds = tuple(dict.fromkeys(LABELLED.values()))
    row["model_type"] = kinds[place.i % len(kinds)]
    row["name"] = f"{world.rng.choice(words.PLAIN)} {place.i}"
    world.memo.setdefault("labels", {}).setdefault(row["model_type"], []).append(row["id"])


def label_ids(world: World, table: str) -> list[int]:
    """Labels of the kind that fits the list; none for most rows."""
    if "labels" not in world.memo:
        found: dict[str, list[int]] = {}
        for label in world.store.rows("labels"):
            found.setdefault(label["model_type"], []).append(label["id"])
        world.memo["labels"] = found
    fitting = world.memo["labels"].get(LABELLED[table], [])
    return world.rng.sample(fitting, min(len(fitting), world.rng.choice((0, 0, 0, 1, 1, 2, 3))))


def _person(world: World, row: JsonRow) -> words.Person:
    first, middle, last = name = words.person(world.rng)
    slug = words.slug(words.full_name(name))
    row |= {"first_name": first, "middle_name": middle, "last_name": last}
    row |= {"slug": f"{slug}-{row['id']}", "email": f"{slug}.{row['id']}@example.com"}
    return name


def users(world: World, row: JsonRow, place: Place) -> None:
    _person(world, row)
    if place.i < ADMINS:
        row["roles"] = ["admin", "teacher"]
    elif place.i < 20:
        row["roles"] = ["teacher"]
    else:
        row["roles"] = world.rng.choice((["student"], ["student"], ["student", "customer"], []))


def teachers(world: World, row: JsonRow, place: Place) -> None:
    """The first users, and people of their own where there are more teachers than users."""
    users = world.ids("users")
    if place.i < len(users) and place.n > place.i and users[place.i] not in world.ids("teachers"):
        row["id"] = users[place.i]
    _copy(row, world.get("users", row["id"])) or _person(world, row)
    row["active"] = world.rng.random() < 0.9


def planning_teachers(world: World, row: JsonRow, place: Place) -> None:
    ids = world.ids("teachers")
    if place.i < len(ids):
        row["id"] = ids[place.i]
    _copy(row, world.get("users", row["id"])) or _person(world, row)


def _copy(row: JsonRow, source: JsonRow) -> bool:
    """Give the row what it has in common with another; False where there is no other.

    Each has labels and custom fields of its own kind.
    """
    for name in row.keys() & source.keys() - {"label_ids", "custom"}:
        row[name] = source[name]
    return bool(source)


def accounts(world: World, row: JsonRow, place: Place) -> None:
    row["personal_user_id"] = None
    if world.rng.random() < 0.25:
        user = world.get("users", world.pick("users"))
        names = [user.get(part) for part in ("first_name", "middle_name", "last_name")]
        row |= {"account_type": "personal", "name": " ".join(filter(None, names)) or "Private"}
        row |= {"personal_user_id": user.get("id"), "email": user.get("email")}
    else:
        row["account_type"] = "business"
        row["name"] = words.COMPANIES[place.i % len(words.COMPANIES)]
        if place.i >= len(words.COMPANIES):
            row["name"] += f" {world.rng.choice(words.CITIES)}"
    row["slug"] = f"{words.slug(row['name'])}-{row['id']}"


def _pair(table: str, first: tuple[str, str], second: tuple[str, str]) -> Any:
    """Rows that link two lists: each pair only once, as long as there are others."""

    def story(world: World, row: JsonRow, place: Place) -> None:
        if table not in world.memo:
            rows = world.store.rows(table)
            world.memo[table] = {(row[first[0]], row[second[0]]) for row in rows}
        taken = world.memo[table]
        for _ in range(50):
            pair = world.pick(first[1]), world.pick(second[1])
            if pair not in taken:
                break
        taken.add(pair)
        row[first[0]], row[second[0]] = pair

    return story


affiliations = _pair("affiliations", ("account_id", "accounts"), ("user_id", "users"))
organization_accounts = _pair(
    "organization_accounts", ("organization_id", "organizations"), ("account_id", "accounts")
)
organization_affiliations = _pair(
    "organization_affiliations", ("organization_id", "organizations"), ("user_id", "users")
)
organization_invoices = _pair(
    "organization_invoices", ("organization_id", "organizations"), ("invoice_id", "invoices")
)
organization_orders = _pair(
    "organization_orders", ("organization_id", "organizations"), ("order_id", "orders")
)


def organizations(world: World, row: JsonRow, place: Place) -> None:
    row["name"] = f"{words.COMPANIES[place.i % len(words.COMPANIES)]} Group"


def leads(world: World, row: JsonRow, place: Place) -> None:
    row["title"] = f"In-company {world.rng.choice(words.TOPICS)}"
    row["status"] = world.rng.choice(("prospect", "prospect", "waiting_list", "won", "lost"))
    row["value"] = world.rng.choice((None, money(world.rng.randrange(5, 200) * 100)))
    for item in row.get("courses_leads") or []:
        planned = world.get("planned_courses", world.pick("planned_courses"))
        item |= {"lead_id": row["id"], "planned_course_id": planned.get("id")}
        item["course_id"] = planned.get("course_id", item["course_id"])
    for item in row.get("lead_products") or []:
        variant = world.get("catalog_variants", world.pick("catalog_variants"))
        item["catalog_variant_id"] = variant.get("id")
        item["catalog_product_id"] = variant.get("product_id", item["catalog_product_id"])


def tasks(world: World, row: JsonRow, place: Place) -> None:
    row["name"] = f"{world.rng.choice(('Call', 'Mail', 'Plan', 'Check'))} {place.i}"
    row["due_date"] = world.rng.choice((None, row["due_date"]))
    if world.rng.random() < 0.4:
        row |= {"completed_at": None, "completed_by_id": None}
    if row["subject_type"] is None:
        row["subject_id"] = None
    else:
        row["subject_id"] = world.pick(SUBJECTS[row["subject_type"]])


CUSTOMISED = {
    "users": "user",
    "accounts": "account",
    "teachers": "teacher",
    "catalog_products": "catalog_product",
    "catalog_variants": "catalog_variant",
    "orders": "order",
}


def common(table: str, world: World, row: JsonRow) -> None:
    """Labels, addresses, custom fields and linked records, wherever a row has them."""
    for address in (row.get("address"), row.get("invoice_address")):
        if address and address["country"] != "US":
            address["state_province"] = None
    if "label_ids" in row:
        row["label_ids"] = label_ids(world, table)
    if row.get("custom") is not None:
        row["custom"] = custom.answers(world, CUSTOMISED.get(table, "catalog_product"))
    if row.get("custom_associations") is not None:
        row["custom_associations"] = custom.linked_records(world, table)
