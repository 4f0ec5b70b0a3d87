"""
The forms of rooms: configuration, with validation (section 10.1.3), requests for a voice (8.6), registration (7.10).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from xmppd.features.xep0045_muc.affiliations import Affiliation, Role
from xmppd.features.xep0045_muc.config import ROLES, RoomConfig
from xmppd.wire import forms
from xmppd.wire.element import Element
from xmppd.wire.errors import StanzaCondition, StanzaError
from xmppd.wire.jid import parse

CONFIG: Final = "http://jabber.org/protocol/muc#roomconfig"
INFO: Final = "http://jabber.org/protocol/muc#roominfo"
REQUEST: Final = "http://jabber.org/protocol/muc#request"
REGISTER: Final = "http://jabber.org/protocol/muc#register"
VALIDATE: Final = "http://jabber.org/protocol/xdata-validate"

PROTECTED: Final = "muc#roomconfig_passwordprotectedroom"
SECRET: Final = "muc#roomconfig_roomsecret"  # noqa: S105
ADMINS: Final = "muc#roomconfig_roomadmins"
OWNERS: Final = "muc#roomconfig_roomowners"
LOGGING: Final = "muc#roomconfig_enablelogging"
GUESTS: Final = "x-roomconfig_guestvisitors"
"""Not registered, hence the prefix (XEP-0068 section 3.4)."""

SLOW: Final = "muc#roomconfig_slow_mode_duration"

LONGEST_SLOW: Final = 86400
LONGEST_PASSWORD: Final = 1000

ROLE_OPTIONS: Final = (
    ("Moderators", Role.MODERATOR.value),
    ("Participants", Role.PARTICIPANT.value),
    ("Visitors", Role.VISITOR.value),
)


def bad(var: str, why: str) -> StanzaError:
    """A value that the field can't have."""
    return StanzaError(StanzaCondition.BAD_REQUEST, f"{var}: {why}")


def unacceptable(var: str, why: str) -> StanzaError:
    """A value that the service doesn't allow (section 10.1.3)."""
    return StanzaError(StanzaCondition.NOT_ACCEPTABLE, f"{var}: {why}")


@dataclass(frozen=True, slots=True)
class Field:
    """
    A field of the configuration form.

    @ivar attribute: what of L{RoomConfig} it is.
    @ivar read: what the values mean; raises StanzaError.
    @ivar write: the values that mean something.
    """

    var: str
    attribute: str
    type: str
    label: str
    read: Callable[[str, tuple[str, ...]], Any]
    write: Callable[[Any], tuple[str, ...]]
    options: tuple[tuple[str, str], ...] = ()


def _one(var: str, values: tuple[str, ...]) -> str:
    if len(values) > 1:
        raise bad(var, "it has one value")
    return values[0].strip() if values else ""


def _flag(var: str, values: tuple[str, ...]) -> bool:
    text = _one(var, values)
    if text not in ("0", "1", "true", "false"):
        raise bad(var, "it is 0 or 1")
    return forms.truth(text)


def _text(most: int) -> Callable[[str, tuple[str, ...]], str]:
    def read(var: str, values: tuple[str, ...]) -> str:
        text = _one(var, values)
        if len(text) > most:
            raise unacceptable(var, f"at most {most} characters")
        return text

    return read


def _number(most: int, zero: str = "") -> Callable[[str, tuple[str, ...]], int]:
    """
    @param zero: a word for 0, and what nothing at all means.
    """

    def read(var: str, values: tuple[str, ...]) -> int:
        text = _one(var, values)
        if zero and text in ("", zero):
            return 0
        if not (text.isascii() and text.isdigit()):
            raise bad(var, "it is a number")
        if len(text) > 9 or int(text) > most:
            raise unacceptable(var, f"at most {most}")
        return int(text)

    return read


def _choice(*words: str) -> Callable[[str, tuple[str, ...]], str]:
    def read(var: str, values: tuple[str, ...]) -> str:
        text = _one(var, values)
        if text not in words:
            raise bad(var, f"it is one of {', '.join(words)}")
        return text

    return read


def _roles(var: str, values: tuple[str, ...]) -> tuple[str, ...]:
    given = {value for value in values if value}
    if not given <= set(ROLES):
        raise bad(var, f"each is one of {', '.join(ROLES)}")
    return tuple(role for role in ROLES if role in given)


def _writeText(text: str) -> tuple[str, ...]:
    return (text,) if text else ()


def _writeFlag(flag: bool) -> tuple[str, ...]:
    return ("1" if flag else "0",)


def _writeNumber(number: int) -> tuple[str, ...]:
    return (str(number),)


def fields(occupantsMost: int, historyMost: int, archive: bool) -> tuple[Field, ...]:
    """
    The fields, but for those of passwords and people.

    @param archive: whether there is one.
    """

    def flag(name: str, attribute: str, label: str) -> Field:
        return Field(f"muc#roomconfig_{name}", attribute, "boolean", label, _flag, _writeFlag)

    def text(name: str, attribute: str, label: str, most: int) -> Field:
        return Field(f"muc#roomconfig_{name}", attribute, "text-single", label, _text(most), _writeText)

    who = (("Anyone", "anyone"), ("Moderators only", "moderators"))
    private = (*who, ("Anyone with voice", "participants"), ("Nobody", "none"))
    sizes = [(str(size), str(size)) for size in (10, 20, 50, 100, 200, 500) if size < occupantsMost]
    sizes.append((f"As many as the service allows ({occupantsMost})", "none"))
    whois = _choice("anyone", "moderators")
    found = (
        text("roomname", "name", "Name of the room", 200),
        text("roomdesc", "description", "Short description", 1000),
        text("lang", "language", "Natural language of the discussions", 35),
        text("pubsub", "pubsub", "XMPP URI of an associated node", 1000),
        flag("publicroom", "public", "List the room"),
        flag("persistentroom", "persistent", "Keep the room when everybody has left"),
        flag("moderatedroom", "moderated", "Only who is given a voice may speak"),
        flag("membersonly", "membersOnly", "Only members may enter"),
        Field(
            "muc#roomconfig_whois",
            "anonymous",
            "list-single",
            "Who may see real addresses",
            lambda var, values: whois(var, values) == "moderators",
            lambda anonymous: ("moderators" if anonymous else "anyone",),
            who,
        ),
        Field(
            "muc#roomconfig_maxusers",
            "maxUsers",
            "list-single",
            "Most occupants",
            _number(occupantsMost, "none"),
            lambda number: (str(number) if number else "none",),
            tuple(sizes),
        ),
        flag("changesubject", "changeSubject", "Participants may change the subject"),
        flag("allowinvites", "memberInvites", "Members may invite into a members-only room"),
        Field(
            "muc#roomconfig_allowpm",
            "privateMessages",
            "list-single",
            "Who may send private messages",
            _choice(*(value for _, value in private)),
            _writeText,
            private,
        ),
        Field(
            "muc#roomconfig_presencebroadcast",
            "broadcast",
            "list-multi",
            "Roles whose presence everybody sees",
            _roles,
            tuple,
            ROLE_OPTIONS,
        ),
        Field(
            "muc#roomconfig_getmemberlist",
            "memberList",
            "list-multi",
            "Roles that may retrieve the member list, where real addresses are no secret",
            _roles,
            tuple,
            ROLE_OPTIONS,
        ),
        Field(
            "muc#maxhistoryfetch",
            "history",
            "text-single",
            "Most messages of history for who enters",
            _number(historyMost),
            _writeNumber,
        ),
        Field(SLOW, "slowMode", "text-single", "Slow mode", _number(LONGEST_SLOW), _writeNumber),
        Field(GUESTS, "guestVisitors", "boolean", "Guests may speak only when given a voice", _flag, _writeFlag),
    )
    log = flag("enablelogging", "logging", "Keep an archive of what is said")
    return (*found, log) if archive else found


def configForm(room: str, config: RoomConfig, all: tuple[Field, ...], owners: list[str], admins: list[str]) -> Element:
    """The form to fill in, with what holds now."""
    asked = [
        _validated(
            forms.field(
                each.var,
                *each.write(getattr(config, each.attribute)),
                type=each.type,
                label=each.label,
                options=each.options,
            )
        )
        for each in all
    ]
    asked += [
        forms.field(PROTECTED, "1" if config.password else "0", type="boolean", label="A password is needed to enter"),
        forms.field(SECRET, *_writeText(config.password), type="text-private", label="Password"),
        forms.field(ADMINS, *admins, type="jid-multi", label="Admins"),
        forms.field(OWNERS, *owners, type="jid-multi", label="Owners"),
    ]
    title = f"Configuration of {room}"
    return forms.form("form", *asked, formType=CONFIG, title=title, instructions="Complete this form to configure it.")


def _validated(field: Element) -> Element:
    """The field of slow mode says what it takes (XEP-0500 section 5.1)."""
    if field.attrs["var"] != SLOW:
        return field
    limits = Element("range", VALIDATE, {"min": "0", "max": str(LONGEST_SLOW)})
    validate = Element("validate", VALIDATE, {"datatype": "xs:integer"}, (limits,))
    return Element(field.name, field.ns, field.attrs, (validate, *field.children))


def readConfig(form: Element, config: RoomConfig, all: tuple[Field, ...]) -> RoomConfig:
    """
    What a submitted form makes of a configuration. Fields it leaves out stay as they are, fields nobody knows don't
    matter.

    @raise StanzaError: bad-request for what no such field can hold, not-acceptable for what the service doesn't allow.
    """
    given = forms.values(form)
    checkType(given, CONFIG)
    changes = {each.attribute: each.read(each.var, given[each.var]) for each in all if each.var in given}
    password = config.password
    if SECRET in given:
        secret = given[SECRET][0] if given[SECRET] else ""
        if len(secret) > LONGEST_PASSWORD:
            raise unacceptable(SECRET, f"at most {LONGEST_PASSWORD} characters")
        password = secret
    if PROTECTED in given:
        if not _flag(PROTECTED, given[PROTECTED]):
            password = ""
        elif not password:
            raise unacceptable(SECRET, "a room with a password needs one")
    return replace(config, password=password, **changes)


def checkType(given: Mapping[str, tuple[str, ...]], formType: str) -> None:
    """
    A submission with fields has to say which form it is.

    @raise StanzaError: bad-request.
    """
    if given and forms.first(given, forms.FORM_TYPE) != formType:
        raise StanzaError(StanzaCondition.BAD_REQUEST, f"This is no form of type {formType}.")


def readPeople(form: Element, current: Mapping[str, Affiliation]) -> dict[str, Affiliation]:
    """
    The affiliations that a submitted configuration form changes: its lists are complete (section 10.5, note).

    @raise StanzaError: jid-malformed.
    """
    given = forms.values(form)
    wanted: dict[str, Affiliation] = {}
    for var, affiliation in ((ADMINS, Affiliation.ADMIN), (OWNERS, Affiliation.OWNER)):
        if var not in given:
            continue
        for bare, each in current.items():
            if each is affiliation:
                wanted.setdefault(bare, Affiliation.NONE)
        for text in given[var]:
            if text.strip():
                wanted[parse(text.strip()).bare] = affiliation
    return {bare: each for bare, each in wanted.items() if current.get(bare, Affiliation.NONE) is not each}


# --- voice and registration ---------------------------------------------------------------------------------------


def voiceForm(jid: str, nick: str) -> Element:
    """What moderators get to grant a voice (section 8.6)."""
    return forms.form(
        "form",
        forms.field("muc#role", "participant", type="list-single", label="Requested role"),
        forms.field("muc#jid", jid, type="jid-single", label="User ID"),
        forms.field("muc#roomnick", nick, type="text-single", label="Room nickname"),
        forms.field("muc#request_allow", "false", type="boolean", label="Grant voice to this person?"),
        formType=REQUEST,
        title="Voice request",
        instructions="To approve this request for a voice, select the checkbox. To skip it, cancel.",
    )


REGISTRATION_FIELDS: Final = (
    ("muc#register_roomnick", "text-single", "Desired nickname", True),
    ("muc#register_first", "text-single", "Given name", False),
    ("muc#register_last", "text-single", "Family name", False),
    ("muc#register_url", "text-single", "A web page", False),
    ("muc#register_email", "text-single", "Email address", False),
    ("muc#register_faqentry", "text-multi", "FAQ entry", False),
)
"""The fields of registration: name, type, label, whether they are required."""

LONGEST_ANSWER: Final = 2000


def registrationForm(room: str) -> Element:
    """What who registers fills in (section 7.10)."""
    asked = [forms.field(var, type=type, label=label, required=need) for var, type, label, need in REGISTRATION_FIELDS]
    return forms.form("form", *asked, formType=REGISTER, title=f"Registration with {room}")


def readRegistration(form: Element) -> dict[str, tuple[str, ...]]:
    """
    What somebody has filled in.

    @raise StanzaError: bad-request: not that form, or a required field is missing; not-acceptable: too long.
    """
    given = forms.values(form)
    if forms.first(given, forms.FORM_TYPE) != REGISTER or not forms.first(given, "muc#register_roomnick"):
        raise StanzaError(StanzaCondition.BAD_REQUEST, "The registration form needs a nickname.")
    answers = {var: given[var] for var, _, _, _ in REGISTRATION_FIELDS if var in given}
    if sum(len(text) for texts in answers.values() for text in texts) > LONGEST_ANSWER:
        raise StanzaError(StanzaCondition.NOT_ACCEPTABLE, f"At most {LONGEST_ANSWER} characters.")
    return answers


def approvalForm(jid: str, answers: Mapping[str, tuple[str, ...]]) -> Element:
    """What admins get to approve a registration (section 9.9); it says whose, so that the answer tells."""
    known = {var: (type, label) for var, type, label, _ in REGISTRATION_FIELDS}
    shown = [forms.field(var, *texts, type=known[var][0], label=known[var][1]) for var, texts in answers.items()]
    return forms.form(
        "form",
        forms.field("muc#jid", jid, type="jid-single", label="User ID"),
        *shown,
        forms.field("muc#register_allow", "0", type="boolean", label="Allow this person to register with the room?"),
        formType=REGISTER,
        title="Registration request",
        instructions="To approve this registration, select the checkbox. To skip it, cancel.",
    )
