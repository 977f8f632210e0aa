"""Which path leads where."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from sources.eduframe.declare import Endpoint
from sources.eduframe.endpoints import COVERED, ENDPOINTS
from sources.eduframe_simulator.provider.store import BY_TABLE

Kind = Literal["list", "item", "detail", "covered"]


@dataclass(frozen=True)
class Covering:
    """A list that repeats another's rows: those with a parent's id, or one row's nested list."""

    table: str
    parent: str
    column: str | None = None
    field: str | None = None
    paged: bool = True


COVERINGS = {
    "/courses/{course_id}/planned_courses": Covering(
        "planned_courses", "courses", column="course_id"
    ),
    "/planned_courses/{planned_course_id}/meetings": Covering(
        "meetings", "planned_courses", column="planned_course_id", paged=False
    ),
    "/planned_courses/{planned_course_id}/teacher_enrollments": Covering(
        "teacher_enrollments", "planned_courses", column="planned_course_id", paged=False
    ),
    "/meetings/{id}/materials": Covering("meetings", "meetings", field="planning_materials"),
    "/planning/events/{id}/materials": Covering(
        "planning_events", "planning_events", field="planning_materials"
    ),
}


@dataclass(frozen=True)
class Route:
    """A path with parameters, and what it reads."""

    template: str
    kind: Kind
    endpoint: Endpoint
    paged: bool = False
    covering: Covering | None = None

    @property
    def parts(self) -> list[str]:
        return self.template.split("/")

    def match(self, parts: list[str]) -> dict[str, str] | None:
        """The parameters' values, or None where the path is another one."""
        if len(parts) != len(self.parts):
            return None
        params: dict[str, str] = {}
        for expected, part in zip(self.parts, parts, strict=True):
            if expected.startswith("{"):
                params[expected[1:-1]] = part
            elif expected != part:
                return None
        return params


def _routes() -> list[Route]:
    routes = []
    for endpoint in ENDPOINTS:
        routes.append(Route(endpoint.path, "list", endpoint, endpoint.paged))
        if endpoint.item_path:
            routes.append(Route(endpoint.item_path, "item", endpoint))
        if endpoint.detail_path:
            routes.append(Route(endpoint.detail_path, "detail", endpoint))
    for covered in COVERED:
        covering = COVERINGS[covered.path]
        endpoint = BY_TABLE[covering.table]
        routes.append(Route(covered.path, "covered", endpoint, covering.paged, covering))
    # Where two paths match, the one whose words come first is meant.
    return sorted(routes, key=lambda route: [part.startswith("{") for part in route.parts])


def _by_length(routes: list[Route]) -> Mapping[int, list[Route]]:
    found: dict[int, list[Route]] = {}
    for route in routes:
        found.setdefault(len(route.parts), []).append(route)
    return found


ROUTES = _by_length(_routes())


def find(parts: list[str]) -> tuple[Route, dict[str, str]] | None:
    """The route that a path takes, given as its parts, and its parameters."""
    for route in ROUTES.get(len(parts), ()):
        params = route.match(parts)
        if params is not None:
            return route, params
    return None
