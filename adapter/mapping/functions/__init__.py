"""The registered functions that mapping rows name with `as:`; one small function a datatype."""

from adapter.mapping.functions import (
    codes,
    contacts,
    header,
    identifiers,
    locations,
    names,
    organizations,
    patient,
    practitioners,
    primitives,
    quantities,
    rows,
    visit,
    whole_rows,
)
from adapter.mapping.functions.registry import FUNCTIONS, Function, function

__all__ = ["FUNCTIONS", "Function", "codes", "contacts", "function", "header", "identifiers", "locations", "names",
           "organizations", "patient", "practitioners", "primitives", "quantities", "rows", "visit", "whole_rows"]
