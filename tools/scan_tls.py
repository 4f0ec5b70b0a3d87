#!/usr/bin/env python3
"""
Has testssl.sh and sslyze look at every port of a server, with all that they can do, and keeps what they print for the
documentation: C{docs/tls/}.

    scan_tls.py

Wants both scanners (see C{tests/interop/scanners.py}), and a few minutes. Ends with status 1 if there is a finding.
"""

from __future__ import annotations

import datetime
import re
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version as versionOf
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from OpenSSL import SSL  # noqa: E402

from tests.interop.daemon import DOMAIN  # noqa: E402
from tests.interop.scanners import (  # noqa: E402
    EXPLAINED,
    LISTENERS,
    RSA_DOMAIN,
    SSLYZE,
    TESTSSL,
    Scan,
    Scanned,
    sslyze,
    testssl,
)

OUT = ROOT / "docs" / "tls"
AT_A_TIME = 2


def versions() -> dict[str, str]:
    """What the scanners call themselves."""
    shown = subprocess.run([TESTSSL or "", "--version"], capture_output=True, text=True, cwd="/")  # noqa: S603 (ours)
    named = re.search(r"testssl\S*\s+([0-9][^\s]*)", re.sub(r"\x1b\[[0-9;]*m", "", shown.stdout + shown.stderr))
    asked = subprocess.run([SSLYZE or "", "--help"], capture_output=True, text=True, cwd="/")  # noqa: S603 (ours)
    other = re.search(r"SSLyze version (\S+)", asked.stdout)
    return {
        "testssl.sh": named.group(1) if named else "unknown",
        "sslyze": other.group(1) if other else "unknown",
    }


def keep(scanner: str, version: str, listener: str, domain: str, scan: Scan) -> list[str]:
    """Write one file; what speaks against the server."""
    server = f"{SSL.SSLeay_version(SSL.SSLEAY_VERSION).decode()}, cryptography {package('cryptography')}"
    kind = "an RSA key of 2048 bits" if domain == RSA_DOMAIN else "an ECDSA key on P-256"
    against = scan.against(EXPLAINED if scanner == "testssl.sh" else {})
    head = [
        f"{scanner} {version}, {datetime.date.today().isoformat()}",
        f"listen.{listener} of xmppd, with {kind}; {server}",
        f"findings: {'; '.join(map(str, against)) or 'none'}",
    ]
    for each in scan.found:
        if scanner == "testssl.sh" and each.severity not in ("OK", "INFO") and each.id in EXPLAINED:
            head.append(f"not a finding: {each.id} ({EXPLAINED[each.id]})")
    name = f"{scanner.partition('.')[0]}-{listener}{'-rsa' if domain == RSA_DOMAIN else ''}.txt"
    (OUT / name).write_text("\n".join(head) + "\n\n" + scan.output, "utf-8")
    return [f"{name}: {each}" for each in against]


def package(name: str) -> str:
    """The version of an installed package."""
    return versionOf(name)


def main() -> int:
    """Scan everything, one file for each scan."""
    if TESTSSL is None or SSLYZE is None:
        print("testssl and sslyze are both needed", file=sys.stderr)
        return 1
    OUT.mkdir(exist_ok=True)
    known = versions()
    folder = Path(tempfile.mkdtemp(prefix="xmppd-"))
    server = Scanned(folder)
    against: list[str] = []
    try:
        server.start()
        targets = [*((listener, DOMAIN) for listener in LISTENERS), ("c2s_tls", RSA_DOMAIN)]
        for listener, domain in targets:
            against += keep("sslyze", known["sslyze"], listener, domain, sslyze(server, listener, domain))
        with ThreadPoolExecutor(AT_A_TIME) as pool:
            scans = pool.map(lambda target: testssl(server, target[0], (), target[1]), targets)
            for (listener, domain), scan in zip(targets, scans, strict=True):
                against += keep("testssl.sh", known["testssl.sh"], listener, domain, scan)
        server.stop()
    finally:
        server.kill()
        shutil.rmtree(folder, ignore_errors=True)
    print("\n".join(against) or "no finding")
    return 1 if against else 0


if __name__ == "__main__":
    sys.exit(main())
