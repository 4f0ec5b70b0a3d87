"""
Which avatar a resumed session has.
"""

from __future__ import annotations

from xmppd.ixmppd import IClientStream, IReturningGuest, ISession


def handOver(session: ISession, stream: IClientStream) -> None:
    """
    Give a session the avatar that its new stream has logged in with, and log out the old one; but a guest has one
    avatar for all its time.
    """
    old, new = session.account, stream.account
    if IReturningGuest.providedBy(new):
        stream.account = old
    elif new is not None and new is not old:
        session.account = new
        old.logout()
