/**
 * XML: making it, reading it, finding things in it.
 *
 * What is sent is text made by x(), which escapes whatever it is given. What has come is read by the browser's own parser
 * and looked at as nodes: nothing that somebody else wrote is ever taken for HTML.
 */

export const NS = {
  CLIENT: "jabber:client",
  FRAMING: "urn:ietf:params:xml:ns:xmpp-framing",
  STREAMS: "http://etherx.jabber.org/streams",
  STREAM_ERRORS: "urn:ietf:params:xml:ns:xmpp-streams",
  STANZA_ERRORS: "urn:ietf:params:xml:ns:xmpp-stanzas",
  LIMITS: "urn:xmpp:errors",
  SASL: "urn:ietf:params:xml:ns:xmpp-sasl",
  SASL2: "urn:xmpp:sasl:2",
  BIND: "urn:ietf:params:xml:ns:xmpp-bind",
  BIND2: "urn:xmpp:bind:0",
  FAST: "urn:xmpp:fast:0",
  SM: "urn:xmpp:sm:3",
  CARBONS: "urn:xmpp:carbons:2",
  FORWARD: "urn:xmpp:forward:0",
  MUC: "http://jabber.org/protocol/muc",
  MUC_USER: "http://jabber.org/protocol/muc#user",
  MUC_OWNER: "http://jabber.org/protocol/muc#owner",
  DATA: "jabber:x:data",
  DISCO_INFO: "http://jabber.org/protocol/disco#info",
  DISCO_ITEMS: "http://jabber.org/protocol/disco#items",
  DELAY: "urn:xmpp:delay",
  STANZA_ID: "urn:xmpp:sid:0",
  OCCUPANT_ID: "urn:xmpp:occupant-id:0",
  AFFILIATION: "urn:xmpp:raa:0",
  PING: "urn:xmpp:ping",
  HOPS: "urn:xmppd:hops:0",
  NAMES: "urn:xmppd:names:0",
  ROSTER: "jabber:iq:roster",
  REGISTER: "jabber:iq:register",
  REGISTER_FEATURE: "http://jabber.org/features/iq-register",
};

const ESCAPES = { "&": "&amp;", "<": "&lt;", ">": "&gt;", "'": "&apos;", '"': "&quot;", "\t": "&#9;", "\n": "&#10;", "\r": "&#13;" };

/** Text without the characters that XML can't hold, and half characters. */
export function writable(text) {
  // eslint-disable-next-line no-control-regex
  return String(text).toWellFormed().replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/g, "");
}

function escaped(text) {
  return writable(text).replace(/[&<>]/g, (character) => ESCAPES[character]);
}

function quoted(text) {
  return writable(text).replace(/[&<>'"\t\n\r]/g, (character) => ESCAPES[character]);
}

/** XML that is known to be well-formed. */
class Markup {
  constructor(text) {
    this.text = text;
  }

  toString() {
    return this.text;
  }
}

/**
 * An element. Attributes that are null or undefined are left out; content is text, other elements, or nothing.
 * Namespaces are attributes named "xmlns", and are inherited.
 */
export function x(name, attributes = {}, ...content) {
  const written = Object.entries(attributes)
    .filter(([, value]) => value !== null && value !== undefined)
    .map(([key, value]) => ` ${key}="${quoted(value)}"`)
    .join("");
  const inner = content
    .flat()
    .filter((part) => part !== null && part !== undefined && part !== false)
    .map((part) => (part instanceof Markup ? part.text : escaped(part)))
    .join("");
  return new Markup(inner ? `<${name}${written}>${inner}</${name}>` : `<${name}${written}/>`);
}

/** Where trusted types are enforced this is the one thing that may read text: it makes XML, which is never shown. */
const policy = globalThis.trustedTypes?.createPolicy("stanzas", { createHTML: (text) => text });

/** The element that a frame is. Throws SyntaxError. */
export function parse(text) {
  const trusted = policy ? policy.createHTML(text) : text;
  const root = new DOMParser().parseFromString(trusted, "text/xml").documentElement;
  if (root === null || root.localName === "parsererror" || root.localName === "html") {
    throw new SyntaxError("The server has sent what is no XML.");
  }
  return root;
}

/** The first child of a name, in a namespace (by default that of its parent); or null. */
export function child(element, name, namespace = element?.namespaceURI) {
  return childrenOf(element, name, namespace)[0] ?? null;
}

/** All children of a name. */
export function childrenOf(element, name, namespace = element?.namespaceURI) {
  return [...(element?.children ?? [])].filter((each) => each.localName === name && each.namespaceURI === namespace);
}

/** The text of a child; null if there is no such child. */
export function textOf(element, name, namespace) {
  return child(element, name, namespace)?.textContent ?? null;
}

/** Whether an element has that name in that namespace. */
export function is(element, name, namespace) {
  return element !== null && element.localName === name && element.namespaceURI === namespace;
}

/** The JID without its resource. */
export function bareOf(jid) {
  return jid.split("/", 1)[0];
}

/** The resource of a JID: what follows the first slash. */
export function resourceOf(jid) {
  const slash = jid.indexOf("/");
  return slash < 0 ? "" : jid.slice(slash + 1);
}
