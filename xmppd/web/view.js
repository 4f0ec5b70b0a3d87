/**
 * What is seen. Every function here makes nodes from values; text from others only ever becomes text nodes.
 */

import { coloursOf } from "./colours.js";
import { sentencesOf } from "./deception.js";
import { bareOf } from "./xml.js";

const LINK = /https?:\/\/[^\s<>"']+[^\s<>"'.,;:!?)\]}]/g;
const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const calendar = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });

/** The element with an id. */
export function $(id) {
  return document.getElementById(id);
}

/** A new element with properties, and content. */
export function node(name, properties = {}, ...content) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (key === "class") {
      made.className = value;
    } else if (key.startsWith("on")) {
      made.addEventListener(key.slice(2), value);
    } else if (value === true) {
      made.setAttribute(key, "");
    } else if (value !== false && value !== null && value !== undefined) {
      made.setAttribute(key, value);
    }
  }
  made.append(...content.flat().filter((part) => part !== null && part !== false && part !== undefined));
  return made;
}

/** A disc with the first letter of a name, in the colour of `seed`: an address, or the name if there is none. */
export function face(name, more = "", seed = name) {
  const letter = [...new Intl.Segmenter().segment(name || "?")][0]?.segment.toUpperCase() ?? "?";
  const made = node("span", { class: `face ${more}`, "aria-hidden": "true" }, letter);
  const colours = coloursOf(seed);
  if (colours) {
    made.style.setProperty("--disc", colours.disc);
  }
  return made;
}

/** A name in the colour of `seed`. */
export function coloured(name, seed, kind = "nick") {
  const made = node("span", { class: kind }, name);
  const colours = coloursOf(seed);
  if (colours) {
    made.style.setProperty("--on-light", colours.light);
    made.style.setProperty("--on-dark", colours.dark);
  }
  return made;
}

/**
 * A warning of the server's.
 *
 * @param {{ nameOf, examine }} does answers what the user calls somebody; what to do to look at an address.
 */
export function warningNode(warning, { nameOf, examine }) {
  const look = node("button", { type: "button", class: "small", onclick: () => examine(warning.jid) }, "Look at the address");
  const [first, ...rest] = sentencesOf(warning, nameOf);
  return node("div", { class: "warning" }, node("p", {}, node("strong", {}, first)), rest.map((text) => node("p", {}, text)), look);
}

function guestTag() {
  return node("span", { class: "tag" }, "guest");
}

/** Text in which addresses of web pages can be followed. */
export function linked(text) {
  const parts = [];
  let from = 0;
  for (const found of text.matchAll(LINK)) {
    parts.push(text.slice(from, found.index), node("a", { href: found[0], target: "_blank", rel: "noopener noreferrer nofollow" }, found[0]));
    from = found.index + found[0].length;
  }
  return [...parts, text.slice(from)];
}

function when(time) {
  const date = new Date(time);
  const today = date.toDateString() === new Date().toDateString();
  return node("time", { datetime: date.toISOString(), title: calendar.format(date) }, today ? clock.format(date) : calendar.format(date));
}

/** One line of a conversation; for `does` see warningNode(). */
export function lineNode(line, does) {
  const seed = line.seed || line.who;
  if (line.kind === "event" && line.warnings?.length) {
    return node("div", {}, line.warnings.map((warning) => warningNode(warning, does)));
  }
  if (line.kind === "event") {
    return node("p", { class: "event" }, line.who ? node("span", { class: "nick" }, line.who, " ") : null, line.text);
  }
  const fate = line.pending ? node("span", { class: "fate" }, "on its way …") : null;
  return node(
    "article",
    { class: `said${line.own ? " own" : ""}${line.refused ? " refused" : ""}`, "data-id": line.id },
    face(line.who, "", seed),
    node("p", { class: "head" }, coloured(line.who, seed), line.guest && guestTag(), when(line.time), fate),
    node("p", { class: "text" }, ...linked(line.text)),
    line.warnings?.map((warning) => warningNode(warning, does)),
    line.refused && node("p", { class: "why" }, `Not delivered. ${line.refused}`),
  );
}

/** All lines; the place one has scrolled to stays, or the end if that was it. */
export function showLines(lines, anew, does) {
  const log = $("log");
  const atEnd = anew || log.scrollHeight - log.scrollTop - log.clientHeight < 60;
  if (anew) {
    log.setAttribute("aria-live", "off"); // the whole of a conversation is not news
  }
  const nodes = new Map([...log.children].map((each) => [each.line, each]));
  const wanted = lines.map((line) => {
    const known = nodes.get(line);
    if (known === undefined || known.refused !== line.refused) {
      return Object.assign(lineNode(line, does), { line, refused: line.refused });
    }
    if (!line.pending) {
      known.querySelector(".fate")?.remove(); // the same node, lest it is read out again
    }
    return known;
  });
  const kept = new Set(wanted);
  [...log.children].filter((each) => !kept.has(each)).forEach((each) => each.remove());
  wanted.forEach((each, index) => {
    if (log.children[index] !== each) {
      log.insertBefore(each, log.children[index] ?? null);
    }
  });
  if (atEnd) {
    log.scrollTop = log.scrollHeight;
  }
  if (anew) {
    setTimeout(() => log.setAttribute("aria-live", "polite"), 500);
  }
}

/** A button in the list of conversations. */
export function placeNode(place, current, pick) {
  const unread = place.unread ? node("span", { class: "badge" }, String(place.unread), node("span", { class: "unseen" }, " unread")) : null;
  const out = place.kind === "room" && place.state !== "in";
  return node(
    "li",
    { class: out ? "out" : "" },
    node(
      "button",
      { type: "button", "aria-current": current ? "true" : null, "data-jid": place.jid, title: place.jid, onclick: () => pick(place.jid) },
      face(place.name, place.kind === "room" ? "little room" : "little", place.seed),
      node("span", { class: "name" }, place.name),
      place.warned ? node("span", { class: "tag bad" }, "careful") : null,
      unread,
    ),
  );
}

/** A room that could be joined. */
export function directoryNode(room, pick) {
  return node("li", {}, node("button", { type: "button", title: room.jid, onclick: () => pick(room.jid) }, face(room.name, "little room", room.jid), node("span", { class: "name" }, room.name)));
}

function rankOf({ role, affiliation }) {
  if (role === "visitor") {
    return "only listens";
  }
  if (affiliation === "owner" || affiliation === "admin") {
    return affiliation;
  }
  return role === "moderator" ? "moderator" : "";
}

/** Somebody in a room. */
export function occupantNode(occupant, pick) {
  const rank = rankOf(occupant);
  const seed = bareOf(occupant.jid) || occupant.nick;
  const label = node(
    "span",
    { class: "names" },
    occupant.nick,
    occupant.own ? " (you) " : " ",
    occupant.guest && guestTag(),
    rank && node("span", { class: "rank" }, rank),
  );
  if (occupant.own) {
    return node("li", {}, node("span", { class: "person" }, face(occupant.nick, "little", seed), label));
  }
  const title = `Write to ${occupant.nick} in private`;
  return node("li", {}, node("button", { type: "button", class: "person", title, onclick: () => pick(occupant.nick) }, face(occupant.nick, "little", seed), label));
}

/** Something that the server refused. */
export function refusalNode(refusal) {
  return node(
    "li",
    {},
    node("p", {}, node("span", { class: "what" }, refusal.what), " ", when(refusal.time)),
    node("p", {}, refusal.words),
    refusal.text && refusal.text !== refusal.words && node("p", {}, `The server says: ${refusal.text}`),
    node("code", {}, refusal.condition),
  );
}

/**
 * Show a list of things, each with its own node, which stays as it is as long as the thing does: what somebody is writing
 * into it isn't lost, and screen readers don't read it out again.
 *
 * @param {function(object): string} identify what tells one thing from another.
 * @param {function(object): string} describe all that is seen of it.
 */
export function showList(list, things, identify, describe, make) {
  const there = new Map([...list.children].map((each) => [each.identity, each]));
  let focus = null;
  const wanted = things.map((thing) => {
    const [identity, key] = [identify(thing), describe(thing)];
    const old = there.get(identity);
    if (old?.key === key) {
      return old;
    }
    const made = Object.assign(make(thing), { identity, key });
    focus ??= old && handOver(old, made);
    return made;
  });
  const kept = new Set(wanted);
  [...list.children].filter((each) => !kept.has(each)).forEach((each) => each.remove());
  wanted.forEach((each, index) => list.children[index] !== each && list.insertBefore(each, list.children[index] ?? null));
  focus?.focus();
}

/** What was written into a node goes into the one in its place; answers what should have the focus there, or null. */
function handOver(old, made) {
  const [before, now] = [old, made].map((each) => [...each.querySelectorAll("input, button")]);
  const alike = (one, other) => one?.localName === other?.localName && one.name === other.name && one.dataset.does === other.dataset.does;
  before.forEach((each, index) => each.localName === "input" && alike(each, now[index]) && (now[index].value = each.value));
  const index = before.indexOf(document.activeElement);
  return index >= 0 && alike(before[index], now[index]) ? now[index] : null;
}

/** Show facts: [[name, value]]. */
export function showFacts(facts) {
  $("facts").replaceChildren(...facts.flatMap(([name, value]) => [node("dt", {}, name), node("dd", {}, value instanceof Node ? value : String(value))]));
}

/** A value that is a word of the protocol or an address. */
export function code(text) {
  return node("code", {}, text);
}

/** Show a text, or nothing. */
export function say(id, text) {
  $(id).textContent = text;
  $(id).hidden = !text;
}
