"""All that a check found out."""

from dataclasses import dataclass, field
from urllib.parse import urlsplit

from pipelines.eduframe.commands.check.api import Api, Tried
from pipelines.eduframe.commands.check.destination import Destination
from pipelines.eduframe.commands.check.files import FileFound
from pipelines.eduframe.commands.check.settings import SettingFound


@dataclass
class Findings:
    """All that a check found out."""

    settings: list[SettingFound]
    api: Api
    destination: Destination
    resources: list[Tried] = field(default_factory=list)
    files: list[FileFound] = field(default_factory=list)

    @property
    def same_customer(self) -> bool | None:
        """Whether the dataset holds this educator's data; None where that cannot be told."""
        holds = self.destination.holds
        if not holds or not self.api.token_accepted:
            return None
        host = urlsplit(self.api.base_url).hostname
        return (holds.get("educator_id"), holds.get("host")) == (self.api.educator_id, host)

    @property
    def ok(self) -> bool:
        usable = self.api.token_accepted and self.destination.usable
        return usable and self.same_customer is not False
