/**
 * What the server refused, and why, in words: typed errors of stanzas, streams and logins.
 */

import { imitationIn, imitationWords } from "./deception.js";
import { NS } from "./xml.js";

const LIMITS = {
  "too-many-stanzas": "That was too much at once: the server takes only so many messages, and lets you write to only so many others, in a while. Wait a moment, then try again.",
  "stanza-too-big": "That was too long for the server. Send it in smaller pieces.",
  "resource-limit-exceeded": "You have reached the number of these that the server allows you.",
};

const STANZAS = {
  "bad-request": "The request was not understood.",
  conflict: "Somebody else has that name already.",
  "feature-not-implemented": "That isn't possible there.",
  forbidden: "You are not allowed to do that.",
  gone: "It is not there any more.",
  "internal-server-error": "The server made a mistake.",
  "item-not-found": "There is nothing by that name.",
  "jid-malformed": "That is no address, or holds characters that can't be used.",
  "not-acceptable": "Not in this way: you may have to be in the room first, or some rule of its forbids it.",
  "not-allowed": "Nobody may do that there, or not you.",
  "not-authorized": "A password is needed, or the one given is wrong.",
  "policy-violation": "The rules of this server forbid it. Guests reach nobody on other servers.",
  "recipient-unavailable": "They are not here at the moment.",
  redirect: "It has moved.",
  "registration-required": "Only members may come in.",
  "remote-server-not-found": "There is no such server.",
  "remote-server-timeout": "The other server doesn't answer.",
  "resource-constraint": "The server is too busy, or full. Try again later.",
  "service-unavailable": "Nobody there takes that.",
  "subscription-required": "You have to be their contact first.",
  "undefined-condition": "The server refused it.",
  "unexpected-request": "That came at the wrong moment.",
};

const STREAMS = {
  conflict: "You have logged in elsewhere in place of this page.",
  "connection-timeout": "Nothing was heard of this page for too long.",
  "host-unknown": "This server does not serve that domain.",
  "not-authorized": "The session could not be opened.",
  "policy-violation": "The server ended the session: its rules were broken, the session lasted as long as it may, or somebody has banned this guest.",
  "resource-constraint": "The server is too busy.",
  reset: "The server wants a new connection.",
  "system-shutdown": "The server is being stopped.",
};

const LOGINS = {
  aborted: "The login was given up.",
  "account-disabled": "This account has been disabled.",
  "credentials-expired": "The login has expired. Log in again.",
  "encryption-required": "The server takes no login over a connection that is not encrypted.",
  "invalid-authzid": "That is not an address of this server.",
  "invalid-mechanism": "The server doesn't offer this way to log in.",
  "malformed-request": "The login went wrong.",
  "mechanism-too-weak": "The server wants a safer way to log in.",
  "not-authorized": "Name or password are wrong.",
  "temporary-auth-failure": "The server can't let anybody in at the moment.",
};

/** Something that the server refused. */
export class Refusal extends Error {
  /**
   * @param {string} what was refused, for people.
   * @param {string} condition the word for it in the protocol.
   * @param {string} words what it means.
   * @param {string} text what the server says about it besides, or empty.
   */
  constructor(what, condition, words, text = "") {
    super(words);
    Object.assign(this, { what, condition, words, text, time: Date.now() });
  }
}

function named(element, namespace) {
  return [...element.children].find((each) => each.namespaceURI === namespace && each.localName !== "text");
}

function wordsOf(element, namespace) {
  return [...element.children].find((e) => e.localName === "text" && e.namespaceURI === namespace)?.textContent ?? "";
}

/** What an answer of type error refuses. */
export function fromStanza(stanza, what) {
  const error = [...stanza.children].find((each) => each.localName === "error");
  if (error === undefined) {
    return new Refusal(what, "undefined-condition", STANZAS["undefined-condition"]);
  }
  const condition = named(error, NS.STANZA_ERRORS)?.localName ?? "undefined-condition";
  const imitation = imitationIn(error);
  if (imitation !== null) {
    return new Refusal(what, `${condition}, ${imitation.reasons.join(" ")}`, imitationWords(imitation));
  }
  const limit = named(error, NS.LIMITS)?.localName;
  const words = LIMITS[limit] ?? STANZAS[condition] ?? STANZAS["undefined-condition"];
  return new Refusal(what, limit ? `${condition}, ${limit}` : condition, words, wordsOf(error, NS.STANZA_ERRORS));
}

/** Why a stream has ended. */
export function fromStream(error) {
  const condition = named(error, NS.STREAM_ERRORS)?.localName ?? "undefined-condition";
  const words = STREAMS[condition] ?? "The server has ended the session.";
  return new Refusal("The session", condition, words, wordsOf(error, NS.STREAM_ERRORS));
}

/** Why nobody is logged in. */
export function fromLogin(error) {
  const own = error.message !== error.condition ? error.message : "";
  return new Refusal("The login", error.condition, LOGINS[error.condition] ?? "The server refused the login.", own);
}
