"""The educator, custom fields and objects, webhooks."""


from sources.eduframe_simulator.provider import words
from sources.eduframe_simulator.provider.store import JsonRow
from sources.eduframe_simulator.provider.world import Place, World
from sources.eduframe_simulator.stories.custom import ASSOCIATIONS, OBJECTS, QUESTIONS, answer


def educators(world: World, row: JsonRow, place: Place) -> None:
    row |= {"id": world.educator_id, "slug": "demo-academy", "name": "Demo Academy"}
    row |= {"currency": "EUR", "country": "NL", "locale": "nl", "time_zone": "Amsterdam"}
    row |= {"email": "info@example.com", "default_invoice_vat_multiplier": "0.21"}


def signup_questions(world: World, row: JsonRow, place: Place) -> None:
    question = QUESTIONS[place.i % len(QUESTIONS)]
    again = place.i // len(QUESTIONS)
    slug = f"{question.slug} {again}" if again else question.slug
    row |= {"for_type": question.for_type, "slug": slug, "field_type": question.field_type}
    row |= {"title": f"{slug.capitalize()}?", "choices": list(question.choices)}
    row["visibility"] = ["customer", "student", "administrator"][: place.i % 4]


def custom_field_options(world: World, row: JsonRow, place: Place) -> None:
    row["value"] = f"{place.scope['field_slug']}: {world.rng.choice(words.PLAIN)}"


def custom_associations(world: World, row: JsonRow, place: Place) -> None:
    known = ASSOCIATIONS.get(place.scope["object_type"], ("rooms",))
    linked = world.store.list_at("custom_associations", (place.scope["object_type"],)).idents
    slug = known[len(linked) % len(known)]
    if len(linked) >= len(known):
        slug += f" {len(linked)}"
    row |= {"slug": slug, "name": slug.capitalize()}
    objects = list(world.store.list_at("custom_objects"))
    if objects:
        target = next((found for found in objects if found["slug"] == slug), objects[0])
        names = ("id", "slug", "name_singular", "name_plural")
        row["custom_object"] = {name: target[name] for name in names}


def custom_records(world: World, row: JsonRow, place: Place) -> None:
    slug = place.scope["object_slug"]
    fields = next((fields for name, _, fields in OBJECTS if name == slug), OBJECTS[0][2])
    row["display_name"] = f"{slug} {place.i}"
    row["properties"] = {
        field: answer(world, field_type, ())
        for field, field_type in fields
        if world.rng.random() < 0.9
    }


def webhook_notifications(world: World, row: JsonRow, place: Place) -> None:
    _called(world, row, place)
    for attempt in row["send_attempts"]:
        attempt |= {"status_code": world.rng.choice((200, 500, 503)), "response": "<html>é</html>"}


def webhook_failed_notifications(world: World, row: JsonRow, place: Place) -> None:
    _called(world, row, place)


def _called(world: World, row: JsonRow, place: Place) -> None:
    row["data"] = {"event": "user.updated", "event_data": {"id": world.pick("users"), "n": [1.5]}}
