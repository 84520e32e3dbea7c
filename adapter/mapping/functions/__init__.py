"""The registered functions that mapping rows name with `as:`; one small function a datatype."""

from adapter.mapping.functions.registry import FUNCTIONS, Function, function

__all__ = ["FUNCTIONS", "Function", "function"]
