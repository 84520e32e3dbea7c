"""`/fhir/Measure`: the operations `$care-gaps` (DEQM) and `$evaluate-measure` (R4), by GET and by POST of Parameters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import groupby
from zoneinfo import ZoneInfo

from flask import Blueprint, Response, request
from sqlalchemy import Connection

from adapter.errors import Rejected
from adapter.gaps.care_gaps import chosen, document
from adapter.gaps.catalog import open_catalog
from adapter.gaps.engine import Gap, evaluate, find_member, in_order, organizations
from adapter.gaps.measure_reports import Period, individual, summary
from adapter.gaps.measures import canonical, version_of
from adapter.gaps.organizations import find
from adapter.gaps.rules import Rule, open_rules
from adapter.gaps.task import RULES
from adapter.model import Json
from adapter.reports.measures import REPORT
from adapter.store.engine import reading
from adapter.store.resources import read_resource, read_resources, with_meta
from adapter.store.search_index import date_range
from adapter.web.fhir import answer, check_form, server_base
from adapter.web.operation_parameters import Asked, read_asked
from adapter.web.services import services

BLUEPRINT = Blueprint("measures", __name__, url_prefix="/fhir/Measure")
BLUEPRINT.before_request(check_form)

MOST = 1000
"""Members whom one answer is about, at most: it has no pages."""
_STATUSES = ("open-gap", "closed-gap", "prospective-gap", "not-applicable")
_CARE_GAPS = ("periodStart", "periodEnd", "subject", "practitioner", "organization", "status*", "measureId*",
              "measureIdentifier*", "measureUrl*")
_EVALUATE = ("periodStart", "periodEnd", "subject", "reportType")
_KINDS = {"summary": "summary", "population": "summary", "individual": "individual", "subject": "individual"}
_DAYS_FROM = datetime(1970, 1, 1, tzinfo=UTC)


@BLUEPRINT.route("/$care-gaps", methods=["GET", "POST"])
def care_gaps() -> Response:
    """A document of gaps for each member asked about."""
    asked = read_asked(request, _CARE_GAPS)
    statuses = asked.many("status")
    if not statuses or not set(statuses) <= set(_STATUSES):
        raise Rejected("bad-parameter", "status", f"one or more of {', '.join(_STATUSES)}")
    period = _period(asked)
    with reading(services().gateway.engine) as connection:
        rules = _rules(connection, asked)
        organization = _organization(connection, asked)
        gaps = _gaps(connection, asked, rules, organization, period)
        members = [list(group) for _, group in groupby(gaps, key=lambda gap: gap.member_id)]
        members = [of_member for of_member in members if chosen(of_member, statuses)]
        if len(members) > MOST:
            raise Rejected("report-too-large")
        return answer(_parameters(connection, members, statuses, period, organization))


def _parameters(connection: Connection, members: Sequence[Sequence[Gap]], statuses: Sequence[str], period: Period,
                organization: str) -> Json:
    """The documents as Parameters. organization: an id, '' for none."""
    reporter = f"Organization/{organization}" if organization else ""
    patients = [f"Patient/{of_member[0].member_id}" for of_member in members]
    held = _held(connection, [*patients, *([reporter] if reporter else [])])
    told = [document(gaps, statuses, period, open_rules(), base=server_base(), measures=services().gateway.settings.measures,
                     held={name: held[name] for name in (patient, reporter) if name in held}, reporter=reporter)
            for patient, gaps in zip(patients, members, strict=True)]
    found = [{"name": "return", "resource": one} for one in told if one is not None]
    return {"resourceType": "Parameters", **({"parameter": found} if found else {})}


@BLUEPRINT.route("/<measure_id>/$evaluate-measure", methods=["GET", "POST"])
def evaluate_measure(measure_id: str) -> Response:
    """The summary report about everybody, or the individual one about a member."""
    asked = read_asked(request, _EVALUATE)
    subject = asked.one("subject")
    kind = _KINDS.get(asked.one("reportType") or ("individual" if subject else "summary"))
    if kind is None or (kind == "individual") != bool(subject):
        raise Rejected("bad-parameter", "reportType", "summary without a subject, or individual with one")
    period = _period(asked)
    with reading(services().gateway.engine) as connection:
        rule = _rule_of(connection, measure_id, "")
        if subject and rule.subject != "member":
            raise Rejected("bad-parameter", "subject", "this Measure is about organizations")
        member = _member(connection, subject) if subject else ""
        gaps = evaluate(connection, now=period.as_of, member=member or None, rule=rule.id)
    url = f"{_url(rule)}|{version_of(open_rules(), rule)}"
    return answer(individual(member, gaps, url, period) if member else summary(gaps, url, period))


def _period(asked: Asked) -> Period:
    """The period, judged at its end or now, the earlier; days are those of the network's zone. Raises Rejected."""
    zone = ZoneInfo(open_catalog().zone)
    start, end = (_day(asked, "periodStart", zone)[0], _day(asked, "periodEnd", zone)[1])
    now = services().gateway.clock()
    if end <= start:
        raise Rejected("bad-parameter", "periodEnd", "before periodStart")
    if now < start:
        raise Rejected("bad-parameter", "periodStart", "lies ahead")
    return Period(start=asked.one("periodStart"), end=asked.one("periodEnd"),
                  as_of=min(end - timedelta(seconds=1), now), written=now)


def _day(asked: Asked, name: str, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """The first instant of a FHIR date of any precision, and of what follows it."""
    text = asked.one(name)
    span = date_range(text) if "T" not in text else None
    if span is None:
        raise Rejected("bad-parameter", name, "write a date, as 2026-03-31")
    first, last = (_DAYS_FROM + timedelta(microseconds=one) for one in (span[0], span[1] + 1))
    return first.replace(tzinfo=zone), last.replace(tzinfo=zone)


def _gaps(connection: Connection, asked: Asked, rules: Sequence[Rule], organization: str, period: Period) -> list[Gap]:
    """The gaps of those asked about, in every state. Raises Rejected where nobody is named, or a member and others."""
    subject, practitioner = asked.one("subject"), asked.one("practitioner")
    if bool(subject) == bool(practitioner or organization):
        raise Rejected("bad-parameter", "subject", "name a subject, or else an organization, a practitioner, or both")
    member = _member(connection, subject) if subject else None
    found = [gap for rule in rules for gap in evaluate(
        connection, now=period.as_of, member=member, organization=organization or None, rule=rule.id)]
    if practitioner:
        name = f"Practitioner/{practitioner.removeprefix('Practitioner/')}"
        found = [gap for gap in found if gap.responsible_party == name]
    return in_order(found)


def _member(connection: Connection, subject: str) -> str:
    try:
        return find_member(connection, subject.removeprefix("Patient/"))
    except Rejected as error:
        raise Rejected(error.issue.code, "subject", error.issue.detail) from None


def _organization(connection: Connection, asked: Asked) -> str:
    named = asked.one("organization")
    try:
        return find("organization", organizations(connection), named) if named else ""
    except Rejected as error:
        raise Rejected(error.issue.code, "organization", error.issue.detail) from None


def _rules(connection: Connection, asked: Asked) -> list[Rule]:
    """The rules about members that are asked for, each once; all without a name. Raises Rejected (unknown-measure)."""
    rules = open_rules().rules
    found = [_rule_of(connection, one, "measureId") for one in asked.many("measureId")]
    by_identifier = {name: rule for rule in rules.values() for name in (rule.id, f"{RULES}|{rule.id}")}
    by_url = {name: rule for rule in rules.values() for name in (_url(rule), f"{_url(rule)}|{version_of(open_rules(), rule)}")}
    found += _named(asked, "measureIdentifier", by_identifier) + _named(asked, "measureUrl", by_url)
    if any(rule.subject != "member" for rule in found):
        raise Rejected("bad-parameter", "measure", "this Measure is about organizations; ask it for $evaluate-measure")
    return list({rule.id: rule for rule in found or rules.values() if rule.subject == "member"}.values())


def _named(asked: Asked, name: str, known: Mapping[str, Rule]) -> list[Rule]:
    if not set(asked.many(name)) <= known.keys():
        raise Rejected("unknown-measure", name)
    return [known[one] for one in asked.many(name)]


def _rule_of(connection: Connection, measure_id: str, place: str) -> Rule:
    """The rule of the Measure with this id. Raises Rejected (unknown-measure, measure-of-report)."""
    stored = read_resource(connection, "Measure", measure_id.removeprefix("Measure/"))
    identifiers = stored.body.get("identifier", ()) if stored and stored.body else ()
    named = {one.get("system"): one.get("value") for one in identifiers}
    if named.get(REPORT):
        raise Rejected("measure-of-report", place, named[REPORT])
    rule = named.get(RULES)
    if rule not in open_rules().rules:
        raise Rejected("unknown-measure", place)
    return open_rules().named(rule)


def _url(rule: Rule) -> str:
    return canonical(services().gateway.settings.measures, rule.id)


def _held(connection: Connection, references: Sequence[str]) -> dict[str, Json]:
    keys = [(kind, number) for kind, _, number in (one.partition("/") for one in references)]
    return {f"{kind}/{number}": with_meta(stored.body, stored.version, stored.updated)
            for (kind, number), stored in read_resources(connection, keys).items() if stored.body is not None}
