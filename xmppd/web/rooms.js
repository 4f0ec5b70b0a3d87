/**
 * Chat rooms (XEP-0045): who is in, what was said, and why one can't come in.
 */

import { Refusal, fromStanza } from "./refusals.js";
import { NS, bareOf, child, childrenOf, resourceOf, textOf, x } from "./xml.js";

const MOST_LINES = 300; // kept of a conversation
const OVERLAP = 3; // seconds of history that are asked for again, lest anything is missed

const LEAVING = {
  301: "was banned",
  307: "was removed by a moderator",
  321: "has to go: no longer a member",
  322: "has to go: the room is for members only now",
  332: "has to go: the service is being stopped",
  333: "lost the connection",
};

/** One line of a conversation: something said, or something that happened. */
export class Line {
  /**
   * @param {string} kind "said" or "event".
   * @param {string} who said it, or empty.
   */
  constructor(kind, who, text, more = {}) {
    Object.assign(this, { kind, who, text, time: Date.now(), id: null, own: false, guest: false, past: false, pending: false, refused: "", server: null, seed: "", warnings: [] }, more);
  }
}

/** What rooms and one-to-one chats have in common. */
export class Conversation {
  constructor(jid) {
    this.jid = jid;
    this.seed = jid; // of its colour
    this.lines = [];
    this.unread = 0;
    this.draft = "";
  }

  /** Add a line; answers it. Only so many are kept. */
  add(line) {
    this.lines.push(line);
    if (this.lines.length > MOST_LINES) {
      this.lines.splice(0, this.lines.length - MOST_LINES);
    }
    return line;
  }

  /** What was sent has been refused; answers whether it was ours. */
  refused(id, words) {
    const line = this.lines.findLast((each) => each.own && each.id === id);
    if (line === undefined) {
      return false;
    }
    Object.assign(line, { pending: false, refused: words });
    return true;
  }
}

/** When something was said, if that was not just now. */
export function timeOf(stanza) {
  const stamp = Date.parse(child(stanza, "delay", NS.DELAY)?.getAttribute("stamp") ?? "");
  return Number.isNaN(stamp) ? null : stamp;
}

/** Whether the server says that the sender is a guest (XEP-0489). */
export function isGuest(stanza) {
  return child(stanza, "info", NS.AFFILIATION)?.getAttribute("affiliation") === "anonymous";
}

export class Room extends Conversation {
  kind = "room";

  constructor(jid, nick) {
    super(jid);
    this.nick = nick;
    this.name = jid.split("@", 1)[0];
    this.state = "out"; // "joining", "in"
    this.subject = "";
    this.occupants = new Map(); // by nickname
    this.password = "";
    this.refusal = null; // why we are out
    this.id = ""; // our occupant id (XEP-0421)
  }

  /** What asks to be let in. */
  joining() {
    this.state = "joining";
    this.refusal = null;
    this.occupants.clear();
    const last = this.lines.findLast((line) => line.kind === "said");
    const seconds = last && Math.ceil((Date.now() - last.time) / 1000) + OVERLAP;
    const history = last ? { seconds } : { maxstanzas: 50 };
    return x(
      "presence",
      { xmlns: NS.CLIENT, to: `${this.jid}/${this.nick}` },
      x("x", { xmlns: NS.MUC }, x("history", history), this.password && x("password", {}, this.password)),
    );
  }

  /** What tells that we go. */
  leaving() {
    const to = `${this.jid}/${this.nick}`;
    this.state = "out";
    this.occupants.clear();
    return x("presence", { xmlns: NS.CLIENT, to, type: "unavailable" });
  }

  /** What asks for another nickname. */
  renaming(nick) {
    return x("presence", { xmlns: NS.CLIENT, to: `${this.jid}/${nick}` });
  }

  /** A message to everybody, which is shown as pending until the room has sent it back. */
  saying(text, id) {
    this.add(new Line("said", this.nick, text, { id, own: true, pending: true, seed: this._seedOf(this.nick), guest: this.occupants.get(this.nick)?.guest ?? false }));
    return x("message", { xmlns: NS.CLIENT, to: this.jid, type: "groupchat", id }, x("body", {}, text));
  }

  // --- presence

  /**
   * Presence has come from the room. Answers what to do about it: { refusal } if we were refused, { created: true } if the
   * room is new and wants to be configured, or {}.
   */
  presence(stanza) {
    const nick = resourceOf(stanza.getAttribute("from"));
    if (stanza.getAttribute("type") === "error") {
      return this._refused(stanza);
    }
    const user = child(stanza, "x", NS.MUC_USER);
    const codes = new Set(childrenOf(user, "status").map((each) => Number(each.getAttribute("code"))));
    const own = codes.has(110) || (nick === this.nick && codes.has(210));
    if (stanza.getAttribute("type") === "unavailable") {
      this._left(nick, user, codes, own);
      return {};
    }
    if (own) {
      this.nick = nick;
    }
    this._here(nick, stanza, child(user, "item"), own);
    if (own && this.state !== "in") {
      this.state = "in";
      const asked = codes.has(210) ? " The room has changed your nickname." : "";
      this.add(new Line("event", "", `You are in, as ${nick}.${asked}`));
    }
    return codes.has(201) && own ? { created: true } : {};
  }

  _refused(stanza) {
    const wasIn = this.state === "in";
    const refusal = fromStanza(stanza, wasIn ? `A change in ${this.jid}` : `To enter ${this.jid}`);
    if (refusal.condition === "conflict") {
      const nick = resourceOf(stanza.getAttribute("from")) || this.nick;
      refusal.words = `The nickname ${nick} is taken in this room, or looks too much like one that is. Choose another.`;
    } else if (refusal.condition === "item-not-found" || refusal.condition === "not-allowed") {
      refusal.words = "There is no such room, and you may not make one.";
    } else if (refusal.condition === "forbidden" && !wasIn) {
      refusal.words = "You are banned from this room.";
    }
    if (!wasIn) {
      this.state = "out";
      this.refusal = refusal;
    }
    return { refusal };
  }

  _here(nick, stanza, item, own) {
    const before = this.occupants.get(nick);
    const occupant = {
      nick,
      own,
      role: item?.getAttribute("role") ?? "participant",
      affiliation: item?.getAttribute("affiliation") ?? "none",
      jid: item?.getAttribute("jid") ?? "",
      guest: isGuest(stanza),
      show: textOf(stanza, "show") ?? "",
    };
    this.occupants.set(nick, occupant);
    if (own) {
      this.id = child(stanza, "occupant-id", NS.OCCUPANT_ID)?.getAttribute("id") ?? "";
    }
    if (before === undefined && this.state === "in" && !own && this._renamed !== nick) {
      this.add(new Line("event", nick, "came in.", { guest: occupant.guest }));
    } else if (before && before.role !== occupant.role) {
      this.add(new Line("event", nick, `is ${occupant.role === "visitor" ? "only listening" : `a ${occupant.role}`} now.`, { own }));
    }
    this._renamed = null;
  }

  _left(nick, user, codes, own) {
    const item = child(user, "item");
    this.occupants.delete(nick);
    if (codes.has(303)) {
      const next = item?.getAttribute("nick") ?? "";
      this._renamed = next;
      if (own) {
        this.nick = next;
      }
      this.add(new Line("event", nick, `is now called ${next}.`, { own }));
      return;
    }
    const code = Object.keys(LEAVING).find((each) => codes.has(Number(each)));
    const reason = item && textOf(item, "reason");
    const destroyed = child(user, "destroy");
    const how = destroyed ? "has to go: the room is no more" : (LEAVING[code] ?? "left");
    if (own) {
      this.state = "out";
      this.occupants.clear();
      const words = `You are out: ${how === "left" ? "you have left" : how}${reason ? ` (${reason})` : ""}.`;
      this.refusal = new Refusal(`To stay in ${this.jid}`, code ?? "left", words);
      this.add(new Line("event", "", words));
    } else {
      this.add(new Line("event", nick, `${how}${reason ? ` (${reason})` : ""}.`));
    }
  }

  // --- messages

  /** A message has come from the room; answers the line to be shown as new, or null. */
  message(stanza) {
    const nick = resourceOf(stanza.getAttribute("from"));
    const subject = child(stanza, "subject");
    const body = textOf(stanza, "body");
    if (subject !== null && body === null) {
      this._subject(nick, subject.textContent, timeOf(stanza) !== null);
      return null;
    }
    if (body === null) {
      return null;
    }
    const server = childrenOf(stanza, "stanza-id", NS.STANZA_ID).find((each) => each.getAttribute("by") === this.jid)?.getAttribute("id");
    const id = stanza.getAttribute("id");
    const occupant = child(stanza, "occupant-id", NS.OCCUPANT_ID)?.getAttribute("id");
    const own = occupant && this.id ? occupant === this.id : nick === this.nick;
    const time = timeOf(stanza);
    if (this._isKnown({ server, own, id, nick, body, past: time !== null })) {
      return null;
    }
    const guest = isGuest(stanza) || (this.occupants.get(nick)?.guest ?? false);
    const more = { id, own, guest, server, past: time !== null, time: time ?? Date.now(), seed: this._seedOf(nick) };
    return this.add(nick ? new Line("said", nick, body, more) : new Line("event", "", body, more));
  }

  /** What gives somebody here a colour: the address if the room tells it, else the nickname (XEP-0392 section 3.2). */
  _seedOf(nick) {
    return bareOf(this.occupants.get(nick)?.jid ?? "") || nick;
  }

  /** Whether a message is here already: it is in the history, or our own that comes back. */
  _isKnown({ server, own, id, nick, body, past }) {
    const alike = (line) => id && line.kind === "said" && line.id === id && line.text === body;
    const mine = own && this.lines.find((line) => line.own && (line.pending || line.refused) && alike(line));
    if (mine) {
      Object.assign(mine, { pending: false, refused: "", server });
      return true;
    }
    const before = (line) => (server && line.server === server) || (past && line.who === nick && alike(line));
    return this.lines.some(before);
  }

  _subject(nick, text, past) {
    const changed = text !== this.subject;
    this.subject = text;
    if (changed && !past && nick && text) {
      this.add(new Line("event", nick, `changed the subject to: ${text}`));
    }
  }

  // --- over a reload

  toJSON() {
    const { jid, nick, name, state, subject, lines, unread, draft, id } = this;
    return { jid, nick, name, state, subject, lines, unread, draft, id, occupants: [...this.occupants.values()] };
  }

  static from(kept) {
    const room = Object.assign(new Room(kept.jid, kept.nick), kept);
    room.occupants = new Map(kept.occupants.map((each) => [each.nick, each]));
    return room;
  }
}

/** The rooms that a server offers: [{ jid, name }], by service discovery (XEP-0030). */
export async function listRooms(session, service) {
  const answer = await session.ask(service, "get", x("query", { xmlns: NS.DISCO_ITEMS }), "The list of rooms");
  return childrenOf(child(answer, "query", NS.DISCO_ITEMS), "item")
    .map((item) => ({ jid: item.getAttribute("jid"), name: item.getAttribute("name") || item.getAttribute("jid").split("@", 1)[0] }))
    .sort((one, other) => one.name.localeCompare(other.name));
}

/** The domain of the server's chat rooms, or null. */
export async function findRooms(session) {
  const answer = await session.ask(session.domain, "get", x("query", { xmlns: NS.DISCO_ITEMS }), "The list of services");
  const jids = childrenOf(child(answer, "query", NS.DISCO_ITEMS), "item").map((item) => item.getAttribute("jid"));
  const are = await Promise.all(jids.filter((jid) => jid && !jid.includes("@")).map((jid) => isService(session, jid)));
  return are.find((jid) => jid !== null) ?? null;
}

async function isService(session, jid) {
  try {
    const answer = await session.ask(jid, "get", x("query", { xmlns: NS.DISCO_INFO }), `What ${jid} is`);
    const query = child(answer, "query", NS.DISCO_INFO);
    const rooms = childrenOf(query, "identity").some((each) => each.getAttribute("category") === "conference");
    return rooms ? jid : null;
  } catch {
    return null;
  }
}

/** The answer to a room that is new: it shall be as the service's own defaults have it. */
export function accepting(session, room) {
  const form = x("x", { xmlns: NS.DATA, type: "submit" });
  return session.ask(room.jid, "set", x("query", { xmlns: NS.MUC_OWNER }, form), `To open ${room.jid}`);
}

/** Whether a stanza is of that room. */
export function isFrom(stanza, room) {
  return bareOf(stanza.getAttribute("from") ?? "") === room.jid;
}

