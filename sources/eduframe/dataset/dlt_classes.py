"""dlt's source and resource, as far as ours do more: limits count pages of lists, and a source
tells which lists failed."""

from collections.abc import Mapping
from typing import Any, Self

from dlt.common.schema import Schema
from dlt.extract import DltResource, DltSource
from dlt.extract.items_transform import LimitItem

from sources.eduframe.errors import ListsFailedError

Failed = dict[str, str]
"""List to the reason why it was not read to its end."""


class PageLimit(LimitItem):
    """A limit that the reading obeys: it counts pages of a list, or its rows, each with its nested
    parts. What was read passes; to count tables would cut rows off from their parts."""

    def bind(self, pipe: Any) -> "PageLimit":
        return self

    def __call__(self, item: Any, meta: Any = None) -> Any:
        return item

    def reached(self, pages: int, rows: int, seconds: float) -> bool:
        """Whether to read no further, after so many pages, rows and seconds."""
        if self.max_time and seconds > self.max_time:
            return True
        return 0 <= self.max_items <= (rows if self.count_rows else pages)


class EduframeResource(DltResource):
    """A list, or a shared child table."""

    failed: Failed = {}  # noqa: RUF012
    """That of the source."""

    def add_limit(
        self,
        max_items: int | None = None,
        max_time: float | None = None,
        count_rows: bool | None = False,
    ) -> Self:
        """Read so many pages of the list (or rows, or for so many seconds) and no more."""
        self._pipe.remove_by_type(LimitItem)
        return self.add_step(PageLimit(max_items, max_time, bool(count_rows)))

    def _clone(self, **how: Any) -> Self:
        made = super()._clone(**how)
        made.failed = self.failed
        # dlt's clone has the hints of its main table alone
        made._hints_variants = {n: self._clone_hints(h) for n, h in self._hints_variants.items()}
        return made

    @property
    def disposition(self) -> str:
        """How rows are written: ``merge``, ``replace``, ``append`` or ``skip``.

        A disposition that follows from the rows cannot be told before there are any: ``append``.
        """
        hint: Any = self.write_disposition
        if isinstance(hint, Mapping):
            hint = hint["disposition"]
        return hint if isinstance(hint, str) else "append"

    @property
    def strategy(self) -> str:
        """How rows are merged."""
        hint: Any = self.write_disposition
        found = hint.get("strategy") if isinstance(hint, Mapping) else None
        return str(found or "delete-insert")


class EduframeSource(DltSource):
    """The source, which knows what became of its lists in the last run."""

    @property
    def failed(self) -> Failed:
        """The lists that the last run did not read to their end, with the reason.

        Neither those that the token has no right to, or that are switched off: of these only the
        log tells.
        """
        resources = self.resources.values()
        return next((r.failed for r in resources if isinstance(r, EduframeResource)), {})

    @property
    def schema(self) -> Schema:
        """dlt's schema of the tables. A run makes it the pipeline's own, which others change (as
        dagster-dlt does, when it tells of columns): here it stays a copy."""
        return self._schema

    @schema.setter
    def schema(self, value: Schema) -> None:
        self._schema = value.clone()

    def clone(self, with_name: str | None = None) -> "EduframeSource":
        schema = self.schema.clone(with_name=with_name)  # type: ignore[arg-type]
        return EduframeSource(schema, self.section, list(self._resources.values()))


def raise_failed(source: Any) -> None:
    """After ``pipeline.run(source)``: raise if a list was not read to its end.

    What was read is loaded; dlt itself lets such a run count as done.

    Raises:
        ListsFailedError: names the lists, with the reasons.
    """
    if source.failed:
        raise ListsFailedError(
            f"{_listed(source.failed)}. What was read is loaded; the next run reads them anew."
        )


def lists_failed(failed: Failed, why: str) -> ListsFailedError:
    """For a run that is not to be loaded; ``why`` says why not."""
    return ListsFailedError(f"{_listed(failed)}. Nothing of this run is loaded, {why}.")


def _listed(failed: Failed) -> str:
    many = f"{len(failed)} lists were" if len(failed) > 1 else "A list was"
    reasons = (f"{name}: {reason}" for name, reason in failed.items())
    return f"{many} not read to the end: {'; '.join(reasons)}"
