"""Made-up names. Surnames are put together from syllables, so that they are nobody's."""

from __future__ import annotations

import random

FEMALE = ("Adela", "Bettina", "Corinne", "Delphine", "Esperanza", "Fadumo", "Greta", "Hanh", "Imogen", "Josefa",
          "Kalista", "Linnea", "Maribel", "Noor", "Odile", "Philippa", "Rosalind", "Sunniva", "Thuy", "Ursula", "Viola",
          "Zaynab")
MALE = ("Abdi", "Bertrand", "Cormac", "Dieter", "Emilio", "Florian", "Gideon", "Huan", "Ignacio", "Jasper", "Kofi",
        "Lorenz", "Matías", "Niels", "Orrin", "Percival", "Quang", "Rafael", "Silas", "Tobias", "Ulrich", "Yusuf")

_HEADS = ("Ash", "Birch", "Cinder", "Dun", "Elm", "Fern", "Gorse", "Hazel", "Isen", "Juni", "Kel", "Lark", "Marl",
          "Nettle", "Oaken", "Peb", "Quarr", "Row", "Sorrel", "Thistle", "Um", "Vetch", "Wren", "Yar")
_TAILS = ("bourne", "combe", "dale", "feld", "garth", "hollow", "kirk", "lowe", "mere", "nesse", "quist", "ridge",
          "stead", "thorpe", "vale", "wick")
_ACCENTED = ("Peñasombra", "Muñalto", "Brûlemont", "Grünhalde", "Åskvale", "Oréal-Thorne", "D'Almaviva", "Lâmbrook")

STREETS = ("Orchard Lane", "Mill Road", "Station Street", "Quarry Hill", "Lantern Court", "Heron Way", "Canal Street",
           "Tannery Row", "Bellows Avenue", "Clover Terrace")
TOWNS = {"east": (("Alderton", "NY", "12999"), ("Fernhill", "NY", "12998"), ("Stonebridge", "NY", "12997")),
         "west": (("Lakeside", "IL", "60999"), ("Prairie Gate", "IL", "60998"))}


def surname(rng: random.Random) -> str:
    """A surname; one in thirty has letters outside ASCII."""
    if rng.random() < 1 / 30:
        return rng.choice(_ACCENTED)
    return rng.choice(_HEADS) + rng.choice(_TAILS)
