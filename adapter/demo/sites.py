"""The two hospitals as senders of HL7 v2: what is unlike in how each writes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from adapter.demo.organizations import EAST, WEST, Practitioner
from adapter.demo.people import Member

_NAMES = {"2106-3": ("White", "W"), "2054-5": ("Black or African American", "B"), "2028-9": ("Asian", "A"),
          "1002-5": ("American Indian or Alaska Native", "I")}
_LANGUAGES = {"en": ("English", "eng"), "es": ("Spanish", "spa"), "vi": ("Vietnamese", "vie"), "so": ("Somali", "som"),
              "fr": ("French", "fre")}
_LOCAL_DISPOSITION = {"01": "HOME", "03": "SNF", "07": "AMA", "65": "PSYCH"}
_GENDER = {"female": "F", "male": "M", "other": "O", "unknown": "U"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A hospital's ADT interface. charset: Python codec and its name in MSH-18.

    new: version 2.5.1 habits: structure in MSH-9.3, offsets, EVN-6, visit number in PV1-19, coded elements with their
    systems. Else 2.3.1 habits: local time, no EVN-6, visit in PID-18, local codes (race W B A I, disposition HOME SNF
    AMA PSYCH, language eng spa vie som fre).
    """

    organization: str
    application: str
    facility: str
    authority: str
    version: str
    zone: ZoneInfo
    charset: tuple[str, str]
    prefix: str
    new: bool

    def time(self, moment: datetime) -> str:
        """A moment as this hospital writes it."""
        local = moment.astimezone(self.zone)
        return local.strftime("%Y%m%d%H%M%S%z") if self.new else local.strftime("%Y%m%d%H%M")

    def visit(self, number: int) -> str:
        """The visit's number with its authority."""
        if self.new:
            return f"V{1_000_000 + number * 3}^^^{self.authority}^VN"
        return f"A{4_000 + number * 11}^^^{self.authority}^AN"

    def record(self, number: str) -> str:
        """A record number with its authority."""
        return f"{number}^^^{self.authority}^MR"

    def person(self, who: Practitioner) -> str:
        """A practitioner as XCN."""
        if self.new:
            return f"{who.npi}^{who.last}^{who.first}^^^^^^NPI&2.16.840.1.113883.4.6&ISO^L^^^NPI"
        return f"{who.npi}^{who.last.upper()}^{who.first.upper()}^^^^^^^L^^^NPI"

    def sex(self, member: Member) -> str:
        """PID-8."""
        return _GENDER[member.gender]

    def race(self, member: Member) -> str:
        """PID-10."""
        name, local = _NAMES.get(member.race, ("", ""))
        return "" if not name else f"{member.race}^{name}^CDCREC" if self.new else local

    def ethnicity(self, member: Member) -> str:
        """PID-22."""
        hispanic = member.ethnicity == "2135-2"
        if not member.ethnicity or not self.new:
            return "" if not member.ethnicity else "H" if hispanic else "N"
        return "2135-2^Hispanic or Latino^CDCREC" if hispanic else "2186-5^Not Hispanic or Latino^CDCREC"

    def language(self, member: Member) -> str:
        """PID-15."""
        name, local = _LANGUAGES.get(member.language, ("", ""))
        return "" if not name else f"{member.language}^{name}^ISO639" if self.new else local

    def phones(self, member: Member) -> str:
        """PID-13: telephone and email."""
        if not self.new:
            return f"({member.phone[:3]}){member.phone[4:]}" if member.phone else ""
        digits = member.phone.replace("-", "")
        phone = f"^PRN^PH^^1^{digits[:3]}^{digits[3:]}" if digits else ""
        return "~".join(p for p in (phone, f"^NET^Internet^{member.email}" if member.email else "") if p)

    def disposition(self, code: str) -> str:
        """PV1-36."""
        return code if self.new else _LOCAL_DISPOSITION.get(code, code)

    def diagnosis(self, code: str, text: str) -> str:
        """DG1-3."""
        return f"{code}^{text}^{'I10C' if self.new else 'I10'}"


STANNE = Site(organization="ORG-STANNE", application="STANNE", facility="MAIN", authority="STANNE", version="2.5.1",
              zone=EAST, charset=("latin-1", "8859/1"), prefix="STA", new=True)
LAKESIDE = Site(organization="ORG-LAKESIDE", application="LAKESIDE", facility="LKS", authority="LKS", version="2.3.1",
                zone=WEST, charset=("utf-8", "UNICODE UTF-8"), prefix="LKS", new=False)
SITES = (STANNE, LAKESIDE)
SITE_OF = {site.organization: site for site in SITES}
"""Organization id -> its hospital's messages."""
