"""
The tests of xmppd: run them with C{python -m twisted.trial tests}.

Every property test draws the same examples in each run, keeps none for the next, and may take its time: a busy machine
is no failure.
"""

from hypothesis import HealthCheck, settings

settings.register_profile(
    "steady", deadline=None, database=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("steady")
