"""
Tables for people, as text.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from xmppd.ctl.logs import printable


def table(headings: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Columns as wide as their widest cell; empty text where there is no row."""
    lines = [[cell(each) for each in row] for row in rows]
    if not lines:
        return ""
    lines.insert(0, list(headings))
    widths = [max(len(line[column]) for line in lines) for column in range(len(headings))]
    padded = ([text.ljust(width) for text, width in zip(line, widths, strict=True)] for line in lines)
    return "\n".join("  ".join(line).rstrip() for line in padded)


def cell(value: Any) -> str:
    """A value in a table; nothing is a dash."""
    if value is None or value == "":
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return printable(str(value))


def span(seconds: float | None) -> str:
    """A span of time: "3d 4h", "5m 6s"."""
    if seconds is None:
        return "-"
    rest = int(seconds)
    parts: list[str] = []
    for unit, length in (("d", 86_400), ("h", 3600), ("m", 60), ("s", 1)):
        count, rest = divmod(rest, length)
        if count or (unit == "s" and not parts):
            parts.append(f"{count}{unit}")
    return " ".join(parts[:2])


def octets(count: int | None) -> str:
    """A number of octets: "512", "4.2k", "1.3M"."""
    if count is None:
        return "-"
    size = float(count)
    for unit in ("", "k", "M", "G"):
        if size < 1000 or unit == "G":
            return f"{size:.1f}{unit}" if unit else str(count)
        size /= 1000
    raise AssertionError


def day(stamp: float | None) -> str:
    """A moment, in UTC, to the minute."""
    return "-" if stamp is None else datetime.fromtimestamp(stamp, UTC).strftime("%Y-%m-%d %H:%M")
