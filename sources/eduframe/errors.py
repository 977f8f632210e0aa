"""What can go wrong, told to the person at the other end.

    EduframeError
    ├── SettingsError            a setting or a resource's name is wrong        (exit code 2)
    ├── AuthenticationError      the token is not accepted                      (exit code 1)
    ├── OtherCustomerError       the token belongs to another customer          (exit code 1)
    ├── UnreachableError         nothing can be read from the API at all        (exit code 1)
    ├── LockedError              another run holds the pipeline                 (exit code 4)
    ├── ResourceError            one list could not be read                     (exit code 3)
    │   ├── ResourceOffError     … it answers 403 or 404: no right, or switched off
    │   └── ReadFailedError      … errors to the end, or nonsense
    └── StoppedError             a stop was asked for while something waited    (exit code 3)

Every message says what happened, to what, and what to do next. None holds the token.
"""


class EduframeError(Exception):
    """Base of everything that this project raises on purpose."""


class SettingsError(EduframeError):
    """A setting, or the name of a resource, is not one."""


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


class ResourceError(EduframeError):
    """One list could not be read; the others are not concerned."""


class ResourceOffError(ResourceError):
    """The list answers 403 or 404: the token lacks a scope, or a feature is switched off."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class ReadFailedError(ResourceError):
    """The list answered with errors, or with something that is no list, until retries ended."""
