/**
 * Names that may deceive (urn:xmppd:names:0): what the server says of them, in words. It marks what strangers send, and
 * nobody else can; it says why it refuses a name; and it takes names apart for whoever asks.
 */

import { NS, child, childrenOf, x } from "./xml.js";

const MOST_TOLD = 5;
const HIDDEN = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Co}\p{Cn}\p{Cs}]|(?! )\p{Zs}/gu; // whatever can't be seen, or turns what follows

/** Of an address that somebody has. */
const WARNINGS = {
  "look-alike": "it looks like another address",
  protected: "it looks like an address that speaks for the server",
  domain: "its domain looks like one of this server, and isn't",
  foreign: "it is written in letters that your languages don't have",
  nickname: "the name it goes by is, or looks like, what you call somebody else",
  key: "its key isn't the one that was known for it",
  referral: "its key isn't the one with which it was recommended to you",
};

/** Of a name that somebody wants to give. */
const IMITATIONS = {
  "look-alike": "it looks like a name that is there already",
  protected: "it is reserved for those who run this server, or looks like such a name",
  alleged: "it isn't your own: they call themselves that, or somebody has recommended them to you under that name",
  missing: "every contact needs a name of your own",
};

/** Of either. */
export const ODDITIES = {
  "mixed-scripts": "it mixes letters of several scripts",
  invisible: "it has characters that can't be seen",
  blank: "nothing in it can be seen",
  padded: "it has white space at an end, twice in a row, or of an uncommon kind",
  "bidi-control": "it has characters that turn the direction of what follows",
  turned: "it has letters that run to the left and letters that run to the right",
  "mixed-numbers": "it has digits of several kinds",
  marks: "it has too many marks on a letter",
};

const UNKNOWN = "there is something odd about it";

/** A name with whatever can't be seen in it written as code points. */
export function visible(name) {
  return name.replace(HIDDEN, (character) => `<${codeOf(character)}>`);
}

/** A character's code point as Unicode writes it. */
export function codeOf(character) {
  return `U+${character.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}`;
}

/** The name of a script, by its code. */
function scriptName(code) {
  try {
    return new Intl.DisplayNames("en", { type: "script" }).of(code);
  } catch {
    return code; // the code of something that isn't a script's
  }
}

function texts(element, name) {
  return childrenOf(element, name, NS.NAMES).map((each) => each.textContent);
}

function joined(names) {
  return names.slice(0, MOST_TOLD).map(visible).join(" and ");
}

// --- marks

/** What the server warns of in a stanza: [{ jid, reasons, likes, scripts }]. */
export function warningsIn(stanza) {
  return childrenOf(stanza, "warning", NS.NAMES).map((mark) => ({
    jid: mark.getAttribute("jid") ?? "",
    reasons: texts(mark, "reason"),
    likes: texts(mark, "like"),
    scripts: texts(mark, "script"),
  }));
}

/** What the server thinks of an address that nobody has written from yet, as a warning; null if nothing. */
export async function lookAt(session, jid) {
  const payload = x("check", { xmlns: NS.NAMES, name: jid, kind: "address" });
  const answer = await session.ask(session.domain, "get", payload, null).catch(() => null);
  const found = answer && child(answer, "check", NS.NAMES);
  const reasons = found ? texts(found, "reason") : [];
  return reasons.length ? { jid, reasons, likes: texts(found, "like"), scripts: [] } : null;
}

/** A warning in sentences; `nameOf` answers what the user calls somebody, or an empty text. */
export function sentencesOf(warning, nameOf) {
  const why = new Set(warning.reasons.map((reason) => WARNINGS[reason] ?? ODDITIES[reason] ?? UNKNOWN));
  const said = [`Careful with ${visible(warning.jid)}: ${[...why].join("; ") || UNKNOWN}.`];
  if (warning.likes.length) {
    const called = (jid) => (nameOf(jid) ? `${nameOf(jid)} (${visible(jid)})` : visible(jid));
    said.push(`It is not ${warning.likes.slice(0, MOST_TOLD).map(called).join(" and not ")}.`);
  }
  if (warning.scripts.length) {
    said.push(`It is partly written in ${warning.scripts.slice(0, MOST_TOLD).map(scriptName).join(", ")}.`);
  }
  const letters = new Set([...warning.jid].filter((letter) => letter > "\u007f"));
  if (letters.size) {
    said.push(`It has ${[...letters].slice(0, MOST_TOLD).map((letter) => `${codeOf(letter)} (${visible(letter)})`).join(", ")}${letters.size > MOST_TOLD ? " and more" : ""}.`);
  }
  return said;
}

// --- refusals

/** Why a name is refused: { reasons, likes }; null if that isn't why. */
export function imitationIn(error) {
  const found = child(error, "imitation", NS.NAMES);
  return found && { reasons: texts(found, "reason"), likes: texts(found, "like") };
}

/** The same in words. */
export function imitationWords({ reasons, likes }) {
  const why = new Set(reasons.map((reason) => IMITATIONS[reason] ?? ODDITIES[reason] ?? WARNINGS[reason] ?? UNKNOWN));
  const like = likes.length ? `: ${joined(likes)}` : "";
  return `This name can't be used: ${[...why].join("; ") || UNKNOWN}${like}. Think of another one.`;
}
