"""A server that behaves like the Eduframe API, with a made-up training provider behind it.

    with Simulator(seed=1) as sim:
        httpx.get(f"{sim.base_url}/orders", headers={"Authorization": f"Bearer {sim.token}"})

Its data ends at a fixed moment, or at the one that is given (``as_of=this_day()``).
It derives its paths and rows from the declarations and row models, and shares no code with the
client that it is used to test. Rows can be added, changed and deleted, lists forbidden and faults
injected at any time. ``python -m sources.eduframe_simulator`` runs it by itself.
"""

from sources.eduframe_simulator.provider.values import ABSENT
from sources.eduframe_simulator.provider.world import this_day
from sources.eduframe_simulator.server.faults import Fault
from sources.eduframe_simulator.server.messages import Request
from sources.eduframe_simulator.simulator import Simulator

__all__ = ["ABSENT", "Fault", "Request", "Simulator", "this_day"]
