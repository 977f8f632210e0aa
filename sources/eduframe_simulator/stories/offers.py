"""The catalog: categories, courses, products and variants."""


from sources.eduframe_simulator.provider import words
from sources.eduframe_simulator.provider.store import JsonRow
from sources.eduframe_simulator.provider.values import money
from sources.eduframe_simulator.provider.world import Place, World

PRICES = (0, 95, 249.5, 395, 595, 795, 1295, 1995)


def categories(world: World, row: JsonRow, place: Place) -> None:
    nth, area = divmod(place.i, len(words.AREAS))
    row["name"] = f"{[*words.AREAS][area]} {nth + 1 if nth else ''}".strip()
    row["slug"] = words.slug(row["name"])
    above = world.ids("categories")
    thrown = world.rng.choice(above) if above and place.i % 2 else None
    row["parent_id"] = thrown and above[-1]  # thrown all the same: or all that follows were another


def _in_category(world: World, row: JsonRow, topic: str) -> None:
    """Put what is taught into the category of its topic, where there is one."""
    area = words.AREA_OF[topic]
    fitting = (row["id"] for row in world.all("categories") if row["name"] == area)
    row["category_id"] = next(fitting, row["category_id"])


def courses(world: World, row: JsonRow, place: Place) -> None:
    topic = words.TOPICS[place.i % len(words.TOPICS)]
    level = words.LEVELS[place.i // len(words.TOPICS) % len(words.LEVELS)]
    price = world.rng.choice(PRICES)
    row |= {"name": f"{topic} ({level})", "code": f"C{row['id']:04d}", "position": place.i + 1}
    row |= {"slug": words.slug(f"{row['name']} {row['id']}"), "certificate_template_id": None}
    row |= {"cost": money(price), "starting_price": money(price)}
    row["cost_scheme"] = ("order" if place.i % 9 == 4 else "student") if price else "free"
    _in_category(world, row, topic)
    old = [words.slug(f"{topic} {year}") for year in (2019, 2021, 2019)]
    row["slug_history"] = old[: world.rng.choice((0, 0, 1, 2, 3))]


def programs(world: World, row: JsonRow, place: Place) -> None:
    topic = words.TOPICS[-1 - place.i % len(words.TOPICS)]
    row["name"] = f"Program {topic}"
    _in_category(world, row, topic)
    row |= {"slug": words.slug(f"{row['name']} {row['id']}"), "cost_scheme": "student"}


def catalog_products(world: World, row: JsonRow, place: Place) -> None:
    """One for each course, then one for each program."""
    courses, programs = world.ids("courses"), world.ids("programs")
    kinds = [("Course", "courses", ident) for ident in courses]
    kinds += [("Program::Program", "programs", ident) for ident in programs]
    if not kinds:
        return
    productable_type, table, ident = kinds[place.i % len(kinds)]
    sold = world.get(table, ident)
    row |= {"productable_type": productable_type, "productable_id": ident, "name": sold["name"]}
    row |= {"cost": sold["cost"], "category_id": sold["category_id"], "slug": sold["slug"]}
    row |= {"cost_scheme": sold["cost_scheme"], "is_published": sold["is_published"]}
    world.memo.setdefault("products", {})[productable_type, ident] = row["id"]


def catalog_variants(world: World, row: JsonRow, place: Place) -> None:
    """One for each planned course, then one for each program edition."""
    planned, editions = world.ids("planned_courses"), world.ids("program_editions")
    if not planned and not editions:
        return
    i = place.i % (len(planned) + len(editions))
    if i < len(planned):
        sold = world.get("planned_courses", planned[i])
        row["variantable_type"] = "PlannedCourse"
        product = ("Course", sold["course_id"])
        shared = ("course_location_id", "course_variant_id", "end_date", "start_date", "type")
        row["properties"] = {name: sold[name] for name in shared}
    else:
        sold = world.get("program_editions", editions[i - len(planned)])
        row["variantable_type"] = "Program::Edition"
        product = ("Program::Program", sold["program_id"])
        row["properties"] |= {"course_location_id": None, "course_variant_id": None, "type": None}
        row["properties"] |= {name: sold[name] for name in ("start_date", "end_date")}
    row["product_id"] = world.memo.get("products", {}).get(product, row["product_id"])
    parent = world.get("catalog_products", row["product_id"])
    row |= {"variantable_id": sold["id"], "cost": sold["cost"], "cost_scheme": sold["cost_scheme"]}
    row["currency"] = sold.get("currency", "EUR")
    row["name"] = f"{parent.get('name', 'Course')}, {sold['start_date']}"
    row["available_places"] = sold["max_participants"] or 0
