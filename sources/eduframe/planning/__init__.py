"""What the next run reads, on which budget: pure functions of numbers. Imports no other room.

A run goes like this. The ledger of each list is :meth:`Blocks.stored <.blocks.Blocks.stored>` over
the keys that are there, the counters are :class:`~.rates.Rates`, the account is
:class:`~.budget.Account`. From them and the hints come :class:`~.views.ListView` values, and from
these :func:`~.planner.choose` makes the reads. What a read of pages finds is counted first
(``rates.observe_rows``, by the blocks as they were), then the ledger is fitted to the new keys
(``blocks.fit(keys, now)``) and marked with each interval of keys that was covered
(``blocks.mark(low, high, now)``); :func:`~.hints.suspects` says which rows beside it are to be read
as well. What is left of the allowance goes to a second ``choose(…, hints_only=True)``. At the end
the requests are booked, and ``ledger()``, ``rows()`` and the account's balance are stored.
"""
