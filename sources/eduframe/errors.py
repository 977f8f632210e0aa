"""What can go wrong, told to the person at the other end.

    EduframeError
    ├── SettingsError            a setting or a resource's name is wrong        (exit code 2)
    │   └── OlderVersionError    … for this program: a newer one wrote the dataset
    ├── AuthenticationError      the token is not accepted                      (exit code 1)
    ├── OtherCustomerError       the token belongs to another customer          (exit code 1)
    ├── UnreachableError         nothing can be read from the API at all        (exit code 1)
    ├── LockedError              another run holds the pipeline                 (exit code 4)
    ├── ResourceError            one list could not be read                     (exit code 3)
    │   ├── ResourceOffError     … it answers 403 or 404: no right, or switched off
    │   └── ReadFailedError      … errors to the end, or nonsense
    │       ├── PositionLostError    … the place where the next page is, is refused
    │       ├── EndlessError         … its pages have no end
    │       ├── RefusedError         … this address alone is refused
    │       └── ExhaustedError       … however often it was asked
    ├── ListsFailedError         lists were not read to their end, in a plain dlt run
    ├── StoppedError             a stop was asked for while something waited    (exit code 3)
    │   └── RateLimitedError     … by the API, which wants to be left alone for long
    ├── DestinationError         the destination does not do what it should     (exit code 1)
    │   ├── LoadFailedError      … it does not take a load package
    │   ├── LockLostError        … the lock in it is gone in the middle of a run
    │   ├── NoDatasetError       … there is no such dataset in it
    │   ├── RightsError          … the role may not create what the sync needs
    │   ├── ConnectionsError     … its database has too few connections for the sync
    │   ├── LockedTableError     … somebody keeps a table locked (exit code 3: it ends early)
    │   ├── UpgradeError         … it does not let a column have its new type
    │   ├── UnfitTableError      … a table of the run log was changed, and cannot be mended
    │   ├── ViewError            … a view cannot be made anew with a column's new type
    │   ├── ScratchTableError    … a step of ``eduframe check`` failed in it
    │   ├── FileBusyError        … another program holds the DuckDB file open
    │   └── FileUnusableError    … the DuckDB file cannot be opened
    └── CopyError                a dataset cannot be copied                     (exit code 1)
        ├── NothingToCopyError   … there is none, or the place for it is taken
        └── CopyFailedError      … not all rows arrived

These never leave the package; each ends in one of those above, or in a note:

    TransientError               an answer that may be better next time: tried again
    └── NoAnswerError            … there is none: no connection, or a broken one
        └── ProxyError               … as the proxy is not there, or refuses
    TooManyRequestsError         a 429: tried again after the pause that it asks for
    DoesNotCastError             a column that cannot be cast as a whole: it is read value by value

Every message says what happened, to what, and what to do next. None holds the token.
"""

from datetime import datetime


class EduframeError(Exception):
    """Base of everything that this project raises on purpose."""


class SettingsError(EduframeError):
    """A setting, or the name of a resource, is not one."""


class OlderVersionError(SettingsError):
    """A newer version of this program wrote the dataset."""


class AuthenticationError(EduframeError):
    """The API answered 401."""


class OtherCustomerError(EduframeError):
    """The dataset holds the data of another educator or host than the token reads."""


class UnreachableError(EduframeError):
    """Nothing could be read: no network, a wrong address, or a token without any right."""


class LockedError(EduframeError):
    """Another run holds the lock of this pipeline and dataset."""


class StoppedError(EduframeError):
    """The run was asked to stop (signal, or time used up)."""


class RateLimitedError(StoppedError):
    """The API wants to be left alone for longer than a run waits. ``until`` is when it does not."""

    def __init__(self, message: str, until: datetime) -> None:
        super().__init__(message)
        self.until = until


class ResourceError(EduframeError):
    """One list could not be read; the others are not concerned."""


class ResourceOffError(ResourceError):
    """The list answers 403 or 404: the token lacks a scope, or a feature is switched off."""

    def __init__(self, message: str, status: int, needs: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.needs = needs
        """What would help, where that is not the right to read the list itself."""


class ReadFailedError(ResourceError):
    """The list answered with errors, or with something that is no list, until retries ended."""


class PositionLostError(ReadFailedError):
    """The API refuses the address of a page that it gave before: a cursor that has expired."""


class EndlessError(ReadFailedError):
    """The pages of the list have no end: where they went astray cannot be told."""


class RefusedError(ReadFailedError):
    """The API refuses one address, by an answer that no further attempt changes."""


class ExhaustedError(ReadFailedError):
    """Errors, nonsense or no answer, however often it was asked."""


class ListsFailedError(EduframeError):
    """Lists were not read to their end, in a run of the plain source."""


class DestinationError(EduframeError):
    """The destination does not do what the sync needs of it."""


class LoadFailedError(DestinationError):
    """The destination did not take a load package."""


class LockLostError(DestinationError):
    """The lock in the database is gone: the connection that held it was closed."""


class NoDatasetError(DestinationError):
    """There is no such dataset in the destination."""


class RightsError(DestinationError):
    """The sync's role lacks a right; says what gives it."""


class ConnectionsError(DestinationError):
    """The database has no connection left for the sync; says how many it needs."""


class LockedTableError(DestinationError):
    """Somebody keeps a table locked that the sync cannot do without; says who, and since when."""


class UpgradeError(DestinationError):
    """The destination does not let a column have the type that this release gives it."""


class UnfitTableError(DestinationError):
    """A table of the run log is not as it must be, and cannot be made so."""


class ViewError(DestinationError):
    """A view cannot be made anew from its definition, once a column has its type again."""


class ScratchTableError(DestinationError):
    """A step with the scratch table failed: which, why, and what the sync's role needs."""


class FileBusyError(DestinationError):
    """Another program holds the DuckDB file open."""


class FileUnusableError(DestinationError):
    """The DuckDB file cannot be opened."""


class CopyError(EduframeError):
    """A dataset cannot be copied."""


class NothingToCopyError(CopyError):
    """There is no dataset to copy, or the place for it is taken."""


class CopyFailedError(CopyError):
    """The copy does not hold as many rows as what was copied."""


class TransientError(Exception):
    """A failure that may pass: server error, broken connection, or a body that makes no sense.

    ``seconds`` is how long the server asks to wait before the next try.
    """

    def __init__(self, message: str, seconds: float = 0.0) -> None:
        super().__init__(message)
        self.seconds = seconds


class NoAnswerError(TransientError):
    """The network or the server gave no answer, or broke off."""


class ProxyError(NoAnswerError):
    """The proxy that requests go over cannot be reached, or refuses to pass them on."""


class TooManyRequestsError(Exception):
    """A 429. The limiter knows how long to wait."""


class DoesNotCastError(Exception):
    """Some value of a column is not plainly of its type."""
