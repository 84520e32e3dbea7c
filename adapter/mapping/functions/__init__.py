"""The registered functions that mapping rows name with `as:`; one small function a datatype. Every module here is read."""

from importlib import import_module
from pkgutil import iter_modules

from adapter.mapping.functions.registry import FUNCTIONS, Function, function

for _module in iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")

__all__ = ["FUNCTIONS", "Function", "function"]
