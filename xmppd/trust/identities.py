"""
The names in a certificate: what it says its holder is.

Reads the subjectAltName extension (RFC 5280 section 4.2.1.6) and answers the kinds of names XMPP cares about: XMPP
addresses (RFC 6120 section 13.7.1.4, the only kind by which SASL EXTERNAL of XEP-0178 knows a user), SRV names
(RFC 4985), DNS names, and e-mail addresses. The subject's common name is never a name here (RFC 9525 section 2).

A name that isn't well-formed is left out: nobody is known by a broken name.
"""

from __future__ import annotations

from dataclasses import dataclass

from cryptography import x509

xmppAddressOID = x509.ObjectIdentifier("1.3.6.1.5.5.7.8.5")
"""id-on-xmppAddr: a UTF8String with a JID."""

serviceNameOID = x509.ObjectIdentifier("1.3.6.1.5.5.7.8.7")
"""id-on-dnsSRV: an IA5String such as C{_xmpp-client.example.org}."""

_UTF8_STRING = 0x0C
_IA5_STRING = 0x16


@dataclass(frozen=True, slots=True)
class CertificateNames:
    """
    Names by kind, in the order of the certificate.

    @ivar xmppAddresses: JIDs as they stand in the certificate, not prepared.
    @ivar serviceNames: SRV names in lower case ("_xmpp-client.example.org").
    @ivar dnsNames: DNS names in lower case; may begin with "*.".
    @ivar emails: e-mail addresses.
    """

    xmppAddresses: tuple[str, ...] = ()
    serviceNames: tuple[str, ...] = ()
    dnsNames: tuple[str, ...] = ()
    emails: tuple[str, ...] = ()


def namesOf(certificate: x509.Certificate) -> CertificateNames:
    """
    The names of a certificate; no names if its extensions can't be read.
    """
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except (x509.ExtensionNotFound, x509.DuplicateExtension, ValueError):
        return CertificateNames()
    names = extension.value
    others = names.get_values_for_type(x509.OtherName)
    return CertificateNames(
        _texts(others, xmppAddressOID, _UTF8_STRING, "utf-8"),
        tuple(name.lower() for name in _texts(others, serviceNameOID, _IA5_STRING, "ascii")),
        tuple(name.lower() for name in names.get_values_for_type(x509.DNSName)),
        tuple(names.get_values_for_type(x509.RFC822Name)),
    )


def namesFromDER(der: bytes) -> CertificateNames:
    """
    The names of a certificate in DER.

    @raise ValueError: these aren't the bytes of a certificate.
    """
    try:
        return namesOf(x509.load_der_x509_certificate(der))
    except x509.InvalidVersion as error:
        raise ValueError(str(error)) from None


def certifiedAddresses(der: bytes) -> tuple[str, ...]:
    """The JIDs that a certificate names (XEP-0178); none if it can't be read, though its chain holds."""
    try:
        return namesFromDER(der).xmppAddresses
    except ValueError:
        return ()


def encodeText(text: str, tag: int) -> bytes:
    """
    The DER of a short string, as an otherName's value.

    @param tag: 0x0C for UTF8String, 0x16 for IA5String.
    @raise ValueError: longer than 65,535 octets.
    """
    octets = text.encode("utf-8")
    length = len(octets)
    if length < 0x80:
        return bytes((tag, length)) + octets
    if length < 0x100:
        return bytes((tag, 0x81, length)) + octets
    if length < 0x10000:
        return bytes((tag, 0x82)) + length.to_bytes(2, "big") + octets
    raise ValueError("too long for a name in a certificate")


def xmppAddress(jid: str) -> x509.OtherName:
    """A JID as a subjectAltName."""
    return x509.OtherName(xmppAddressOID, encodeText(jid, _UTF8_STRING))


def serviceName(service: str, domain: str) -> x509.OtherName:
    """An SRV name as a subjectAltName: C{serviceName("xmpp-client", "example.org")}."""
    return x509.OtherName(serviceNameOID, encodeText(f"_{service}.{domain}", _IA5_STRING))


def _texts(others: list[x509.OtherName], oid: x509.ObjectIdentifier, tag: int, encoding: str) -> tuple[str, ...]:
    """The well-formed values among C{others} of one kind."""
    texts = (_decodeText(other.value, tag, encoding) for other in others if other.type_id == oid)
    return tuple(text for text in texts if text is not None)


def _decodeText(der: bytes, tag: int, encoding: str) -> str | None:
    """
    The text in the DER of one string; None unless the DER is exactly that, in the shortest form, without NUL.
    """
    content = _content(der, tag)
    if not content or b"\0" in content:
        return None
    try:
        return content.decode(encoding)
    except UnicodeDecodeError:
        return None


def _content(der: bytes, tag: int) -> bytes | None:
    """The content octets of one DER element that has the tag and fills C{der}, or None."""
    if len(der) < 2 or der[0] != tag:
        return None
    if der[1] < 0x80:
        start, length = 2, der[1]
    elif der[1] in (0x81, 0x82):
        start = 2 + der[1] - 0x80
        length = int.from_bytes(der[2:start], "big")
        if length < (0x80 if start == 3 else 0x100):
            return None
    else:
        return None
    return der[start:] if len(der) == start + length else None
