"""A made-up care network: organizations, members, every partner feed, and ADT traffic of two unlike hospitals.

Nobody in it is real. The same seed gives the same bytes.
"""

from adapter.demo.generate import DEMO_AS_OF, DEMO_SEED, DEMO_START, generate

__all__ = ["DEMO_AS_OF", "DEMO_SEED", "DEMO_START", "generate"]
