/**
 * How a conversation is secured, hop by hop, as the server says (urn:xmppd:hops:0): two padlocks, and the same in words.
 *
 * A padlock is "closed" (encrypted, and it is proved who is there), "half" (encrypted, but that is proved weakly), "open"
 * (not encrypted) or "unknown". Shapes differ, not only colours.
 */

import { $, node } from "./view.js";
import { NS, bareOf, child, childrenOf, x } from "./xml.js";

const FRESH = 60_000; // milliseconds for which an answer is good enough
const AGAIN = 5_000; // until the same question is asked again, if it was not answered
const FIRST_PAUSE = 1000; // after a message, until it is looked whether the servers have connected
const LONGEST_PAUSE = 16_000;
const MOST_KEPT = 200;
const RANK = ["open", "unknown", "half", "closed"]; // the worst first
const SVG = "http://www.w3.org/2000/svg";

const SAYS = {
  closed: "Encrypted, and it is proved who is there",
  half: "Encrypted, but only weakly proved who is there",
  open: "Not encrypted",
  unknown: "Not known",
};

const PROOFS = {
  PKIX: "by its certificate, for which an authority vouches (PKIX)",
  "DANE-EE": "by its certificate, which the signed DNS names (DANE-EE)",
  "DANE-TA": "by its certificate, whose authority the signed DNS names (DANE-TA)",
  POSH: "by its certificate, which its web site names (POSH)",
  "dialback+DNSSEC": "only by calling back, where the signed DNS has led (dialback+DNSSEC)",
  dialback: "only by calling back, where the DNS has led (dialback)",
  none: "by nothing",
};

const READABLE = "Everybody on the way can read it, and change it.";

// --- what the server says

/** How the hops to somebody are secured. Rejects with a Refusal, of which nobody is told, or Disconnected. */
export async function askHops(session, jid = null) {
  const answer = await session.ask(session.domain, "get", x("hops", { xmlns: NS.HOPS, to: jid }), null);
  return child(answer, "hops", NS.HOPS);
}

function worst(hops) {
  return hops.toSorted((one, other) => RANK.indexOf(one.level) - RANK.indexOf(other.level))[0];
}

function wordsFor(hop) {
  return hop.says ?? SAYS[hop.level];
}

function suite(element) {
  return `${element.getAttribute("version").replace("v", " ")}, ${element.getAttribute("cipher")}`;
}

/** From this page to the server. */
function ownHop(client, domain) {
  const hop = { title: `You and ${domain}`, level: "open", lines: [] };
  const security = client.getAttribute("security");
  const page = location.protocol === "https:";
  if (security === "tls") {
    hop.level = "closed";
    hop.lines.push(`${suite(client)}.`);
  } else if (security !== "none" && page) {
    hop.level = "closed";
    hop.lines.push("TLS, as far as your browser and the server's proxy say.");
  } else if (security === "local" && globalThis.isSecureContext) {
    hop.level = "closed";
    hop.says = "Not encrypted, but nothing leaves this machine";
  } else {
    hop.lines.push(READABLE);
  }
  const binding = client.getAttribute("binding") ?? "none";
  const bound = binding === "none" ? "" : `, tied to this connection (${binding})`;
  hop.lines.push(`You have logged in by ${client.getAttribute("mechanism") ?? "unknown means"}${bound}.`);
  return hop;
}

function streamHop(stream, domain, other) {
  const out = stream.getAttribute("direction") === "out";
  const encrypted = stream.getAttribute("security") === "tls";
  const level = !encrypted ? "open" : stream.getAttribute("authenticated") === "true" ? "closed" : "half";
  const proof = stream.getAttribute("proof");
  const lines = [encrypted ? `${suite(stream)}.` : READABLE, `${other} is known ${PROOFS[proof] ?? `by ${proof}`}.`];
  return { title: out ? `From ${domain} to ${other}` : `From ${other} to ${domain}`, level, lines };
}

function seenLine(seen) {
  const proof = seen.getAttribute("proof");
  const by = seen.getAttribute("authority");
  const certificate = by ? `, with a certificate from ${by}` : "";
  return `Last seen on ${seen.getAttribute("on")}${certificate}, and known ${PROOFS[proof] ?? `by ${proof}`}.`;
}

/** Between the servers: a hop for each direction in which there is a stream. */
function remoteHops(server, domain, other) {
  const streams = childrenOf(server, "stream").map((stream) => streamHop(stream, domain, other));
  if (streams.length > 0) {
    const [one, two] = streams;
    const alike = streams.length === 2 && one.title !== two.title && String(one.lines) === String(two.lines) && one.level === two.level;
    return alike ? [{ ...one, title: `${domain} and ${other}, both ways` }] : streams;
  }
  const lines = ["The servers aren't connected at the moment.", ...childrenOf(server, "seen").map(seenLine)];
  return [{ title: `${domain} and ${other}`, level: "unknown", lines }];
}

/** On the same server: what there is between it and the other one. */
function nearHop(contact, name, domain) {
  const hop = { title: `${domain} and ${name}`, level: "unknown", lines: ["Both on the same server; how its other users are connected isn't told."] };
  const security = contact?.getAttribute("security");
  if (security === "encrypted") {
    hop.level = "closed";
    hop.says = "Encrypted; both on the same server";
    hop.lines = [];
  } else if (security === "not-encrypted") {
    hop.level = "open";
    hop.says = "Not encrypted, though both on the same server";
    hop.lines = [];
  }
  return hop;
}

function groupHop(name, domain) {
  return { title: `${domain} and ${name}`, level: "closed", says: "The room is on the same server", lines: [] };
}

function farHop(title, text) {
  return { title, level: "unknown", lines: [text] };
}

/**
 * What an answer comes to.
 *
 * @param {Element} answer the <hops/>.
 * @param {{ name: string, jid: string, grouped: boolean }} other with whom; whether that is a room or somebody in one.
 * @returns {{ own, second, hops: object[], complete: boolean }} the hops of the first and of the second padlock, which is
 *   the worst of those that it stands for; all hops; and whether these are known of both directions.
 */
export function assess(answer, other, domain) {
  const own = ownHop(child(answer, "client"), domain);
  const server = child(answer, "server");
  const theirs = bareOf(other.jid).split("@").pop();
  const route = server.getAttribute("route");
  let between;
  let rest = [];
  if (route === "same" && !other.grouped) {
    between = [nearHop(child(answer, "contact"), other.name, domain)];
  } else {
    const group = bareOf(other.jid).split("@", 1)[0];
    between = route === "remote" ? remoteHops(server, domain, theirs) : route === "same" ? [groupHop(group, domain)] : [farHop(`${domain} and ${theirs}`, "That is a service beside the server; how they are connected isn't told.")];
    const title = other.grouped ? "The others in the room" : `${theirs} and ${other.name}`;
    rest = [farHop(title, "How they are connected to their servers can't be known from here.")];
  }
  const directions = new Set(childrenOf(server, "stream").map((stream) => stream.getAttribute("direction")));
  const complete = route !== "remote" || directions.size > 1;
  return { own, second: worst(between), hops: [own, ...between, ...rest], complete };
}

/** When the server says nothing about somebody. */
function unsaid(own, other, domain) {
  const theirs = bareOf(other.jid).split("@").pop();
  const text = "The server tells this of contacts, and of those to whom you write. Write something, and look again.";
  const second = farHop(`${domain} and ${theirs}`, text);
  return { own, second, hops: [own, second], complete: false };
}

// --- what is seen

function shape(name, attributes) {
  const made = document.createElementNS(SVG, name);
  Object.entries(attributes).forEach(([key, value]) => made.setAttribute(key, value));
  return made;
}

/** A padlock. */
export function lockNode(level) {
  const lock = shape("svg", { class: `lock ${level}`, viewBox: "0 0 20 20", width: 20, height: 20, "aria-hidden": "true" });
  const shackle = level === "open" ? "M6.5 9.5V5.7a3.2 3.2 0 0 1 6.2-1.1" : "M6.5 9.5V6.2a3.5 3.5 0 0 1 7 0v3.3";
  lock.append(shape("path", { class: "shackle", d: shackle }), shape("rect", { class: "body", x: 4, y: 9.5, width: 12, height: 8.5, rx: 1.8 }));
  if (level === "half") {
    lock.append(shape("path", { class: "filling", d: "M4 13.7h12v2.5a1.8 1.8 0 0 1-1.8 1.8H5.8a1.8 1.8 0 0 1-1.8-1.8z" }));
  }
  if (level === "unknown") {
    const mark = shape("text", { class: "mark", x: 10, y: 16.6, "text-anchor": "middle" });
    mark.textContent = "?";
    lock.append(mark);
  }
  return lock;
}

function hopNode(hop) {
  return node(
    "li",
    { class: hop.level },
    lockNode(hop.level),
    node("div", {}, node("p", { class: "what" }, hop.title), node("p", { class: "level" }, `${wordsFor(hop)}.`), hop.lines.map((line) => node("p", {}, line))),
  );
}

/** The padlocks in the head of a conversation, and the words below them. */
export class HopsPane {
  /**
   * @param {string} domain of the server.
   * @param {function(object, string)} worsened told of a conversation, and in words, if it is less secure than before.
   */
  constructor(domain, worsened = () => {}) {
    this._domain = domain;
    this._worsened = worsened;
    this._tried = { jid: "", time: 0 };
    this._known = new Map(); // by JID: { time, found }
    this._session = null;
    this._place = null;
    this._supported = true;
    this._asking = null; // the JID that is being asked about
    this._drawn = "";
    this._timer = null;
    $("show-hops").addEventListener("click", () => this._toggle($("hops").hidden));
    $("hide-hops").addEventListener("click", () => this._close());
    $("hops").addEventListener("keydown", (event) => {
      if (event.key === "Escape") {
        event.stopPropagation();
        this._close();
      }
    });
    setInterval(() => document.hidden || this._refresh(), FRESH);
  }

  /** A session is there, perhaps another: the first question, from which on the server knows whom we write to. */
  async begin(session) {
    this._take(session);
    this._known.forEach((known) => Object.assign(known, { time: 0 }));
    this._supported = true;
    await askHops(session).catch((refusal) => this._failed(refusal));
    this._refresh();
  }

  /** Another session is another user, perhaps: nothing of the earlier one's is of use. */
  _take(session) {
    if (session !== this._session) {
      this._session = session;
      this._known.clear();
      this._toggle(false);
    }
  }

  _failed(refusal) {
    this._supported = !["service-unavailable", "feature-not-implemented"].includes(refusal.condition);
  }

  /** This is the conversation that is seen; null for none. */
  show(session, place) {
    this._take(session);
    if (place !== this._place) {
      clearTimeout(this._timer);
      this._place = place;
    }
    this._draw();
    const now = Date.now();
    const tried = this._tried.jid === place?.jid && now - this._tried.time < AGAIN;
    if (place && !tried && now - (this._known.get(place.jid)?.time ?? 0) > FRESH) {
      this._refresh();
    }
  }

  /** Something was said in a conversation: what wasn't known may be known soon. */
  stirred(place) {
    if (place === this._place) {
      clearTimeout(this._timer);
      this._look(place, FIRST_PAUSE);
    }
  }

  _look(place, pause) {
    const known = this._known.get(place.jid);
    if (place !== this._place || pause > LONGEST_PAUSE || (known && known.found.second.level !== "unknown")) {
      return;
    }
    this._timer = setTimeout(async () => {
      await this._refresh();
      this._look(place, pause * 2);
    }, pause);
  }

  async _refresh() {
    const [session, place] = [this._session, this._place];
    if (!place || !this._supported || session?.state !== "online" || this._asking === place.jid) {
      return;
    }
    this._asking = place.jid;
    this._tried = { jid: place.jid, time: Date.now() };
    try {
      const found = await this._ask(session, place);
      if (session === this._session) {
        this._keep(place, found);
      }
    } catch (refusal) {
      this._failed(refusal); // a lost connection, or a refusal that the next try may not meet
    } finally {
      this._asking = null;
    }
    this._draw();
  }

  async _ask(session, place) {
    const other = { name: place.name, jid: place.jid, grouped: place.kind === "room" || Boolean(place.inRoom) };
    try {
      return assess(await askHops(session, bareOf(place.jid)), other, this._domain);
    } catch (refusal) {
      if (refusal.condition !== "item-not-found") {
        throw refusal;
      }
      return unsaid(ownHop(child(await askHops(session), "client"), this._domain), other, this._domain);
    }
  }

  _keep(place, found) {
    if (this._known.size >= MOST_KEPT) {
      this._known.clear();
    }
    const before = this._known.get(place.jid)?.level;
    const level = found.second.level === "unknown" || (before === undefined && !found.complete) ? before : found.second.level; // a pause says nothing
    this._known.set(place.jid, { time: Date.now(), found, level });
    if (before !== undefined && RANK.indexOf(level) < RANK.indexOf(before)) {
      this._worsened(place, `The way to ${place.name} is less secure than before: ${SAYS[level].toLowerCase()}. Click on the padlocks to see why.`);
    }
  }

  _draw() {
    const found = this._supported && this._place ? this._known.get(this._place.jid)?.found : undefined;
    $("show-hops").hidden = found === undefined;
    if (found === undefined) {
      $("hops").hidden = true;
      $("show-hops").setAttribute("aria-expanded", "false");
      return;
    }
    const key = JSON.stringify(found);
    if (key !== this._drawn) {
      this._drawn = key;
      const label = `How this conversation is secured. From you to the server: ${wordsFor(found.own).toLowerCase()}. Beyond: ${wordsFor(found.second).toLowerCase()}.`;
      $("show-hops").setAttribute("aria-label", label);
      $("show-hops").title = label;
      $("hop-locks").replaceChildren(lockNode(found.own.level), lockNode(found.second.level));
      $("hop-list").replaceChildren(...found.hops.map(hopNode));
    }
  }

  _toggle(open) {
    $("hops").hidden = !open;
    $("show-hops").setAttribute("aria-expanded", String(open));
    if (open) {
      this._refresh();
    }
  }

  _close() {
    this._toggle(false);
    $("show-hops").focus();
  }
}
