"""
What is counted while the server runs, for whoever wants to see it (docs/metrics.rst).

A L{Tally} is a whole number for each combination of labels; adding to one costs less than a microsecond. A feature that
wants something counted asks its host, once, while it joins::

    refused = host.counters.tally("evil_stanzas", "Stanzas refused for the flag of RFC 3514.", "host", "direction")
    …
    refused.add(host.domain, "in")

and finds it at C{/metrics} as C{xmppd_evil_stanzas_total}. Labels must come from a small set that nobody else can make
larger: a kind, a condition, a domain of ours; never an address. Were that forgotten, L{MOST} bounds the harm.

Nothing here knows who looks. What can be seen by looking at sessions, streams and queues isn't counted at all.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final

MOST: Final = 500
"""How many combinations of labels one tally tells apart; what else comes is counted as L{OTHER}."""

OTHER: Final = "other"

_NAME: Final = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")


class Tally:
    """
    Something that only grows.

    @ivar name: in small letters with underscores, without prefix and suffix.
    @ivar text: what it counts, a sentence for people.
    @ivar labels: the names of its labels.
    """

    __slots__ = ("_values", "labels", "name", "text")

    def __init__(self, name: str, text: str, labels: tuple[str, ...]) -> None:
        self.name = name
        self.text = text
        self.labels = labels
        self._values: dict[tuple[str, ...], int] = {} if labels else {(): 0}

    def add(self, *labels: str, by: int = 1) -> None:
        """
        Count.

        @param labels: the value of each label, in order.
        @raise ValueError: their number is wrong.
        """
        values = self._values
        if labels not in values:
            if len(labels) != len(self.labels):
                raise ValueError(f"{self.name} has the labels {self.labels}, not {labels}")
            if len(values) >= MOST:
                labels = (OTHER,) * len(labels)
        values[labels] = values.get(labels, 0) + by

    @property
    def values(self) -> Mapping[tuple[str, ...], int]:
        """The numbers of the moment, by the values of the labels."""
        return self._values.copy()

    @property
    def total(self) -> int:
        """All of them together."""
        return sum(self._values.values())


class Counters:
    """
    All tallies of one server; the same for all its hosts.

    @ivar logins: of clients that succeeded.
    @ivar loginFailures: of clients that didn't, by condition of RFC 6120 section 6.5.
    @ivar serverFailures: proofs of other servers that were worth nothing.
    @ivar certificateChanges: what was noticed about the certificates of other domains.
    """

    def __init__(self) -> None:
        self._tallies: dict[str, Tally] = {}
        self.logins = self.tally("logins", "Logins of clients that succeeded.", "mechanism")
        self.loginFailures = self.tally("login_failures", "Logins of clients that failed.", "mechanism", "reason")
        self.serverFailures = self.tally("server_login_failures", "Proofs of other servers that failed.")
        self.certificateChanges = self.tally(
            "peer_certificate_changes", "What was noticed about the certificates of other domains.", "change"
        )

    def tally(self, name: str, text: str, *labels: str) -> Tally:
        """
        The tally of a name, which is made if there is none: several hosts have the same.

        @raise ValueError: the name can't be one, or there is one of that name with other labels.
        """
        found = self._tallies.get(name)
        if found is None:
            for each in (name, *labels):
                if _NAME.fullmatch(each) is None:
                    raise ValueError(f"{each!r} is no name: small letters, digits and single underscores are")
            found = self._tallies[name] = Tally(name, text, labels)
        elif found.labels != labels:
            raise ValueError(f"{name} has the labels {found.labels}")
        return found

    def __iter__(self) -> Iterator[Tally]:
        """All tallies."""
        return iter(tuple(self._tallies.values()))
