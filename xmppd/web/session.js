/**
 * A session: who we are on the server, over as many connections as it takes.
 *
 * Theory of operation: enter() logs in, revive() goes on with what an earlier page has kept. While there is a connection
 * every stanza that comes is counted and told as an event; every one that goes out is kept until the server has it. A
 * connection that is lost is followed by another, with a pause that grows; the session is resumed on it, or if the
 * server has given it up, a new one of the same guest or account begins, and whoever listens is told to start afresh.
 *
 * Events: "state" (of .state), "stanza" (an element), "refused" (a Refusal), "fresh" (a new session: nothing is joined),
 * "resumed", "ended" (a Refusal or null: there will be no other connection), "saving" (now would be a good time), "roster"
 * (an element: the list of contacts has changed).
 */

import { Connection, Disconnected } from "./connection.js";
import { giveBack, logIn } from "./login.js";
import { Management, REQUEST } from "./management.js";
import { fromLogin, fromStanza, fromStream } from "./refusals.js";
import { SaslError } from "./sasl.js";
import { NS, bareOf, child, is, x } from "./xml.js";

const FINAL = new Set(["conflict", "policy-violation", "not-authorized", "host-unknown"]);
const LONGEST_PAUSE = 30_000;
const ACK_PAUSE = 1000; // milliseconds until the server is asked for what it was not asked for yet

export class Session extends EventTarget {
  /**
   * @param {string} url of the WebSocket.
   * @param {string} domain
   */
  constructor(url, domain) {
    super();
    this.url = url;
    this.domain = domain;
    this.state = "offline"; // "connecting", "online", "waiting"
    this.kind = ""; // "guest" or "account"
    this.jid = "";
    this.agent = "";
    this.facts = {}; // of the login
    this.management = null;
    this._who = null; // what to log in with again
    this._connection = null;
    this._requests = new Map();
    this._number = 0;
    this._failures = 0;
    this._retry = null;
    this._asking = null;
    this._over = false;
    this._endedBy = null;
  }

  get bare() {
    return bareOf(this.jid);
  }

  // --- coming and going

  /** Log in as somebody new to this page. Rejects with a Refusal or Disconnected. */
  async enter(who, agent) {
    this.kind = who.kind;
    this.agent = agent;
    this._who = who;
    await this._connect();
  }

  /** Go on with what toJSON() has answered. Rejects with a Refusal if there is nothing left to go on with. */
  async revive(kept) {
    Object.assign(this, { kind: kept.kind, agent: kept.agent, jid: kept.jid, facts: kept.facts });
    this.management = kept.management && Management.from(kept.management);
    this._number = kept.number;
    this._who = { kind: "token", username: this.bare, token: kept.token };
    for (;;) {
      try {
        return await this._connect();
      } catch (error) {
        if (!(error instanceof Disconnected)) {
          throw error;
        }
        this._state("waiting");
        await new Promise((resolve) => setTimeout(resolve, this._pause()));
      }
    }
  }

  /** What the next page needs; null if it could not go on anyway. */
  toJSON() {
    if (this._who?.kind !== "token" || this._over) {
      return null;
    }
    const { kind, agent, jid, facts, management, _number, _who } = this;
    return { kind, agent, jid, facts, management, number: _number, token: _who.token };
  }

  /** Go for good: the others see it at once, and nothing can be resumed. */
  leave() {
    this._over = true;
    clearTimeout(this._retry);
    this._connection?.send(x("presence", { xmlns: NS.CLIENT, type: "unavailable" }));
    this._connection?.close();
    if (this.kind === "account" && this._who?.kind === "token") {
      // a guest's token goes with the guest; an account's would be good for weeks
      giveBack(new Connection(this.url), this.domain, this._who, this.agent).catch(() => {});
    }
    this._state("offline");
    this._tell("ended", null);
  }

  /** Lose the connection, as when the page is hidden for good; the session can be resumed. */
  drop() {
    this._connection?.drop();
  }

  /** Don't wait for the next try. */
  hurry() {
    if (this.state === "waiting" && this._retry !== null) {
      clearTimeout(this._retry);
      this._reconnect();
    }
  }

  async _connect() {
    this._state("connecting");
    const connection = new Connection(this.url);
    try {
      await connection.connect();
      const entry = await logIn(connection, this.domain, this._who, this.agent, this.management);
      this._entered(connection, entry);
    } catch (error) {
      connection.drop();
      this._state("offline");
      throw error instanceof SaslError ? fromLogin(error) : error;
    }
  }

  _entered(connection, entry) {
    this._failures = 0;
    this._connection = connection;
    this.facts = { ...this.facts, profile: entry.profile, mechanism: entry.mechanism, expiry: entry.expiry ?? this.facts.expiry };
    this.jid = entry.jid;
    if (entry.token) {
      this._who = { kind: "token", username: this.bare, token: entry.token };
    }
    if (entry.resumed) {
      this.management.acknowledge(entry.handled);
      this.management.resumptions += 1;
      this.management.sent.forEach((text) => connection.send(text));
    } else {
      this.management = entry.management;
      this._failRequests();
    }
    this._tell("saving");
    this._state("online");
    this._tell(entry.resumed ? "resumed" : "fresh");
    connection.attach(
      (element) => this._received(element),
      () => this._lost(connection),
    );
  }

  _lost(connection) {
    if (this._over || connection !== this._connection) {
      return;
    }
    this._connection = null;
    if (this._endedBy !== null || this._who === null) {
      this._end(this._endedBy);
      return;
    }
    this._state("waiting");
    this._retry = setTimeout(() => this._reconnect(), this._pause());
  }

  async _reconnect() {
    this._retry = null;
    try {
      await this._connect();
    } catch (error) {
      if (this._over) {
        return;
      }
      if (error instanceof Disconnected) {
        this._state("waiting");
        this._retry = setTimeout(() => this._reconnect(), this._pause());
      } else {
        this._end(error);
      }
    }
  }

  _pause() {
    this._failures += 1;
    return Math.min(500 * 2 ** Math.min(this._failures - 1, 8), LONGEST_PAUSE) * (0.5 + Math.random() / 2);
  }

  _end(refusal) {
    this._over = true;
    this._state("offline");
    this._tell("ended", refusal);
  }

  // --- stanzas

  /** Send a stanza (its namespace is added by whoever made it). */
  send(markup) {
    const text = String(markup);
    if (this.management === null) {
      this._connection?.send(text);
      return;
    }
    const ask = this.management.sending(text);
    this._connection?.send(text);
    if (ask) {
      this._connection?.send(REQUEST);
    } else if (this._asking === null) {
      this._asking = setTimeout(() => {
        this._asking = null;
        this._connection?.send(REQUEST);
      }, ACK_PAUSE);
    }
  }

  /** An id that no other stanza of this session has. */
  id() {
    this._number += 1;
    return `s${this._number}`;
  }

  /**
   * Ask something (an IQ). Resolves with the answer's element, rejects with a Refusal.
   *
   * @param {string|null} what it is, for people; null: nobody has to hear of it if it is refused.
   */
  ask(to, type, payload, what) {
    const id = this.id();
    return new Promise((resolve, reject) => {
      this._requests.set(id, { resolve, reject, what });
      this.send(x("iq", { xmlns: NS.CLIENT, to, type, id }, payload));
    });
  }

  _failRequests() {
    for (const each of this._requests.values()) {
      each.reject(new Disconnected("The connection was lost before there was an answer."));
    }
    this._requests.clear();
  }

  _received(element) {
    if (is(element, "r", NS.SM)) {
      this._tell("saving"); // what is acknowledged is kept
      this._connection?.send(this.management.answer());
    } else if (is(element, "a", NS.SM)) {
      this.management?.acknowledge(Number(element.getAttribute("h")));
    } else if (is(element, "error", NS.STREAMS)) {
      this._streamError(fromStream(element));
    } else if (element.namespaceURI === NS.CLIENT) {
      if (this.management !== null) {
        this.management.received = (this.management.received + 1) % 2 ** 32;
      }
      this._stanza(element);
    }
  }

  _streamError(refusal) {
    this._tell("refused", refusal);
    if (FINAL.has(refusal.condition)) {
      this._endedBy = refusal;
    }
  }

  _stanza(element) {
    if (element.localName !== "iq") {
      this._tell("stanza", element);
      return;
    }
    const type = element.getAttribute("type");
    if (type === "get" || type === "set") {
      this._answer(element);
      return;
    }
    const request = this._requests.get(element.getAttribute("id"));
    if (request === undefined) {
      return;
    }
    this._requests.delete(element.getAttribute("id"));
    if (type === "result") {
      request.resolve(element);
      return;
    }
    const refusal = fromStanza(element, request.what);
    if (request.what !== null) {
      this._tell("refused", refusal);
    }
    request.reject(refusal);
  }

  /** What others ask this page: whether it is there, and the server to note a change; everything else it doesn't know. */
  _answer(element) {
    const to = element.getAttribute("from");
    const id = element.getAttribute("id");
    if (child(element, "ping", NS.PING)) {
      this.send(x("iq", { xmlns: NS.CLIENT, type: "result", to, id }));
      return;
    }
    const roster = child(element, "query", NS.ROSTER);
    if (roster !== null && element.getAttribute("type") === "set" && (to === null || to === this.bare)) {
      this._tell("roster", roster); // nobody but the server may say so (RFC 6121 section 2.1.6)
      this.send(x("iq", { xmlns: NS.CLIENT, type: "result", to, id }));
      return;
    }
    const condition = x("service-unavailable", { xmlns: NS.STANZA_ERRORS });
    this.send(x("iq", { xmlns: NS.CLIENT, type: "error", to, id }, x("error", { type: "cancel" }, condition)));
  }

  _state(state) {
    if (this.state !== state) {
      this.state = state;
      this._tell("state");
    }
  }

  _tell(name, detail = null) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }
}
