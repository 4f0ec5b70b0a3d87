"""
What xmppctl can ask of a running server. Each command answers what JSON can hold.

Lists come in pages: a command that takes C{after} answers C{{"items": […], "after": …}}, where C{after} is what to ask
the next page with, or None for the last.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final, cast

from twisted.logger import Logger

from xmppd import __version__
from xmppd.ctl import pages
from xmppd.ctl.arguments import Arguments, domainOf, jidOf, textOf
from xmppd.ctl.certs import CertCommands
from xmppd.ctl.exits import EX_DATAERR, EX_NOHOST, EX_NOUSER, EX_UNAVAILABLE, EX_USAGE
from xmppd.ctl.guests import GuestCommands
from xmppd.ctl.names import NameCommands
from xmppd.ctl.pages import page
from xmppd.ctl.rooms import RoomCommands
from xmppd.ctl.socket import CommandError
from xmppd.ixmppd import IHost, IInvitations, ISession
from xmppd.net.histories import Histories
from xmppd.wire.errors import StanzaCondition, StanzaError
from xmppd.wire.jid import JID, JIDMalformed, parse

if TYPE_CHECKING:
    from xmppd.tap import Server

log = Logger(namespace="xmppd.control")

XMPPCTL: Final = "xmppctl"
"""Who makes accounts here, for the audit log."""

CHAINS: Final = 50
"""Streams of a page in which each comes with all certificates."""


class Commands:
    """The commands of one server. Calling it runs one by its name."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._commands: dict[str, Callable[[Arguments], Awaitable[Any]]] = {
            "status": self.status,
            "streams": self.streams,
            "dna history": self.dnaHistory,
            "dna acknowledge": self.dnaAcknowledge,
            "session list": self.sessionList,
            "session end": self.sessionEnd,
            "user add": self.userAdd,
            "user passwd": self.userPasswd,
            "user del": self.userDel,
            "user disable": self.userDisable,
            "user enable": self.userEnable,
            "user list": self.userList,
            "invite create": self.inviteCreate,
            "invite list": self.inviteList,
            "invite revoke": self.inviteRevoke,
            **RoomCommands(server).commands,
            **GuestCommands(server).commands,
            **CertCommands(server).commands,
            **NameCommands(server).commands,
            "reload": self.reload,
            "stop": self.stop,
        }

    async def __call__(self, name: str, arguments: Arguments) -> Any:
        """Run a command. Raises L{CommandError}, StanzaError or L{StoreUnavailable}."""
        command = self._commands.get(name)
        if command is None:
            raise CommandError(EX_USAGE, f"the server that runs has no command {name!r}; restart it after an update")
        return await command(arguments)

    # --- the server

    async def status(self, arguments: Arguments) -> dict[str, Any]:
        """What the server is and does."""
        server = self._server
        sessions = server.router.table.values()
        return {
            "version": __version__,
            "python": platform.python_version(),
            "pid": os.getpid(),
            "uptime": round(server.clock.seconds() - server.started, 3),
            "config": str(server.config.file),
            "data": str(server.config.data),
            "hosts": [await self._hostStatus(host) for host in server.hosts.values()],
            "services": [self._serviceStatus(host) for host in server.serviceHosts.values()],
            "connections": len(server.connections),
            "sessions": len(sessions),
            "hibernating": sum(1 for session in sessions if session.stream is None),
            "routed": server.router.routed,
            "bounced": server.router.bounced,
            "store_queue": getattr(server.store, "waiting", 0),
            "ports": [
                {"option": option, "endpoint": text, "address": addressOf(port.getHost())}
                for option, text, port in server.listeners.ports
            ],
            "certificates": [
                {
                    "domain": domain,
                    "expires": certificate.notAfter,
                    "sha256": certificate.sha256,
                    "warnings": [str(problem) for problem in certificate.warnings],
                }
                for domain, certificate in (server.tls.certificates.items() if server.tls is not None else ())
            ],
        }

    async def _hostStatus(self, host: IHost) -> dict[str, Any]:
        config = host.config
        return {
            "domain": host.domain,
            "accounts": await host.accounts.count(host.domain) if config.accounts else None,
            "registration": config.registration,
            "guests": config.guests,
            "sessions": sum(len(each) for each in host.sessions.values()),
            "features": sorted(self._server.features.get(host.domain, ())),
        }

    def _serviceStatus(self, host: IHost) -> dict[str, Any]:
        return {
            "domain": host.domain,
            "kind": host.config.table,
            "rooms": len(host.rooms.names()) if host.rooms is not None else None,
            "features": sorted(self._server.features.get(host.domain, ())),
        }

    async def streams(self, arguments: Arguments) -> dict[str, Any]:
        """
        A page of all connections, and of the sessions that wait to be resumed: C{peer} and C{id} say which are meant,
        C{certificate} and C{pem} that all of the peer's certificates are wanted.
        """
        inspection = self._server.inspection
        peer = _address(textOf(arguments, "peer")) if "peer" in arguments else None
        id = textOf(arguments, "id") if "id" in arguments else None
        pem = arguments.get("pem") is True
        chain = pem or arguments.get("certificate") is True

        def entry(key: str, thing: Any) -> dict[str, Any]:
            return inspection.entry(key, thing, chain, pem)

        most = CHAINS if chain else None
        return page(inspection.found(peer, id), textOf(arguments, "after", ""), entry, most)

    def _histories(self) -> Histories:
        """
        What other domains have shown.

        @raise CommandError: nobody has remembered it.
        """
        peers = self._server.peers
        if peers is None or peers.histories is None:
            raise CommandError(EX_UNAVAILABLE, "nothing is exchanged with other servers; see [s2s] in docs/s2s.rst")
        return peers.histories

    async def dnaHistory(self, arguments: Arguments) -> dict[str, Any]:
        """
        A page of the domains that were seen, each with the last warning that nobody has acknowledged; with C{domain},
        what it has shown.
        """
        histories = self._histories()
        if "domain" not in arguments:
            found = [(domain, domain) for domain in await histories.domains()]

            def entry(_: str, domain: str) -> dict[str, Any]:
                warned = histories.warned.get(domain)
                return {"domain": domain, "change": None if warned is None else warned.facts()}

            return page(found, textOf(arguments, "after", ""), entry)
        domain = domainOf(arguments)
        history = await self._server.inspection.history(domain)
        if history is None:
            raise CommandError(EX_NOHOST, f"{domain} was never seen; try it out: xmppctl dna explain {domain}")
        if arguments.get("pem") is not True:
            for each in (each for sighting in history["sightings"] for each in sighting["chain"]):
                del each["pem"]
        return dict(history)

    async def dnaAcknowledge(self, arguments: Arguments) -> dict[str, Any]:
        """Somebody has looked at the warnings about a domain."""
        domain = domainOf(arguments)
        count = await self._histories().acknowledge(domain, "xmppctl")
        if not count:
            raise CommandError(EX_NOHOST, f"nothing waits to be looked at of {domain}; see: xmppctl dna history")
        return {"domain": domain, "acknowledged": count}

    async def reload(self, arguments: Arguments) -> dict[str, Any]:
        """Read configuration and certificates again."""
        outcome = self._server.reloading()
        return {"problems": list(outcome.problems), "remarks": list(outcome.remarks)}

    async def stop(self, arguments: Arguments) -> dict[str, Any]:
        """Shut down, once this is answered."""
        leaving = self._server.leaving
        if leaving is None:
            raise CommandError(EX_UNAVAILABLE, "this server can't be stopped from here; stop its process")
        log.info("told to stop by xmppctl")
        self._server.clock.callLater(0, leaving, "shutdown")
        return {"pid": os.getpid()}

    # --- sessions

    async def sessionList(self, arguments: Arguments) -> dict[str, Any]:
        """A page of the sessions, those of one account if C{jid} says so."""
        now = self._server.clock.seconds()
        table = self._server.router.table.values()
        if "jid" in arguments:
            table = self._server.router.sessionsOf(jidOf(arguments).bare)  # type: ignore[assignment]
        found = [(session.full, session) for session in table]
        return page(found, textOf(arguments, "after", ""), lambda _, session: self._session(session, now))

    def _session(self, session: ISession, now: float) -> dict[str, Any]:
        stream = session.stream
        presence = session.presence
        return {
            "jid": session.full,
            "address": stream.address if stream is not None else None,
            "state": "connected" if stream is not None else "hibernating",
            "presence": None if presence is None else "available",
            "priority": None if presence is None else session.priority,
            "guest": session.account.anonymous,
            "age": round(now - session.created, 1),
        }

    async def sessionEnd(self, arguments: Arguments) -> dict[str, Any]:
        """End the sessions of an account, or one."""
        jid = jidOf(arguments)
        count = self._host(jid.domain).registrar.endSessions(jid.bare, jid.resource)
        if not count:
            raise CommandError(EX_NOUSER, f"there is no session of {jid.full}; see: xmppctl session list")
        log.info("xmppctl ended {count} sessions of {jid}", count=count, jid=jid.full)
        return {"ended": count}

    # --- accounts

    def _host(self, domain: str) -> IHost:
        """
        The host of a domain.

        @raise CommandError: it is none of ours.
        """
        host = self._server.hosts.get(domain)
        if host is None:
            hosts = ", ".join(self._server.hosts)
            raise CommandError(EX_NOHOST, f"{domain} is not served here; served are: {hosts}")
        return cast(IHost, host)

    def _account(self, arguments: Arguments) -> tuple[IHost, JID]:
        """The account that is meant, and its host."""
        jid = jidOf(arguments)
        host = self._host(jid.domain)
        if jid.local is None or jid.resource is not None:
            raise CommandError(EX_DATAERR, f"{jid.full} is no account; write USER@{host.domain}")
        if not host.config.accounts:
            raise CommandError(EX_DATAERR, f"{host.domain} has no accounts; set accounts = true and restart")
        return host, jid

    async def userAdd(self, arguments: Arguments) -> dict[str, Any]:
        """Make an account."""
        host, jid = self._account(arguments)
        anyway = arguments.get("anyway") is True
        try:
            bare = await host.registrar.create(jid.local or "", textOf(arguments, "password"), None, XMPPCTL, anyway)
        except StanzaError as error:
            if error.application:
                raise CommandError(EX_DATAERR, deceptive(jid.bare, error)) from None
            if error.condition == StanzaCondition.CONFLICT:
                line = f"{jid.bare} exists already; to change the password: xmppctl user passwd {jid.bare}"
                raise CommandError(EX_DATAERR, line) from None
            raise
        log.info("xmppctl added the account {jid}", jid=bare)
        return {"jid": bare}

    async def userPasswd(self, arguments: Arguments) -> dict[str, Any]:
        """Replace a password."""
        host, jid = self._account(arguments)
        await there(host.registrar.setPassword(jid.bare, textOf(arguments, "password")), jid)
        log.info("xmppctl changed the password of {jid}", jid=jid.bare)
        return {"jid": jid.bare}

    async def userDel(self, arguments: Arguments) -> dict[str, Any]:
        """Remove an account with all it stored; its sessions end, its contacts are told."""
        host, jid = self._account(arguments)
        await there(host.registrar.remove(jid.bare), jid)
        log.info("xmppctl removed the account {jid}", jid=jid.bare)
        return {"jid": jid.bare}

    async def userDisable(self, arguments: Arguments) -> dict[str, Any]:
        """Refuse login, and end the sessions."""
        return await self._setDisabled(arguments, True)

    async def userEnable(self, arguments: Arguments) -> dict[str, Any]:
        """Allow login again."""
        return await self._setDisabled(arguments, False)

    async def _setDisabled(self, arguments: Arguments, disabled: bool) -> dict[str, Any]:
        host, jid = self._account(arguments)
        await there(host.registrar.setDisabled(jid.bare, disabled), jid)
        log.info("xmppctl {what} {jid}", what="disabled" if disabled else "enabled", jid=jid.bare)
        return {"jid": jid.bare, "disabled": disabled}

    async def userList(self, arguments: Arguments) -> dict[str, Any]:
        """A page of the accounts of a domain; of all domains in turn, if none is named."""
        domains = [self._host(textOf(arguments, "domain")).domain] if "domain" in arguments else [*self._server.hosts]
        after = textOf(arguments, "after", "")
        current = after.rpartition("@")[2] or domains[0]
        if current not in domains:
            raise CommandError(EX_USAGE, f"{after} is not on any page")
        host = self._host(current)
        records = await host.accounts.list(current, after if "@" in after else "", pages.PAGE)
        items = [
            {
                "jid": record.jid,
                "created": record.created,
                "disabled": record.disabled,
                "last_activity": record.lastActivity,
                "sessions": len(host.sessions.get(record.jid, ())),
            }
            for record in records
        ]
        following = domains[domains.index(current) + 1 :]
        more = records[-1].jid if len(records) >= pages.PAGE else following[0] if following else None
        return {"items": items, "after": more}

    # --- invitations

    def _invitations(self, arguments: Arguments) -> tuple[str, IInvitations]:
        """The invitations of the domain that is named, or of the only one that has any."""
        if "domain" in arguments:
            hosts = [self._host(textOf(arguments, "domain"))]
        else:
            hosts = [cast(IHost, host) for host in self._server.hosts.values()]
        inviting = [host for host in hosts if host.invitations is not None and host.config.registration == "invite"]
        if not inviting:
            names = ", ".join(host.domain for host in hosts)
            raise CommandError(EX_UNAVAILABLE, f'{names}: no invitations; set registration = "invite" and reload')
        if len(inviting) > 1:
            names = ", ".join(host.domain for host in inviting)
            raise CommandError(EX_USAGE, f"say for which domain: {names}")
        invitations = inviting[0].invitations
        assert invitations is not None
        return inviting[0].domain, invitations

    async def inviteCreate(self, arguments: Arguments) -> dict[str, Any]:
        """Make an invitation; its URI is shown only now."""
        domain, invitations = self._invitations(arguments)
        seconds = arguments.get("seconds")
        if seconds is not None and (not isinstance(seconds, int | float) or not 0 < seconds < 1e10):
            raise CommandError(EX_DATAERR, "an invitation holds for more than no time")
        username = textOf(arguments, "username") if arguments.get("username") is not None else None
        try:
            made = await invitations.create(username, seconds, "", arguments.get("anyway") is True)
        except StanzaError as error:
            if error.application:
                raise CommandError(EX_DATAERR, deceptive(username or "", error)) from None
            raise
        invitation, token, uri = made
        log.info("xmppctl made the invitation {id} to {domain}", id=invitation.id, domain=domain)
        return {**invitationOf(invitation), "domain": domain, "token": token, "uri": uri}

    async def inviteList(self, arguments: Arguments) -> dict[str, Any]:
        """The invitations that can be used. The number open at a time is bounded, so this is one page."""
        domain, invitations = self._invitations(arguments)
        return {"items": [{**invitationOf(each), "domain": domain} for each in await invitations.open()], "after": None}

    async def inviteRevoke(self, arguments: Arguments) -> dict[str, Any]:
        """Make an invitation useless."""
        domain, invitations = self._invitations(arguments)
        id = textOf(arguments, "id")
        if not await invitations.revoke(id):
            raise CommandError(EX_DATAERR, f"there is no invitation {id} to {domain}; see: xmppctl invite list")
        log.info("xmppctl revoked the invitation {id} to {domain}", id=id, domain=domain)
        return {"id": id, "domain": domain}


def deceptive(name: str, error: StanzaError) -> str:
    """Why a name isn't taken that looks like others (XEP-0165), and what to do."""
    return f"{name}: {(error.text or '').rstrip('.')}; if it is meant all the same: --anyway"


def invitationOf(invitation: Any) -> dict[str, Any]:
    """What administrators may see of an invitation."""
    return {
        "id": invitation.id,
        "username": invitation.username,
        "expires": invitation.expires,
        "creator": invitation.creator,
    }


async def there(acting: Awaitable[Any], jid: JID) -> Any:
    """The outcome of acting on an account, with a clear word for one that isn't there."""
    try:
        return await acting
    except StanzaError as error:
        if error.condition == StanzaCondition.ITEM_NOT_FOUND:
            raise CommandError(EX_NOUSER, f"there is no account {jid.bare}; see: xmppctl user list") from None
        raise


def _address(text: str) -> str:
    """
    An address in canonical form.

    @raise CommandError: it is none.
    """
    try:
        return parse(text).full
    except JIDMalformed:
        line = f"{text!r} is no address; write a domain like example.org, or an account like romeo@example.org"
        raise CommandError(EX_DATAERR, line) from None


def addressOf(host: Any) -> str:
    """Where a port listens, as text."""
    if hasattr(host, "port"):
        return f"[{host.host}]:{host.port}" if ":" in host.host else f"{host.host}:{host.port}"
    name = getattr(host, "name", None)
    return os.fsdecode(name) if name else str(host)
