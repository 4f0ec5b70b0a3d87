"""
Our server and Debian's ejabberd exchange stanzas, over loopback and with real DNS.
"""

from __future__ import annotations

from unittest import skipIf

from twisted.trial.unittest import SynchronousTestCase

from tests.interop.federation import FederationCases
from tests.interop.peerservers import Ejabberd


@skipIf(Ejabberd.missing(), Ejabberd.missing())
class EjabberdTests(FederationCases, SynchronousTestCase):
    """Romeo is at our server, Juliet at ejabberd."""

    server = Ejabberd
