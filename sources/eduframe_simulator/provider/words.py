"""Words to make up names and texts of."""

import random
import re
import unicodedata

Person = tuple[str, str | None, str]
"""First, middle and last name."""


def _split(text: str) -> tuple[str, ...]:
    return tuple(text.split("|"))


FIRST_NAMES = _split(
    "Anna|Bram|Chloé|Daan|Emma|Fatima|Guus|Hanna|İpek|Jan|Koen|Lieke|Mohammed|Noor|Olaf|Pien|"
    "Quinten|Roos|Sanne|Thijs|Uğur|Vera|Willem|Xandra|Yara|Zoë|Łukasz|Björk|Séamus|美咲"
)
MIDDLE_NAMES = (None, None, None, None, "van", "de", "van der", "van den", "'t")
LAST_NAMES = _split(
    "Jansen|Visser|Bakker|Dijk|Berg|Mulder|Hooft|O'Brien|Çelik|Müller|Nuñez|Smit|Vos|Brink|"
    "Çetin-Aksoy|Peeters|Dekker|Guðmundsdóttir|Ng|Kowalski|Winter|Leeuwen|Haan|Wit"
)
COMPANIES = _split(
    "Noordzee Logistics|Bouwbedrijf Van Dam & Zn.|Stichting De Linde|Café 't Hoekje|Acme Training|"
    'Zorggroep Maas|Gemeente Hoogeveen|Müller GmbH|Fjord ehf|Software "Nova" B.V.|Orange Energy|'
    "Het Groene Hart|Delta Advies|Royal Dutch Bakers|Van Gogh Media|Blauwe Vogel Reizen"
)
CITIES = _split("Amsterdam|Utrecht|Rotterdam|'s-Hertogenbosch|Groningen|Antwerpen|Reykjavík")
ABROAD = {
    "Antwerpen": ("BE", "{:04d}", None),
    "Reykjavík": ("IS", "{:03d}", None),
    "Köln": ("DE", "5{:04d}", None),
    "Boston": ("US", "0{:04d}", "MA"),
}
"""Cities that are not in the Netherlands: country, postal code, and state where there are some."""
TOWNS = (*CITIES, *CITIES[:5], *ABROAD)
"""Where people live; most of them in the Netherlands."""
STREETS = _split("Keizersgracht|Dorpsstraat|Laan van Meerdervoort|Parkweg|Stationsplein")
TOPICS = _split(
    "Project Management|First Aid|Data Analysis|Leadership|Dutch for Beginners|Bookkeeping|"
    "Safety at Work|Web Design|Negotiation|Public Speaking|Nursing Update|Café Management|"
    "Agile & Scrum|Welding|Photography|Risk Assessment|Conversational English|Horticulture"
)
AREAS = {
    "Business": _split("Bookkeeping|Café Management"),
    "Management": _split("Project Management|Leadership|Agile & Scrum"),
    "Safety and Health": _split("First Aid|Safety at Work|Risk Assessment"),
    "Care": _split("Nursing Update"),
    "Communication": _split("Negotiation|Public Speaking"),
    "Languages": _split("Dutch for Beginners|Conversational English"),
    "Crafts": _split("Welding|Photography|Horticulture"),
    "Computers": _split("Data Analysis|Web Design"),
}
"""The categories of courses, and their topics; each second one belongs to the one before it."""
AREA_OF = {topic: area for area, topics in AREAS.items() for topic in topics}
LEVELS = _split("Basic|Advanced|Refresher|Master Class|in één dag")
ROOMS = _split("Aula|Room 1.01|Room 1.02|Studio|Werkplaats|Online|Library|Lab")
THINGS = _split("Beamer|Laptop|Workbook|First-aid kit|Flip chart|Camera|Welding mask|Manual")
PLAIN = _split("north|south|spring|autumn|standard|special|internal|website|phone|fair")
REMARKS = (
    "Called back; will decide next week.",
    "Prefers mornings",
    'Said: "looking forward to it"',
    "First line\nSecond line\n\tand an indented third",
    "",
    "Größe, naïve café, 50 % off ☕🎓",
    "path\\to\\file; it's <b>bold</b> & done",
    "null",
    "0012",
    "日本語のメモ",
    "2026-02-30",
)


def person(rng: random.Random) -> Person:
    """A made-up name."""
    return rng.choice(FIRST_NAMES), rng.choice(MIDDLE_NAMES), rng.choice(LAST_NAMES)


def full_name(name: Person) -> str:
    """The name as one string."""
    return " ".join(part for part in name if part)


def slug(text: str) -> str:
    """The text in lower-case ASCII letters, digits and hyphens."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-") or "x"
