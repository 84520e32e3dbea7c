"""FHIR R4 invariants as JSON Schema fragments, by type: those of severity error that depend on one element alone.

Each row is (key, what it asks in words, fragment). An invariant that compares values or looks elsewhere stands in
check.py. Source: the invariants of each type's page in FHIR 4.0.1. A fragment never sees `_name` siblings as present,
except where `given` says so: `birthDate` absent with a reason is `_birthDate`.
"""

from __future__ import annotations

from typing import Any

Fragment = dict[str, Any]
_UCUM = "http://unitsofmeasure.org"
_SYSTEM = "http://terminology.hl7.org/CodeSystem/"


def given(*names: str) -> Fragment:
    """At least one of these elements is present, itself or by its `_name` sibling."""
    return {"anyOf": [{"required": [name]} for plain in names for name in (plain, f"_{plain}")]}


def absent(*names: str) -> Fragment:
    """None of these elements is present."""
    return {"not": {"anyOf": [{"required": [name]} for name in names]}}


def when(condition: Fragment, then: Fragment) -> Fragment:
    """If the element fits `condition` it must fit `then`."""
    return {"if": condition, "then": then}


def coded(element: str, system: str, *codes: str) -> Fragment:
    """The CodeableConcept `element` has a coding of this system with one of these codes."""
    coding = {"properties": {"system": {"const": _SYSTEM + system}, "code": {"enum": list(codes)}},
              "required": ["system", "code"]}
    return {"properties": {element: {"properties": {"coding": {"contains": coding}}, "required": ["coding"]}},
            "required": [element]}


def having(element: str, *values: Any) -> Fragment:
    """The primitive `element` has one of these values."""
    return {"properties": {element: {"enum": list(values)}}, "required": [element]}


_ABATEMENT = [f"abatement{kind}" for kind in ("DateTime", "Age", "Period", "Range", "String")]
_KINDS = ("Quantity", "Range", "CodeableConcept", "String", "Boolean", "Integer", "Ratio")
_DETAIL = [f"detail{kind}" for kind in _KINDS]
_VALUE = [f"value{kind}" for kind in (*_KINDS, "SampledData", "Time", "DateTime", "Period")]
_HOME = having("use", "home")
_ALLERGY_IN_ERROR = coded("verificationStatus", "allergyintolerance-verification", "entered-in-error")
_CONDITION_IN_ERROR = coded("verificationStatus", "condition-ver-status", "entered-in-error")
_ENDED = coded("clinicalStatus", "condition-clinical", "inactive", "remission", "resolved")

INVARIANTS: dict[str, list[tuple[str, str, Fragment]]] = {
    "Attachment": [("att-1", "data needs contentType", {"dependentRequired": {"data": ["contentType"]}})],
    "ContactPoint": [("cpt-2", "value needs system", when({"required": ["value"]}, given("system")))],
    "Duration": [("drt-1", "code needs the UCUM system and a value",
                  when({"required": ["code"]}, {"allOf": [having("system", _UCUM), {"required": ["value"]}]}))],
    "Expression": [("exp-1", "expression or reference is needed", given("expression", "reference"))],
    "Quantity": [("qty-3", "code needs system", when({"required": ["code"]}, given("system")))],
    "Identifier": [("rfc-3986", "system urn:ietf:rfc:3986 needs a value that is an absolute URI",
                    when({"allOf": [having("system", "urn:ietf:rfc:3986"), {"required": ["value"]}]},
                         {"properties": {"value": {"pattern": "^[A-Za-z][A-Za-z0-9+.-]*:\\S+$"}}}))],
    "Timing.repeat": [
        ("tim-1", "duration needs durationUnit", {"dependentRequired": {"duration": ["durationUnit"]}}),
        ("tim-2", "period needs periodUnit", {"dependentRequired": {"period": ["periodUnit"]}}),
        ("tim-6", "periodMax needs period", {"dependentRequired": {"periodMax": ["period"]}}),
        ("tim-7", "durationMax needs duration", {"dependentRequired": {"durationMax": ["duration"]}}),
        ("tim-8", "countMax needs count", {"dependentRequired": {"countMax": ["count"]}}),
        ("tim-10", "timeOfDay excludes when", {"not": {"required": ["timeOfDay", "when"]}}),
    ],
    "AllergyIntolerance": [
        ("ait-1", "clinicalStatus is needed unless verificationStatus is entered-in-error",
         {"anyOf": [{"required": ["clinicalStatus"]}, _ALLERGY_IN_ERROR]}),
        ("ait-2", "clinicalStatus is excluded when verificationStatus is entered-in-error",
         when(_ALLERGY_IN_ERROR, absent("clinicalStatus"))),
    ],
    "Appointment": [
        (
            "app-2",
            "start and end are both given or both absent",
            {"dependentRequired": {"start": ["end"], "end": ["start"]}},
        ),
        (
            "app-3",
            "start and end are needed unless proposed, cancelled or waitlist",
            {"anyOf": [{"required": ["start", "end"]}, having("status", "proposed", "cancelled", "waitlist")]},
        ),
        (
            "app-4",
            "cancelationReason needs status no-show or cancelled",
            when({"required": ["cancelationReason"]}, having("status", "no-show", "cancelled")),
        ),
    ],
    "Appointment.participant": [("app-1", "type or actor is needed", given("type", "actor"))],
    "AuditEvent.entity": [("sev-1", "name excludes query", {"not": {"required": ["name", "query"]}})],
    "Bundle": [
        (
            "bdl-1",
            "total only in searchset and history",
            when({"required": ["total"]}, having("type", "searchset", "history")),
        ),
        (
            "bdl-9",
            "a document has an identifier with system and value",
            when(
                having("type", "document"),
                {"properties": {"identifier": {"required": ["system", "value"]}}, "required": ["identifier"]},
            ),
        ),
        ("bdl-10", "a document has a timestamp", when(having("type", "document"), {"required": ["timestamp"]})),
    ],
    "Bundle.entry": [("bdl-5", "resource, request or response is needed", given("resource", "request", "response"))],
    "CarePlan.activity": [("cpl-3", "detail excludes reference", {"not": {"required": ["detail", "reference"]}})],
    "Composition.section": [
        ("cmp-1", "text, entry or section is needed", given("text", "entry", "section")),
        ("cmp-2", "emptyReason excludes entry", {"not": {"required": ["emptyReason", "entry"]}}),
    ],
    "ConceptMap.group.element.target": [
        (
            "cmd-1",
            "equivalence narrower or inexact needs comment",
            when(having("equivalence", "narrower", "inexact"), {"required": ["comment"]}),
        )
    ],
    "ConceptMap.group.unmapped": [
        ("cmd-2", "mode fixed needs code", when(having("mode", "fixed"), {"required": ["code"]})),
        ("cmd-3", "mode other-map needs url", when(having("mode", "other-map"), {"required": ["url"]})),
    ],
    "Condition": [
        ("con-4", "abatement needs clinicalStatus inactive, remission or resolved", when(given(*_ABATEMENT), _ENDED)),
        ("con-5", "clinicalStatus is excluded when verificationStatus is entered-in-error",
         when(_CONDITION_IN_ERROR, absent("clinicalStatus"))),
    ],
    "Condition.stage": [("con-1", "summary or assessment is needed", given("summary", "assessment"))],
    "Condition.evidence": [("con-2", "code or detail is needed", given("code", "detail"))],
    "Consent": [("ppc-1", "policy or policyRule is needed", given("policy", "policyRule"))],
    "Goal.target": [("gol-1", "detail needs measure", when(given(*_DETAIL), given("measure")))],
    "Group": [("grp-1", "member needs actual true", when({"required": ["member"]}, having("actual", True)))],
    "MeasureReport": [
        ("mrp-1", "data-collection excludes group", when(having("type", "data-collection"), absent("group")))
    ],
    "Observation": [
        ("obs-6", "dataAbsentReason excludes value", when({"required": ["dataAbsentReason"]}, absent(*_VALUE)))
    ],
    "Observation.referenceRange": [("obs-3", "low, high or text is needed", given("low", "high", "text"))],
    "Organization": [
        ("org-1", "identifier or name is needed", given("identifier", "name")),
        ("org-2", "an address is never of use home", {"properties": {"address": {"items": {"not": _HOME}}}}),
        ("org-3", "a telecom is never of use home", {"properties": {"telecom": {"items": {"not": _HOME}}}}),
    ],
    "Patient.contact": [
        (
            "pat-1",
            "name, telecom, address or organization is needed",
            given("name", "telecom", "address", "organization"),
        )
    ],
    "Questionnaire.item": [
        (
            "que-1",
            "a group has items, a display has none",
            {
                "allOf": [
                    when(having("type", "group"), {"required": ["item"]}),
                    when(having("type", "display"), absent("item")),
                ]
            },
        ),
        ("que-3", "a display has no code", when(having("type", "display"), absent("code"))),
        ("que-4", "answerOption excludes answerValueSet", {"not": {"required": ["answerOption", "answerValueSet"]}}),
        (
            "que-6",
            "a display is neither required nor repeating",
            when(having("type", "display"), absent("required", "repeats")),
        ),
        ("que-9", "a display is not read-only", when(having("type", "display"), absent("readOnly"))),
        ("que-11", "answerOption excludes initial", {"not": {"required": ["answerOption", "initial"]}}),
    ],
    "QuestionnaireResponse.item": [("qrs-1", "answer excludes item", {"not": {"required": ["answer", "item"]}})],
    "ServiceRequest": [("prr-1", "orderDetail needs code", {"dependentRequired": {"orderDetail": ["code"]}})],
}
