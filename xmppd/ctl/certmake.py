"""
C{xmppctl cert make}: a key, and a certificate signed by itself or a request for an authority.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xmppd.config import Configuration
from xmppd.ctl.exits import EX_CANTCREAT, EX_DATAERR
from xmppd.ctl.socket import CommandError
from xmppd.trust.certificatefacts import factsOf
from xmppd.trust.certificates import loadCertificate
from xmppd.trust.selfsigned import (
    KeyKind,
    keyPEM,
    namesFor,
    newKey,
    pemOf,
    signedByItself,
    signingRequest,
    writePrivately,
)


@dataclass(frozen=True, slots=True)
class Order:
    """
    What to make.

    @ivar domains: what it is for; files are named after the first.
    @ivar days: how long a certificate is valid.
    @ivar request: whether to make a request for an authority instead of a certificate.
    @ivar folder: where to.
    @ivar force: whether files may be replaced.
    """

    domains: tuple[str, ...]
    kind: KeyKind
    days: int
    request: bool
    folder: Path
    force: bool


@dataclass(frozen=True, slots=True)
class Made:
    """
    What was made.

    @ivar files: with the key in the first.
    @ivar steps: what to do next: of each what for, and the command line or an empty text.
    """

    files: tuple[Path, ...]
    names: tuple[str, ...]
    certificate: dict[str, Any] | None
    steps: tuple[tuple[str, str], ...]

    def facts(self) -> dict[str, Any]:
        """For programs."""
        steps = [{"what": what, "command": command} for what, command in self.steps]
        files = [str(path) for path in self.files]
        return {"files": files, "names": list(self.names), "certificate": self.certificate, "next": steps}

    def text(self) -> str:
        """For people."""
        lines = [f"made {path}" for path in self.files]
        if self.certificate is not None:
            lines.append(f"SHA-256 of the certificate: {self.certificate['sha256']}")
            lines.append(f"SHA-256 of the key: {self.certificate['public_key_sha256']}")
        lines.append("Next:")
        for what, command in self.steps:
            lines += [f"- {what}", *([f"    {command}"] if command else [])]
        return "\n".join(lines)


def make(order: Order, config: Configuration | None, now: float) -> Made:
    """
    Make it. Nothing appears if anything can't be written.

    @param config: whose server it is for, if that is known.
    @param now: seconds since the epoch.
    @raise CommandError: it can't be made.
    """
    try:
        names = namesFor(order.domains)
    except ValueError as error:
        raise CommandError(EX_DATAERR, f"{', '.join(order.domains)}: {error}; write names like example.org") from None
    key = newKey(order.kind)
    folder, first = order.folder, names[0]
    if order.request:
        contents = {
            folder / f"{first}.key": keyPEM(key),
            folder / f"{first}.csr": pemOf(signingRequest(names, key)),
        }
    else:
        contents = {folder / f"{first}.pem": keyPEM(key) + pemOf(signedByItself(names, key, now, order.days))}
    _write(contents, order, config)
    files = tuple(contents)
    if order.request:
        return Made(files, names, None, _stepsOfRequest(files, first))
    return Made(files, names, _facts(files[0], now), _steps(files[0], first, config))


def _write(contents: dict[Path, bytes], order: Order, config: Configuration | None) -> None:
    """
    Write files that only the server's user can read.

    @raise CommandError: one is there already, or can't be written.
    """
    taken = [path for path in contents if path.exists() or path.is_symlink()]
    if taken and not order.force:
        _refuse(taken[0])
    try:
        isNew = not order.folder.exists()
        order.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        owner = ownerFor(order.folder, config)
        if isNew and owner is not None:
            os.chown(order.folder, *owner)
        for path, data in contents.items():
            writePrivately(path, data, order.force, owner)
    except FileExistsError as error:
        _refuse(Path(error.filename2 or error.filename or order.folder))
    except OSError as error:
        line = f"{order.folder}: {error.strerror}; run it as root or as the server's user, or name a folder with --out"
        raise CommandError(EX_CANTCREAT, line) from None


def _refuse(path: Path) -> None:
    """@raise CommandError: always."""
    line = f"{path} is there already; to replace it, and lose its key, use --force"
    raise CommandError(EX_CANTCREAT, line)


def ownerFor(folder: Path, config: Configuration | None) -> tuple[int, int] | None:
    """
    Who is to own what root makes: the server's user, to whom its data folder belongs; else the owner of the folder
    where it lies. None if we aren't root, and own it ourselves.
    """
    if os.geteuid() != 0:
        return None
    where = config.data if config is not None and config.data.is_dir() else folder
    found = where.stat()
    return found.st_uid, found.st_gid


def _facts(path: Path, now: float) -> dict[str, Any]:
    """What there is to know of a certificate that was just made."""
    certificate = loadCertificate(path, now)
    facts = factsOf(certificate.der)
    return {
        "not_before": facts.notBefore,
        "not_after": facts.notAfter,
        "key": facts.key,
        "key_bits": facts.keyBits,
        "sha256": facts.sha256,
        "public_key_sha256": facts.publicKeySHA256,
    }


def _steps(path: Path, domain: str, config: Configuration | None) -> tuple[tuple[str, str], ...]:
    """What to do with a certificate that is signed by itself."""
    steps: list[tuple[str, str]] = []
    if config is None or config.tls.certificates is None or path.parent.resolve() != config.tls.certificates.resolve():
        steps.append(("move it into the folder tls.certificates of the server", ""))
    steps.append(("have the server take it up (it does so by itself after some seconds)", "xmppctl reload"))
    what = "publish it in the DNS, where others can verify it (TLSA records need DNSSEC)"
    steps.append((what, f"xmppctl dna publish {domain}"))
    return tuple(steps)


def _stepsOfRequest(files: Sequence[Path], domain: str) -> tuple[tuple[str, str], ...]:
    """What to do with a key and a request."""
    key, request = files
    new = key.with_name(f".{domain}.new")
    ready = f"(umask 077 && cat {key} ANSWER.pem > {new} && mv {new} {key.with_suffix('.pem')})"
    return (
        (f"have an authority sign {request}; it answers certificates, the server's and its issuers'", ""),
        ("put key and answer together, where the server looks for certificates, readable by its user", ready),
        ("see what clients and other servers will think of it", f"xmppctl cert check {domain}"),
        ("have the server take it up (it does so by itself after some seconds)", "xmppctl reload"),
    )
