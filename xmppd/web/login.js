/**
 * From an open connection to a bound session, by SASL2 with Bind 2, tokens and resumption in one round trip (XEP-0388,
 * 0386, 0484, 0198), or where the server has only the older profile (RFC 6120) step by step.
 */

import { Management } from "./management.js";
import { Anonymous, HashedToken, SaslError, Scram, fromBase64, toBase64 } from "./sasl.js";
import { NS, child, childrenOf, is, textOf, x } from "./xml.js";

const RESUME_SECONDS = 60; // a page that is loaded again is back within seconds; one that was closed is gone as soon

/** What came of a login. */
export class Entry {
  jid = "";
  profile = ""; // "SASL2" or "SASL"
  mechanism = "";
  token = null; // to come back with
  expiry = null;
  resumed = false;
  handled = 0; // stanzas that the server had got, if resumed
  management = null; // a new one, if not
}

/**
 * Log in.
 *
 * @param {Connection} connection that is connected.
 * @param {object} who { kind: "guest" } or { kind: "account", username, password } or { kind: "token", username, token }.
 * @param {string} agent the UUID of this client.
 * @param {Management|null} management of an earlier session to resume.
 * @returns {Promise<Entry>} rejects with SaslError or Disconnected.
 */
export async function logIn(connection, domain, who, agent, management = null) {
  const features = await connection.open(domain);
  const inline = child(features, "authentication", NS.SASL2);
  if (inline !== null) {
    return extensible(connection, inline, who, agent, management);
  }
  if (who.kind === "token") {
    throw new SaslError("invalid-mechanism", "This server takes no tokens.");
  }
  return stepwise(connection, domain, features, who);
}

/** Make a token good for nothing any more (XEP-0484 section 3.6): by one more login with it, which binds nothing. */
export async function giveBack(connection, domain, { username, token }, agent) {
  const mechanism = new HashedToken(username, token);
  await connection.connect();
  await connection.open(domain);
  connection.send(
    x(
      "authenticate",
      { xmlns: NS.SASL2, mechanism: mechanism.name },
      x("initial-response", {}, encoded(await mechanism.first())),
      x("user-agent", { id: agent }),
      x("fast", { xmlns: NS.FAST, invalidate: "true" }),
    ),
  );
  await exchange(connection, mechanism, NS.SASL2);
  connection.close();
}

function mechanismFor(who, offered) {
  const wanted = {
    guest: () => new Anonymous(),
    account: () => new Scram(who.username, who.password),
    token: () => new HashedToken(who.username, who.token),
  }[who.kind]();
  if (!offered.includes(wanted.name)) {
    const words = { guest: "Guests are not let in here.", account: "Passwords are not taken on this connection.", token: "" };
    throw new SaslError("invalid-mechanism", words[who.kind]);
  }
  return wanted;
}

function namesIn(element, namespace) {
  return childrenOf(element, "mechanism", namespace).map((each) => each.textContent);
}

function failureOf(element) {
  const condition = [...element.children].find((each) => each.namespaceURI === NS.SASL && each.localName !== "text");
  const text = [...element.children].find((each) => each.localName === "text");
  return new SaslError(condition?.localName ?? "not-authorized", text?.textContent);
}

function dataOf(text) {
  return text === null || text === "" ? null : text === "=" ? new Uint8Array() : fromBase64(text);
}

function encoded(data) {
  return data.length ? toBase64(data) : "=";
}

// --- SASL2

async function extensible(connection, offer, who, agent, management) {
  const inline = child(offer, "inline", NS.SASL2);
  const fast = namesIn(child(inline, "fast", NS.FAST), NS.FAST);
  const mechanism = mechanismFor(who, who.kind === "token" ? fast : namesIn(offer, NS.SASL2));
  const first = await mechanism.first();
  const resumable = management?.id && child(inline, "sm", NS.SM);
  connection.send(
    x(
      "authenticate",
      { xmlns: NS.SASL2, mechanism: mechanism.name },
      first && x("initial-response", {}, encoded(first)),
      x("user-agent", { id: agent }, x("software", {}, "xmppd web chat")),
      who.kind === "token" && x("fast", { xmlns: NS.FAST }),
      fast.includes("HT-SHA-256-NONE") && x("request-token", { xmlns: NS.FAST, mechanism: "HT-SHA-256-NONE" }),
      resumable && x("resume", { xmlns: NS.SM, previd: management.id, h: management.received }),
      x(
        "bind",
        { xmlns: NS.BIND2 },
        x("tag", {}, "chat"),
        x("enable", { xmlns: NS.SM, resume: "true", max: RESUME_SECONDS }),
        x("enable", { xmlns: NS.CARBONS }),
      ),
    ),
  );
  const success = await exchange(connection, mechanism, NS.SASL2);
  await mechanism.finish(dataOf(textOf(success, "additional-data")));
  return entryFrom(success, mechanism.name);
}

/** Challenges and responses, up to the success. */
async function exchange(connection, mechanism, namespace) {
  for (;;) {
    const element = await connection.next();
    if (is(element, "success", namespace)) {
      return element;
    }
    if (is(element, "failure", namespace)) {
      throw failureOf(element);
    }
    if (!is(element, "challenge", namespace)) {
      throw new SaslError("temporary-auth-failure", "The server wants something that this page can't do.");
    }
    const answer = await mechanism.next(fromBase64(element.textContent));
    connection.send(x("response", { xmlns: namespace }, encoded(answer)));
  }
}

function entryFrom(success, mechanism) {
  const entry = new Entry();
  const token = child(success, "token", NS.FAST);
  const resumed = child(success, "resumed", NS.SM);
  const bound = child(success, "bound", NS.BIND2);
  entry.profile = "SASL2";
  entry.mechanism = mechanism;
  entry.jid = textOf(success, "authorization-identifier") ?? "";
  entry.token = token?.getAttribute("token") ?? null;
  entry.expiry = token?.getAttribute("expiry") ?? null;
  if (resumed !== null) {
    entry.resumed = true;
    entry.handled = Number(resumed.getAttribute("h"));
  } else if (bound !== null) {
    entry.management = managementFrom(child(bound, "enabled", NS.SM));
  } else {
    throw new SaslError("temporary-auth-failure", "The server has not bound a resource.");
  }
  return entry;
}

function managementFrom(enabled) {
  if (enabled === null) {
    return null;
  }
  const resumable = enabled.getAttribute("resume") === "true" || enabled.getAttribute("resume") === "1";
  return new Management(resumable ? enabled.getAttribute("id") : null, Number(enabled.getAttribute("max") ?? 0));
}

// --- the older profile

async function stepwise(connection, domain, features, who) {
  const mechanism = mechanismFor(who, namesIn(child(features, "mechanisms", NS.SASL), NS.SASL));
  const first = await mechanism.first();
  connection.send(x("auth", { xmlns: NS.SASL, mechanism: mechanism.name }, first && encoded(first)));
  const success = await exchange(connection, mechanism, NS.SASL);
  await mechanism.finish(dataOf(success.textContent.trim()));
  const entry = new Entry();
  entry.profile = "SASL";
  entry.mechanism = mechanism.name;
  const after = await connection.open(domain);
  connection.send(x("iq", { xmlns: NS.CLIENT, type: "set", id: "bind" }, x("bind", { xmlns: NS.BIND })));
  const answer = await connection.next();
  entry.jid = textOf(child(answer, "bind", NS.BIND), "jid", NS.BIND) ?? "";
  if (answer.getAttribute("type") !== "result" || !entry.jid) {
    throw new SaslError("temporary-auth-failure", "The server has not bound a resource.");
  }
  if (child(after, "sm", NS.SM)) {
    connection.send(x("enable", { xmlns: NS.SM, resume: "true", max: RESUME_SECONDS }));
    const enabled = await connection.next();
    entry.management = is(enabled, "enabled", NS.SM) ? managementFrom(enabled) : null;
  }
  return entry;
}
