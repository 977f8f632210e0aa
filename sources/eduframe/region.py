"""Where the customer is: the time zone of their days, and the money of amounts that name none."""

import csv
import difflib
from functools import cache
from importlib.resources import files
from zoneinfo import available_timezones

_CODES = """
AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BRL BSD BTN BWP BYN BZD
CAD CDF CHF CLP CNY COP CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP
GMD GNF GTQ GYD HKD HNL HTG HUF IDR ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD
KYD KZT LAK LBP LKR LRD LSL LYD MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN
NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR RON RSD RUB RWF SAR SBD SCR SDG SEK SGD SHP
SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TND TOP TRY TTD TWD TZS UAH UGX USD UYU UZS VED VES
VND VUV WST XAF XCD XCG XOF XPF YER ZAR ZMW ZWG
"""
CURRENCIES = frozenset(_CODES.split())
"""ISO 4217: the codes of money that is in use."""

NO_PLACES = frozenset(("Factory", "localtime"))
"""Entries of the time zone database that name no zone, or another one on each machine."""


@cache
def _rails_zones() -> dict[str, str]:
    """Rails' names of time zones (``ActiveSupport::TimeZone``), which Eduframe uses, to IANA's."""
    text = (files("schemas.eduframe") / "time_zones.csv").read_text(encoding="utf-8")
    return {row["rails"]: row["iana"] for row in csv.DictReader(text.splitlines())}


@cache
def _zones() -> frozenset[str]:
    return frozenset(available_timezones() - NO_PLACES)


def iana_zone(name: str | None) -> str | None:
    """A time zone as databases know it, by Rails' name or IANA's; None for what is none."""
    called = (name or "").strip()
    return _rails_zones().get(called) or (called if called in _zones() else None)


def parse_time_zone(value: object) -> str:
    """IANA's name of a time zone, or '' for the educator's. Raises ``ValueError`` otherwise."""
    name = str(value).strip()
    if not name or name in _zones():
        return name
    by_case = {zone.lower(): zone for zone in sorted(_zones())}
    near = difflib.get_close_matches(name.lower().replace(" ", "_"), by_case, 1)
    hint = iana_zone(name) or (by_case[near[0]] if near else None)
    such = f"perhaps {hint}" if hint else "such as Europe/Amsterdam"
    raise ValueError(f"it must be a name of IANA's time zone database, {such}")


def parse_currency(value: object) -> str:
    """A code of ISO 4217, or '' for the educator's. Raises ``ValueError`` otherwise."""
    code = str(value).strip()
    if code and code not in CURRENCIES:
        such = f"perhaps {code.upper()}" if code.upper() in CURRENCIES else "such as EUR"
        raise ValueError(f"it must be a code of ISO 4217, {such}")
    return code
