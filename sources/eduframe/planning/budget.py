"""The budget: how many requests a run may spend, and the account that a share of the limit fills.

The account fills at share × limit, up to a day's worth, and never falls below zero. All is pure:
times are epoch seconds that are handed in.
"""

import re
from dataclasses import dataclass, replace

DAY = 86400.0
LEAST = 250
"""Every run may use so many requests in all, whatever the account holds."""
_ASKED_FOR = "write a share of the limit ('50%'), a number of requests a run ('750'), or 'all'"


@dataclass(frozen=True)
class Budget:
    """What may be spent: a share of the limit, so many requests a run, or (neither) all."""

    share: float | None = None
    """Above 0, up to 1."""
    requests: int | None = None

    @classmethod
    def parse(cls, text: str) -> "Budget":
        """``50%``, ``750`` or ``all``.

        Raises:
            ValueError: it is none of these, or nothing could be read with it.
        """
        said = text.strip().lower()
        if said == "all":
            return cls()
        found = re.fullmatch(r"(\d{1,12}(?:\.\d{1,12})?)\s*(%?)", said, re.ASCII)
        if not found:
            raise ValueError(f"budget {text!r}: {_ASKED_FOR}")
        number = float(found[1])
        if found[2] and not 0 < number <= 100:
            raise ValueError(f"budget {text!r}: a share is above 0% and at most 100%")
        if found[2]:
            return cls(share=number / 100)
        if number < 1 or number != int(number):
            raise ValueError(f"budget {text!r}: a number of requests is whole, and at least 1")
        return cls(requests=int(number))

    def __str__(self) -> str:
        if self.share is not None:
            return f"{self.share:.6%}".rstrip("%").rstrip("0").rstrip(".") + "%"
        return "all" if self.requests is None else str(self.requests)

    def account(self, limit: float, now: float) -> "Account":
        """A new account, which is full.

        Args:
            limit: the requests that are allowed in a second.
        """
        per_second = limit * (1.0 if self.share is None else self.share)
        return Account(per_second * DAY, now, per_second)

    def stored_account(self, limit: float, balance: float, at: float) -> "Account":
        """The account as it was stored at ``at``; the share and the limit may have changed since.

        A balance or time that is no number is none that we stored: the account is empty.
        """
        new = self.account(limit, at)
        if not (abs(balance) < float("inf") and abs(at) < float("inf")):
            return replace(new, balance=0.0, at=float("nan"))
        return replace(new, balance=min(max(balance, 0.0), new.balance))

    def allowance(self, account: "Account", now: float) -> int | None:
        """The requests that a run which begins now may spend; None is no bound."""
        if self.share is None:
            return self.requests
        return max(LEAST, int(account.filled(now).balance))


@dataclass(frozen=True)
class Account:
    """What is left to spend. A value: to book gives a new one."""

    balance: float
    """Requests, from 0 to a day's worth, at the time :attr:`at`."""
    at: float
    per_second: float
    """The requests by which it fills in a second."""

    def filled(self, now: float) -> "Account":
        """The account as it is now.

        A clock that was set back gives nothing and takes nothing; however far one jumps ahead,
        there is never more than a day's worth.
        """
        gained = self.per_second * (now - self.at) if now > self.at else 0.0
        return replace(self, balance=min(self.balance + gained, self.per_second * DAY), at=now)

    def book(self, requests: int, now: float) -> "Account":
        """The account after so many requests were made; it does not fall below zero."""
        filled = self.filled(now)
        return replace(filled, balance=max(0.0, filled.balance - requests))

    def paced(self, now: float, every: float, lively: float) -> int:
        """What of the account is well spent in a run that begins now, so that some is left for
        livelier hours.

        Args:
            every: seconds from one run to the next.
            lively: how much there is to find now, the mean being 1 (``Rates.lively``).
        """
        filled = self.filled(now)
        share = self.per_second * every * min(max(lively, 0.25), 4.0)
        overflowing = filled.balance - self.per_second * DAY / 2
        return int(min(filled.balance, max(share, overflowing)))
