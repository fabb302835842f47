"""Which country an address is in."""

from functools import lru_cache
from pathlib import Path

import maxminddb

from connectors.errors import BadDatabase

# ISO 3166-1 alpha-2, and XK, which is in no standard but in every database.
CODES = frozenset(
    """
    AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS
    BT BV BW BY BZ CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE
    EG EH ER ES ET FI FJ FK FM FO FR GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM
    HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE JM JO JP KE KG KH KI KM KN KP KR KW KY KZ LA LB LC
    LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP MQ MR MS MT MU MV MW MX MY MZ NA
    NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW PY QA RE RO RS RU RW
    SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM TN TO
    TR TT TV TW TZ UA UG UM US UY UZ VA VC VE VG VI VN VU WF WS XK YE YT ZA ZM ZW
    """.split()  # noqa: SIM905 - a list of 250 strings is harder to read
)


def country_code(text: object) -> str | None:
    """A country's code in upper case; None for anything else, such as Cloudflare's XX and T1."""
    code = text.strip().upper() if isinstance(text, str) else ""
    return code if code in CODES else None


class Countries:
    """A database of addresses in MaxMind's format (MMDB), as the operator has it.

    Raises:
        BadDatabase: the file cannot be read as one.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._reader = maxminddb.open_database(path)
        except (OSError, maxminddb.InvalidDatabaseError) as unreadable:
            raise BadDatabase(
                f"{path}: {unreadable}; give the path of an .mmdb file with countries"
            ) from unreadable
        self.of = lru_cache(maxsize=16_384)(self._find)

    def close(self) -> None:
        """Let go of the file."""
        self._reader.close()

    def _find(self, address: str) -> str | None:
        """The country of an address, or where its network is registered; None if not known."""
        try:
            found = self._reader.get(address)
        except ValueError:  # no address, or an IPv6 one and a database without any
            return None
        if not isinstance(found, dict):
            return None
        for place in (found.get("country"), found.get("registered_country")):
            if isinstance(place, dict) and (code := country_code(place.get("iso_code"))):
                return code
        return None
