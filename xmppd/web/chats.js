/**
 * One-to-one chats: with a user of the server, or in private with an occupant of a room.
 */

import { warningsIn } from "./deception.js";
import { Conversation, Line, isGuest, timeOf } from "./rooms.js";
import { NS, bareOf, child, is, resourceOf, textOf, x } from "./xml.js";

export class Chat extends Conversation {
  kind = "chat";

  /**
   * @param {string} jid a bare JID, or an occupant's.
   * @param {boolean} inRoom whether it is an occupant's.
   * @param {string} own our own bare JID.
   */
  constructor(jid, inRoom = false, own = "") {
    super(jid);
    this.own = own;
    this.inRoom = inRoom;
    this.name = inRoom ? resourceOf(jid) : jid.split("@", 1)[0];
    this.towards = jid; // the resource that answered last (RFC 6121 section 5.1)
    this.guest = false;
    this.seed = inRoom ? this.name : jid;
    this.warned = false; // whether the server has warned of who it is
  }

  /** A message to the other one. */
  saying(text, id) {
    this.add(new Line("said", "You", text, { id, own: true, seed: this.own }));
    const private_ = this.inRoom && x("x", { xmlns: NS.MUC_USER });
    return x("message", { xmlns: NS.CLIENT, to: this.towards, type: "chat", id }, x("body", {}, text), private_);
  }

  /** Something of the other's, or of ours from another client; answers the line, or null. */
  message(stanza, own) {
    const body = textOf(stanza, "body");
    if (body === null) {
      return null;
    }
    const time = timeOf(stanza);
    const more = { id: stanza.getAttribute("id"), own, guest: isGuest(stanza), past: time !== null, time: time ?? Date.now(), seed: own ? this.own : this.seed };
    if (!own) {
      this.guest = more.guest;
      this.towards = this.inRoom ? this.jid : stanza.getAttribute("from");
      more.warnings = warningsIn(stanza);
      this.warned ||= more.warnings.length > 0;
    }
    return this.add(new Line("said", own ? "You" : this.name, body, more));
  }

  toJSON() {
    const { jid, inRoom, own, name, towards, guest, warned, lines, unread, draft } = this;
    return { jid, inRoom, own, name, towards, guest, warned, lines, unread, draft };
  }

  static from(kept) {
    return Object.assign(new Chat(kept.jid, kept.inRoom, kept.own), kept);
  }
}

/**
 * A message as it was sent: what is in a carbon copy (XEP-0280), which only our own account may send us.
 *
 * @returns {{ stanza: Element, own: boolean }|null} null: a copy that somebody has made up.
 */
export function unwrapped(message, bare) {
  for (const name of ["sent", "received"]) {
    const carbon = child(message, name, NS.CARBONS);
    if (carbon !== null) {
      const stanza = child(child(carbon, "forwarded", NS.FORWARD), "message", NS.CLIENT);
      const genuine = (message.getAttribute("from") ?? bare) === bare && is(stanza, "message", NS.CLIENT);
      return genuine ? { stanza, own: name === "sent" } : null;
    }
  }
  return { stanza: message, own: false };
}

/** With whom a message is, and whether that is an occupant of one of these rooms. */
export function partnerOf({ stanza, own }, rooms) {
  const jid = stanza.getAttribute(own ? "to" : "from") ?? "";
  const inRoom = rooms.has(bareOf(jid)) && resourceOf(jid) !== "";
  return { jid: inRoom ? jid : bareOf(jid), inRoom };
}
