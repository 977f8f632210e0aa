"""Users, accounts, teachers, organizations, labels; addresses and custom fields."""

from collections.abc import Iterator
from typing import Any

from sources.eduframe_simulator.provider import words
from sources.eduframe_simulator.provider.store import JsonRow
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
TEACHERS = 14 / 250
"""Which part of the users teach: the first ones."""


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


def _person(world: World, row: JsonRow) -> None:
    first, middle, last = name = words.person(world.rng)
    slug = words.slug(words.full_name(name))
    row |= {"first_name": first, "middle_name": middle, "last_name": last}
    row |= {"slug": f"{slug}-{row['id']}", "email": f"{slug}.{row['id']}@example.com"}
    addressed(row, words.full_name(name))


def users(world: World, row: JsonRow, place: Place) -> None:
    """Staff first; what the others do follows from what they did, and is filled in at the end."""
    _person(world, row)
    if place.i < round(place.n * TEACHERS):
        row["roles"] = ["admin", "teacher"] if place.i < ADMINS else ["teacher"]
    elif place.i < ADMINS and world.filling:
        row["roles"] = ["admin"]
    else:
        row["roles"] = world.rng.choice((["student"], ["student"], ["student", "customer"], []))


def teachers(world: World, row: JsonRow, place: Place) -> None:
    """The first users, and people of their own where there are more teachers than users."""
    users = world.ids("users")
    if place.i < len(users) and place.n > place.i and users[place.i] not in world.ids("teachers"):
        row["id"] = users[place.i]
    user = world.get("users", row["id"])
    if user:
        _copy(row, user)
    else:
        _person(world, row)
    row["active"] = world.rng.random() < 0.9
    if user and "teacher" not in user["roles"]:
        world.put("users", user | {"roles": [*user["roles"], "teacher"]})


def planning_teachers(world: World, row: JsonRow, place: Place) -> None:
    ids = world.ids("teachers")
    if place.i < len(ids):
        row["id"] = ids[place.i]
    user = world.get("users", row["id"])
    if user:
        _copy(row, user)
    else:
        _person(world, row)


def _copy(row: JsonRow, source: JsonRow) -> None:
    """Give the row what it has in common with another.

    Each has labels and custom fields of its own kind.
    """
    for name in row.keys() & source.keys() - {"label_ids", "custom"}:
        row[name] = source[name]


def accounts(world: World, row: JsonRow, place: Place) -> None:
    """Companies, and users who order for themselves."""
    row["personal_user_id"] = None
    owned = world.memo.setdefault("owned", set())
    user = world.get("users", student(world))
    if world.rng.random() < 0.25 and user.get("id") not in owned:
        owned.add(user.get("id"))
        row |= {"account_type": "personal", "name": name_of(user) or "Private"}
        row |= {"personal_user_id": user.get("id"), "email": user.get("email")}
    else:
        row["account_type"] = "business"
        row["name"] = words.COMPANIES[place.i % len(words.COMPANIES)]
        if place.i >= len(words.COMPANIES):
            row["name"] += f" {world.rng.choice(words.CITIES)}"
    row["slug"] = f"{words.slug(row['name'])}-{row['id']}"
    addressed(row, row["name"])


def student(world: World) -> int:
    """Some user; no teacher, if there are others. Where the list is empty, a number."""
    ids = world.ids("users")
    if not ids:
        return int(world.pick("users"))
    return int(ids[world.rng.randrange(round(len(ids) * TEACHERS), len(ids))])


def name_of(person: JsonRow) -> str:
    """First, middle and last name."""
    names = (person.get(part) for part in ("first_name", "middle_name", "last_name"))
    return " ".join(filter(None, names))


def _pair(table: str, first: tuple[str, str], second: tuple[str, str], fitting: Any = None) -> Any:
    """Rows that link two lists: each pair only once, as long as there are others.

    While all lists are made, those of ``fitting`` come first, which gives pairs of ids.
    """

    def story(world: World, row: JsonRow, place: Place) -> None:
        if table not in world.memo:
            rows = world.store.rows(table)
            taken = {(row[first[0]], row[second[0]]) for row in rows}
            wanted = fitting(world) if fitting and world.filling else ()
            world.memo[table] = taken, iter(wanted)
        taken, left = world.memo[table]
        pair = next((pair for pair in left if pair not in taken), None)
        for _ in range(50):
            if pair is not None and pair not in taken:
                break
            pair = world.pick(first[1]), world.pick(second[1])
        taken.add(pair)
        row |= dict(zip((first[0], second[0]), pair or (), strict=True))

    return story


def _members(world: World) -> Iterator[tuple[int, int]]:
    """The owners of personal accounts, then people of companies: of a few of them many."""
    companies = []
    for account in world.all("accounts"):
        if account["personal_user_id"] is None:
            companies.append(account["id"])
        else:
            yield account["id"], account["personal_user_id"]
    users = world.ids("users")
    people = users[round(len(users) * TEACHERS) :]
    firsts = world.rng.sample(people, len(people))
    yield from zip(companies, firsts, strict=False)
    for user in firsts[len(companies) :] if companies else ():
        yield companies[int(len(companies) * world.rng.random() ** 2)], user
    while companies and people:
        yield world.rng.choice(companies), world.rng.choice(people)


def _belonging(table: str, to: str) -> Any:
    """The rows of a list whose account is in an organization, with that organization."""

    def pairs(world: World) -> Iterator[tuple[int, int]]:
        groups: dict[int, list[int]] = {}
        for link in world.store.rows("organization_accounts"):
            groups.setdefault(link["account_id"], []).append(link["organization_id"])
        rows = world.store.rows(table)
        for row in world.rng.sample(rows, len(rows)):
            yield from ((group, row[to]) for group in groups.get(row["account_id"], ()))

    return pairs


def _primary(world: World) -> Iterator[tuple[int, int]]:
    for organization in world.all("organizations"):
        yield organization["id"], organization["primary_account_id"]
    companies = [row["id"] for row in world.all("accounts") if row["account_type"] == "business"]
    groups = world.ids("organizations")
    for company in companies[: 2 * len(groups)]:
        yield world.rng.choice(groups), company


_affiliated = _pair("affiliations", ("account_id", "accounts"), ("user_id", "users"), _members)
organization_accounts = _pair(
    "organization_accounts", ("organization_id", "organizations"), ("account_id", "accounts"),
    _primary,
)
organization_affiliations = _pair(
    "organization_affiliations", ("organization_id", "organizations"), ("user_id", "users"),
    _belonging("affiliations", "user_id"),
)
organization_invoices = _pair(
    "organization_invoices", ("organization_id", "organizations"), ("invoice_id", "invoices"),
    _belonging("invoices", "id"),
)
organization_orders = _pair(
    "organization_orders", ("organization_id", "organizations"), ("order_id", "orders"),
    _belonging("orders", "id"),
)


def affiliations(world: World, row: JsonRow, place: Place) -> None:
    """The first of an account is its key contact."""
    _affiliated(world, row, place)
    members = world.memo.setdefault("members", {}).setdefault(row["account_id"], [])
    row["key_contact"] = not members or world.rng.random() < 0.1
    members.append(row["user_id"])
    world.memo.setdefault("belonging", []).append(row["account_id"])


def buyers(world: World, row: JsonRow, wanted: int) -> list[int]:
    """Give an order its account and who places it. Returns up to ``wanted`` people of the account,
    for whom it is; where nobody belongs to an account, some users."""
    if not (world.filling and world.memo.get("belonging")):
        return [world.pick("users") for _ in range(wanted)]
    row["account_id"] = world.rng.choice(world.memo["belonging"])
    members = [*dict.fromkeys(world.memo["members"][row["account_id"]])]
    row["creator_id"] = world.rng.choice(members)
    return world.rng.sample(members, min(wanted, len(members)))


def organizations(world: World, row: JsonRow, place: Place) -> None:
    row["name"] = f"{words.COMPANIES[place.i % len(words.COMPANIES)]} Group"
    companies = [a["id"] for a in world.all("accounts") if a["account_type"] == "business"]
    if companies:
        row["primary_account_id"] = companies[place.i % len(companies)]


CUSTOMISED = {
    "users": "user",
    "accounts": "account",
    "teachers": "teacher",
    "catalog_products": "catalog_product",
    "catalog_variants": "catalog_variant",
    "orders": "order",
}


def _settle_down(world: World, address: JsonRow) -> None:
    """A city, and what goes with it."""
    city = world.rng.choice(words.TOWNS)
    country, code, state = words.ABROAD.get(city, ("NL", "{:04d} AB", None))
    address |= {"city": city, "country": country, "state_province": state}
    address["postal_code"] = code.format(world.rng.randrange(1000, 9999))


def addressed(row: JsonRow, name: str) -> None:
    """Put a name on the address of a row."""
    address = row.get("address")
    if address and address["addressee"] is not None:
        address["addressee"] = name


def common(table: str, world: World, row: JsonRow) -> None:
    """Labels, addresses, custom fields and linked records, wherever a row has them."""
    for address in (row.get("address"), row.get("invoice_address")):
        if address:
            _settle_down(world, address)
    if "label_ids" in row:
        row["label_ids"] = label_ids(world, table)
    if row.get("custom") is not None:
        row["custom"] = custom.answers(world, CUSTOMISED.get(table, "catalog_product"))
    if row.get("custom_associations") is not None:
        row["custom_associations"] = custom.linked_records(world, table)
