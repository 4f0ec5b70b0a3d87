/**
 * Contacts (RFC 6121): whom one knows by which name of one's own, who is there, and who asks to be known.
 *
 * What contacts call themselves is never taken for a name here: names are those that the user has given (XEP-0165).
 */

import { warningsIn } from "./deception.js";
import { NS, bareOf, child, childrenOf, resourceOf, textOf, x } from "./xml.js";

const MOST_REQUESTS = 200;
const MOST_RESOURCES = 20; // of one contact
const LONGEST_TEXT = 500;
const NICK = "http://jabber.org/protocol/nick";

export class Contacts {
  constructor() {
    this.known = new Map(); // by bare JID: { jid, name, subscription, ask, there: {resource: show} }
    this.requests = new Map(); // by bare JID: { jid, text, nick, warnings, told }
  }

  get(jid) {
    return this.known.get(jid);
  }

  /** What the user calls somebody; an empty text if nothing. */
  nameOf(jid) {
    return this.known.get(jid)?.name ?? "";
  }

  /** All of them, by name. */
  sorted() {
    return [...this.known.values()].sort((one, other) => (one.name || one.jid).localeCompare(other.name || other.jid));
  }

  /** The whole roster has come. */
  load(query) {
    const before = this.known;
    this.known = new Map();
    childrenOf(query, "item").forEach((item) => this._put(item, before));
  }

  /** Something in it has changed. */
  push(query) {
    childrenOf(query, "item").forEach((item) => this._put(item, this.known));
  }

  _put(item, before) {
    const jid = item.getAttribute("jid") ?? "";
    const subscription = item.getAttribute("subscription") ?? "none";
    if (!jid || subscription === "remove") {
      this.known.delete(jid);
      return;
    }
    const there = before.get(jid)?.there ?? {};
    this.known.set(jid, { jid, name: item.getAttribute("name") ?? "", subscription, ask: item.getAttribute("ask") === "subscribe", there });
    if (subscription === "both" || subscription === "from") {
      this.requests.delete(jid);
    }
  }

  /** Presence has come from outside of rooms. */
  presence(stanza) {
    const type = stanza.getAttribute("type");
    const from = stanza.getAttribute("from") ?? "";
    const jid = bareOf(from);
    if (type === "subscribe") {
      this._asked(jid, stanza);
    } else if (type === "unsubscribe") {
      this.requests.delete(jid);
    } else if (type === null || type === "unavailable") {
      this._there(this.known.get(jid), resourceOf(from), type === null ? textOf(stanza, "show") || "online" : null);
    }
  }

  _asked(jid, stanza) {
    if (this.requests.size >= MOST_REQUESTS && !this.requests.has(jid)) {
      return;
    }
    const text = (textOf(stanza, "status") ?? "").slice(0, LONGEST_TEXT);
    const nick = (child(stanza, "nick", NICK)?.textContent ?? "").slice(0, LONGEST_TEXT);
    this.requests.set(jid, { jid, text, nick, warnings: warningsIn(stanza), told: null });
  }

  _there(contact, resource, show) {
    if (contact === undefined) {
      return;
    }
    if (show === null) {
      delete contact.there[resource];
    } else if (resource in contact.there || Object.keys(contact.there).length < MOST_RESOURCES) {
      contact.there[resource] = show;
    }
  }

  /** Nobody is known to be there: the session is new. */
  forgetPresence() {
    this.known.forEach((contact) => (contact.there = {}));
  }

  toJSON() {
    return { known: [...this.known.values()], requests: [...this.requests.values()] };
  }

  static from(kept) {
    const contacts = new Contacts();
    kept.known.forEach((each) => contacts.known.set(each.jid, each));
    kept.requests.forEach((each) => contacts.requests.set(each.jid, each));
    return contacts;
  }
}

/** How somebody is, in a word. */
export function stateOf({ there, subscription, ask }) {
  const shows = Object.values(there);
  if (shows.length) {
    return shows.some((show) => show === "online" || show === "chat") ? "online" : shows.includes("dnd") ? "busy" : "away";
  }
  if (subscription === "both" || subscription === "to") {
    return "offline";
  }
  return ask ? "has not answered yet" : "doesn't tell you whether they are there";
}

// --- what is asked of the server; all reject with a Refusal or Disconnected

/** The contacts of the user. */
export async function fetchContacts(session) {
  const answer = await session.ask(null, "get", x("query", { xmlns: NS.ROSTER }), "The list of contacts");
  return child(answer, "query", NS.ROSTER);
}

/** Ask for marks in place of headlines. A server that doesn't have them is no worse for it. */
export function wantMarks(session) {
  return session.ask(null, "set", x("enable", { xmlns: NS.NAMES }), null).catch(() => {});
}

/** Take somebody into the list under a name, or rename. */
export function nameContact(session, jid, name) {
  return session.ask(null, "set", x("query", { xmlns: NS.ROSTER }, x("item", { jid, name })), null);
}

/** Take somebody out of the list: neither sees the other any more. */
export function removeContact(session, jid) {
  return session.ask(null, "set", x("query", { xmlns: NS.ROSTER }, x("item", { jid, subscription: "remove" })), null);
}

/** Ask to see somebody, or answer somebody who asks: "subscribe", "subscribed", "unsubscribed". */
export function answering(jid, type) {
  return x("presence", { xmlns: NS.CLIENT, to: jid, type });
}

/**
 * What the server has heard about an address from others: { nick, referrals: [{ by, name }], keys }; null if nothing.
 */
export async function askAcquaintance(session, jid) {
  const answer = await session.ask(null, "get", x("acquaintance", { xmlns: NS.NAMES, jid }), null).catch(() => null);
  const found = answer && child(answer, "acquaintance", NS.NAMES);
  return (
    found && {
      nick: textOf(found, "nick") ?? "",
      referrals: childrenOf(found, "referral").map((each) => ({ by: each.getAttribute("by") ?? "", name: each.getAttribute("name") || each.getAttribute("nick") || "" })),
      keys: childrenOf(found, "key").length,
    }
  );
}
