"""A JSON Schema for each resource type, compiled from the facts (jsonschema-rs): structure, cardinality, forms, codes.

`errors(resource)` answers in 2 to 10 microseconds where all is well. Contained resources and resources in a Bundle are
each checked by their own schema (check.py). Source: StructureDefinitions of FHIR 4.0.1, JSON representation of
resources.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import Any, cast

import jsonschema_rs

from adapter.model import Json
from adapter.validate import facts
from adapter.validate.facts import Field
from adapter.validate.invariants import INVARIANTS

_YEAR = "([0-9]{3}[1-9]|[0-9]{2}[1-9]0|[0-9][1-9]00|[1-9]000)"
_LEAP = "([0-9]{2}(0[48]|[2468][048]|[13579][26])|([02468][48]|[13579][26]|[2468]0)00)"
_DAY = (
    f"({_YEAR}-((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)|02-(0[1-9]|1[0-9]|2[0-8]))"
    f"|{_LEAP}-02-29)"
)
_TIME = r"([01][0-9]|2[0-3]):[0-5][0-9]:([0-5][0-9]|60)(\.[0-9]+)?"
_OFFSET = r"(Z|[+-]((0[0-9]|1[0-3]):[0-5][0-9]|14:00))"
_PRINTABLE = r"[^\x00-\x08\x0b\x0c\x0e-\x1f]"
_HEX = "[0-9a-f]"
_UUID = f"urn:uuid:{_HEX}{{8}}-{_HEX}{{4}}-{_HEX}{{4}}-{_HEX}{{4}}-{_HEX}{{12}}"
_OID = r"urn:oid:[0-2](\.(0|[1-9][0-9]*))+"
_PATTERNS = {
    "date": f"{_YEAR}(-(0[1-9]|1[0-2]))?|{_DAY}",
    "dateTime": f"{_YEAR}(-(0[1-9]|1[0-2]))?|{_DAY}(T{_TIME}{_OFFSET})?",
    "instant": f"{_DAY}T{_TIME}{_OFFSET}",
    "time": _TIME,
    "code": r"[^\s]+(\s[^\s]+)*",
    "id": "[A-Za-z0-9.-]{1,64}",
    "oid": _OID,
    "uuid": _UUID,
    "string": rf"{_PRINTABLE}*[^\s\x00-\x1f]{_PRINTABLE}*",
    "markdown": rf"{_PRINTABLE}*[^\s\x00-\x1f]{_PRINTABLE}*",
    "uri": r"\S+", "url": r"\S+", "canonical": r"\S+",
    "base64Binary": r"(\s*[0-9a-zA-Z+/=]{4}\s*)+",
    "xhtml": r"\s*<div xmlns=[\"']http://www\.w3\.org/1999/xhtml[\"'](.|\s)*",
}
_JSON_TYPES: dict[str, Json] = {
    "boolean": {"type": "boolean"}, "decimal": {"type": "number"},
    "integer": {"type": "integer", "minimum": -(2**31), "maximum": 2**31 - 1},
    "unsignedInt": {"type": "integer", "minimum": 0, "maximum": 2**31 - 1},
    "positiveInt": {"type": "integer", "minimum": 1, "maximum": 2**31 - 1},
}
_FORMS = {
    "bcp47": "[A-Za-z]{2,3}(-[A-Za-z]{3}){0,3}(-[A-Za-z]{4})?(-([A-Za-z]{2}|[0-9]{3}))?(-[A-Za-z0-9]{5,8})*",
    "mime": r"[A-Za-z0-9!#$&^_.+*-]+(/[A-Za-z0-9!#$&^_.+*-]+)?(\s*;.*)?",
    "iso4217": "[A-Z]{3}",
}
_ABSOLUTE = {("Identifier", "system"), ("Coding", "system")}  # a relative system identifies nothing
_JSON_NAMES = {"object": "an object", "array": "a list", "integer": "a whole number"}
_REGEX = jsonschema_rs.RegexOptions()
_PLAIN_NAME = re.compile(r"[A-Za-z_]\w{0,63}")


def primitive(kind: str) -> Json:
    """The schema of a primitive's value; `$comment` says its form in words."""
    found = dict(_JSON_TYPES.get(kind, {"type": "string"}))
    if kind in _PATTERNS:
        found["pattern"] = f"^({_PATTERNS[kind]})$"
    if kind == "uri":  # urn:oid: and urn:uuid: have a form of their own; validators refuse an OID shorter than 1.2.3.4
        found |= {"if": {"pattern": "^urn:(oid|uuid):"}, "then": {"pattern": f"^({_OID}|{_UUID})$", "minLength": 15}}
    return found | {"$comment": f"not a {kind}"}


def _bound(field: Field) -> Json | None:
    """What a required binding asks of a code, Coding or CodeableConcept."""
    if field.form:
        form = {"pattern": f"^({_FORMS[field.form]})$", "$comment": f"not a {field.form} code"}
        return form if field.type == "code" else None
    if not field.codes:
        return None
    by_system = facts.codes(field.codes)
    comment = f"no code of {field.codes.rsplit('/', 1)[-1]}"
    if field.type == "code":
        return {"enum": sorted({code for codes in by_system.values() for code in codes}), "$comment": comment}
    options = [{"properties": {"system": {"const": system}, "code": {"enum": codes}}, "required": ["system", "code"]}
               for system, codes in by_system.items()]
    coding = {"anyOf": options, "$comment": comment}
    if field.type == "Coding":
        return coding
    if field.type == "CodeableConcept":
        return {"properties": {"coding": {"contains": coding}}, "required": ["coding"], "$comment": comment}
    return None


def _value(owner: str, field: Field) -> Json:
    if field.primitive:
        found = primitive(field.type)
        if (owner, field.name) in _ABSOLUTE:
            found["allOf"] = [{"pattern": "^[A-Za-z][A-Za-z0-9+.-]*:", "$comment": "not an absolute URI"}]
    elif field.type == "Resource":
        found = {"type": "object", "required": ["resourceType"]}
    else:
        found = {"$ref": f"#/$defs/{field.type}"}
    bound = _bound(field)
    if bound is not None:
        found = bound | {"type": "string"} if field.type == "code" else {**found, **bound}
    return {"type": "array", "minItems": 1, "items": found} if field.many else found


def _definition(name: str) -> Json:
    """The schema of one type: its properties, what is required, one of each choice, its invariants."""
    known = facts.fields(name)
    properties: Json = {}
    choices: dict[str, list[Field]] = {}
    for field in known.values():
        properties[field.name] = _value(name, field)
        if field.primitive:
            sibling: Json = {"$ref": "#/$defs/Element"}
            properties[f"_{field.name}"] = ({"type": "array", "items": {"anyOf": [sibling, {"type": "null"}]}}
                                            if field.many else sibling)
        if field.choice:
            choices.setdefault(field.choice, []).append(field)
    rules = [_needed(field.name, [field]) for field in known.values()
             if field.required and field.primitive and not field.choice]
    rules += [rule for choice, of_it in choices.items() for rule in _chosen(name, choice, of_it)]
    rules += [fragment | {"$comment": f"{key}: {words}"} for key, words, fragment in INVARIANTS.get(name, [])]
    found: Json = {"type": "object", "properties": properties, "additionalProperties": False, "minProperties": 1,
                   "required": [f.name for f in known.values() if f.required and not f.primitive and not f.choice]}
    return found | ({"allOf": rules} if rules else {})


def _names(fields: list[Field]) -> list[str]:
    """The properties that give an element; a code that must come from a value set cannot be replaced by a reason."""
    return [name for field in fields
            for name in ([field.name, f"_{field.name}"] if field.primitive and not field.codes else [field.name])]


def _needed(name: str, fields: list[Field]) -> Json:
    return {"anyOf": [{"required": [one]} for one in _names(fields)], "$comment": f"{name} is missing"}


def _chosen(owner: str, choice: str, fields: list[Field]) -> Iterator[Json]:
    """A choice element: needed where it is required, and never two of its types.

    That of Extension, with 50 types, is looked at in walk.py, for speed.
    """
    if fields[0].required:
        yield _needed(choice, fields)
    if owner != "Extension" and len(fields) > 1:
        one: list[Json] = [{"required": [field.name]} for field in fields]
        yield {"oneOf": [*one, {"not": {"anyOf": one}}], "$comment": f"only one type of {choice} may be given"}


def _reached(root: str) -> Iterator[str]:
    seen, todo = {root}, [root, "Element"]
    while todo:
        name = todo.pop()
        seen.add(name)
        yield name
        fresh = {f.type for f in facts.fields(name).values() if not f.primitive and f.type != "Resource"} - seen
        seen |= fresh
        todo += sorted(fresh)


@cache
def schema(resource_type: str) -> Json:
    """The JSON Schema of a resource type. Raises KeyError for an unknown one."""
    definitions = {name: _definition(name) for name in _reached(resource_type)}
    own = definitions[resource_type]
    own["properties"]["resourceType"] = {"const": resource_type}
    own["required"] = ["resourceType", *own["required"]]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$ref": f"#/$defs/{resource_type}",
        "$defs": definitions,
    }


@cache
def _validator(resource_type: str) -> jsonschema_rs.Draft202012Validator:
    return jsonschema_rs.Draft202012Validator(schema(resource_type), pattern_options=_REGEX)


def errors(resource: Json) -> list[tuple[list[str | int], str]]:
    """(path below the resource, what is wrong) of each thing that does not fit; the words never hold a value.

    Raises KeyError for an unknown resource type.
    """
    resource_type: str = resource["resourceType"]
    validator = _validator(resource_type)
    if validator.is_valid(resource):
        return []
    found: list[tuple[list[str | int], str]] = []
    for error in validator.iter_errors(resource):
        one = (error.instance_path, _words(schema(resource_type), error))
        if one not in found and not _stood_for(resource, error):
            found.append(one)
    return found


def value_faults(type_name: str, path: str, value: Any) -> list[str]:
    """What does not fit in one value (one member of a list) of an element: its form, and codes of a required binding.

    Raises KeyError for an element that does not exist.
    """
    root, validator = _of_element(type_name, path)
    return list(dict.fromkeys(_words(root, error) for error in validator.iter_errors(value)))


def codes_of(type_name: str, path: str) -> list[str]:
    """The codes that a bound element may hold, sorted; [] where none is asked for."""
    found = facts.field(type_name, path)
    return sorted({code for listed in facts.codes(found.codes).values() for code in listed}) if found and found.codes else []


@cache
def _of_element(type_name: str, path: str) -> tuple[Json, jsonschema_rs.Draft202012Validator]:
    above, _, name = path.rpartition(".")
    holder = facts.field(type_name, above) if above else None
    owner = holder.type if holder is not None else type_name
    definitions = {reached: _definition(reached) for reached in _reached(owner)}
    many = facts.fields(owner)[name].many
    root: Json = {"$schema": "https://json-schema.org/draft/2020-12/schema", "$defs": definitions,
                  "$ref": f"#/$defs/{owner}/properties/{name}" + ("/items" if many else "")}
    return root, jsonschema_rs.Draft202012Validator(root, pattern_options=_REGEX)


def _stood_for(resource: Json, error: jsonschema_rs.ValidationError) -> bool:
    """Whether the error is only a null in a list of primitives whose `_name` sibling says something at that index."""
    path = error.instance_path
    if error.instance is not None or len(path) < 2 or not isinstance(path[-1], int):
        return False
    holder = _at(resource, path[:-2])
    beside: Any = cast("Json", holder).get(f"_{path[-2]}") if isinstance(holder, dict) else None
    said = cast("list[Any]", beside) if isinstance(beside, list) else []
    return path[-1] < len(said) and said[path[-1]] is not None


def _words(root: Json, error: jsonschema_rs.ValidationError) -> str:
    """An error in words that hold no value."""
    keyword, instance = error.schema_path[-1], cast("Any", error.instance)
    own = len(error.schema_path) == 3  # $defs, type, keyword: what the type itself asks, not one of its invariants
    above = cast("Json", _at(root, error.schema_path[:-1]))
    if keyword == "required" and own:
        return f"{', '.join(name for name in above['required'] if name not in instance)} is missing"
    if keyword == "additionalProperties":
        unknown = [name for name in instance if name not in above["properties"]]
        return "unknown element " + ", ".join(n if _PLAIN_NAME.fullmatch(n) else "(name not shown)" for n in unknown)
    if instance in (None, {}, "", []):
        return "empty"
    if keyword == "type":
        return f"must be {_JSON_NAMES.get(above['type'], 'a ' + above['type'])}"
    return _comment(root, error.schema_path) or f"does not fit ({keyword})"


def _at(root: Json, path: list[str | int]) -> Any:
    place: Any = root
    for step in path:
        place = place[step]
    return place


def _comment(root: Json, path: list[str | int]) -> str:
    """The nearest `$comment` at or above a place in the schema."""
    for end in range(len(path), 1, -1):
        place: Any = _at(root, path[:end])
        if isinstance(place, dict) and "$comment" in place:
            return str(cast("Json", place)["$comment"])
    return ""
