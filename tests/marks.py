"""
Marks that tie a test to the sentence of a specification it holds us to.

C{@spec("RFC 6120", "6.4.2")} on a test method or a whole test case records document and section; the page
C{docs/conformance.rst} is generated from these marks. The mark changes nothing about how a test runs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T", bound=Callable[..., Any])


def spec(document: str, *sections: str) -> Callable[[T], T]:
    """
    Mark a test method or test case as holding the code to C{sections} of C{document}.

    @param document: "RFC 6120", "XEP-0198" or "mission".
    @param sections: section numbers ("6.4.2"), or ids of mission statements ("A2").
    """

    def mark(test: T) -> T:
        marks = list(getattr(test, "specMarks", ()))
        marks.append((document, sections))
        test.specMarks = tuple(marks)  # type: ignore[attr-defined]
        return test

    return mark
