/**
 * The view of contacts: who asks to be one, who is one, and the form to add some.
 *
 * Each contact has a name that the user has thought of. Nothing is ever proposed for it: what somebody calls himself, or
 * is recommended as, is told beside the form and stays out of it (XEP-0165 section 2.2).
 */

import { Contacts, answering, askAcquaintance, nameContact, removeContact, stateOf } from "./contacts.js";
import { lookAt, visible } from "./deception.js";
import { $, coloured, code, face, node, say, showList, warningNode } from "./view.js";

const LONGEST_NAME = 100;
const MOST_TOLD = 3;
const MOST_LEARNT = 20; // of how many requests it is asked what others have said

export class ContactsPane {
  /**
   * @param {object} does what the page does: write(jid), examine(jid), refused(refusal), changed().
   */
  constructor(does) {
    this.contacts = new Contacts();
    this._does = does;
    this._session = null;
    this._editing = new Map(); // by JID: "name" or "remove"
    this._problems = new Map(); // by JID: what went wrong
    this._warned = ""; // the address that somebody wants to add, and has been warned of
    $("add-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this._add();
    });
  }

  /** A session is there; null: none any more. */
  begin(session) {
    this._session = session;
    this._editing.clear();
    this._problems.clear();
    if (session === null) {
      this.contacts = new Contacts();
      $("add-form").reset();
      this._forgetWarning();
      say("add-problem", "");
      say("contacts-say", "");
    }
  }

  /** Go on with what was kept. */
  recall(kept) {
    this.contacts = Contacts.from(kept);
  }

  /** Presence has come from outside of rooms. */
  presence(stanza) {
    this.contacts.presence(stanza);
  }

  /** What others have told the server of somebody who asks. */
  async _learn(request) {
    if (request.told === null && this._session !== null) {
      request.told = {};
      request.told = (await askAcquaintance(this._session, request.jid)) ?? {};
      this._does.changed();
    }
  }

  // --- what is seen

  draw() {
    const { contacts } = this;
    const requests = [...contacts.requests.values()];
    requests.slice(0, MOST_LEARNT).forEach((request) => this._learn(request));
    $("requests").hidden = requests.length === 0;
    showList(
      $("request-list"),
      requests,
      (request) => request.jid,
      (request) => JSON.stringify([request, contacts.nameOf(request.jid), this._problems.get(request.jid)]),
      (request) => this._requestNode(request),
    );
    showList(
      $("contact-list"),
      contacts.sorted(),
      (contact) => contact.jid,
      (contact) => JSON.stringify([contact.name, stateOf(contact), this._editing.get(contact.jid), this._problems.get(contact.jid)]),
      (contact) => this._contactNode(contact),
    );
    say("contact-count", contacts.known.size ? String(contacts.known.size) : "");
    $("no-contacts").hidden = contacts.known.size > 0;
  }

  _problem(jid) {
    const text = this._problems.get(jid);
    return text ? node("p", { class: "problem", role: "alert" }, text) : null;
  }

  _requestNode(request) {
    const { jid } = request;
    const name = this.contacts.nameOf(jid);
    const id = `request-${jid}`;
    const warned = request.warnings.length > 0;
    const ask = name
      ? [node("p", {}, "They are among your contacts, as ", coloured(name, jid), ".")]
      : [
          node("label", { for: id }, "Your own name for them, if you accept"),
          node("input", { id, name: "name", maxlength: LONGEST_NAME, autocomplete: "off", spellcheck: "false" }),
        ];
    return node(
      "li",
      { class: "entry" },
      face(jid, "", jid),
      node(
        "div",
        { class: "about" },
        node("p", {}, code(visible(jid)), " wants to be your contact, and to see when you are here."),
        request.warnings.map((warning) => this._warningNode(warning)),
        request.text && node("p", { class: "quoted" }, request.text),
        this._heardNode(request),
        this._problem(jid),
        node(
          "form",
          { onsubmit: (event) => this._accept(event, request) },
          ...ask,
          node(
            "div",
            { class: "actions" },
            node("button", { type: "submit", class: warned ? "" : "main" }, warned ? "Accept nevertheless" : "Accept"),
            node("button", { type: "button", class: warned ? "main" : "", onclick: () => this._deny(jid) }, "Deny"),
          ),
        ),
      ),
    );
  }

  _warningNode(warning) {
    return warningNode(warning, { nameOf: (jid) => this.contacts.nameOf(jid), examine: this._does.examine });
  }

  /** What others say of somebody: by whom, so that nobody takes it for a fact. */
  _heardNode({ nick, told }) {
    const alleged = nick || told?.nick;
    const referrals = (told?.referrals ?? []).slice(-MOST_TOLD);
    return [
      alleged && node("p", { class: "hint" }, `They call themselves “${visible(alleged)}”. Anybody can say so.`),
      ...referrals.map(({ by, name }) => node("p", { class: "hint" }, `${this.contacts.nameOf(by) || visible(by)} has recommended them${name ? ` as “${visible(name)}”` : ""}.`)),
    ];
  }

  _contactNode(contact) {
    const { jid, name } = contact;
    const state = stateOf(contact);
    return node(
      "li",
      { class: "entry" },
      face(name || jid, "", jid),
      node(
        "div",
        { class: "about" },
        node("p", { class: "handle" }, name ? coloured(name, jid) : node("em", {}, "without a name")),
        node("p", { class: "address" }, code(visible(jid))),
        node("p", { class: `presence ${state}` }, state),
        this._problem(jid),
        { name: () => this._namingNode(contact), remove: () => this._removingNode(contact) }[this._editing.get(jid)]?.() ?? this._actions(contact),
      ),
    );
  }

  _actions({ jid, name }) {
    const called = name || visible(jid);
    const button = (text, does) => node("button", { type: "button", class: "small", "data-does": text, "aria-label": `${text} ${called}`, onclick: does }, text);
    return node(
      "div",
      { class: "actions" },
      button("Write", () => this._does.write(jid)),
      button(name ? "Rename" : "Name", () => this._edit(jid, "name")),
      button("Remove", () => this._edit(jid, "remove")),
    );
  }

  _namingNode({ jid, name }) {
    const id = `name-${jid}`;
    return node(
      "form",
      { onsubmit: (event) => this._rename(event, jid) },
      node("label", { for: id }, `Your own name for ${visible(jid)}`),
      node("div", { class: "line" }, node("input", { id, name: "name", value: name, required: true, maxlength: LONGEST_NAME, autocomplete: "off", spellcheck: "false" })),
      node("div", { class: "actions" }, node("button", { type: "submit", class: "small main" }, "Save"), node("button", { type: "button", class: "small", onclick: () => this._edit(jid, null) }, "Cancel")),
    );
  }

  _removingNode({ jid, name }) {
    return node(
      "div",
      {},
      node("p", {}, `Remove ${name || visible(jid)}? You won't see each other any more.`),
      node("div", { class: "actions" }, node("button", { type: "button", class: "small", onclick: () => this._remove(jid) }, "Remove"), node("button", { type: "button", class: "small", onclick: () => this._edit(jid, null) }, "Keep")),
    );
  }

  /** Begin or end to change something about a contact; the focus goes with it. */
  _edit(jid, what) {
    if (what === null) {
      this._editing.delete(jid);
    } else {
      this._editing.set(jid, what);
    }
    this._problems.delete(jid);
    this.draw();
    const entry = [...$("contact-list").children].find((each) => each.identity === jid);
    entry?.querySelector(what === null ? "[data-does=Rename], [data-does=Name]" : "input, button")?.focus();
  }

  // --- what the user does

  async _try(jid, does) {
    try {
      await does();
      this._problems.delete(jid);
      return true;
    } catch (error) {
      this._problems.set(jid, error.message);
      if (error.condition) {
        this._does.refused(error);
      }
      return false;
    } finally {
      this._does.changed();
    }
  }

  async _add() {
    const jid = bareAddress($("add-jid").value);
    const name = $("add-name").value.trim();
    const problem = !jid.includes("@") ? "Write the whole address, like juliet@example.org." : !name ? "Give them a name of your own: it is how you will know them." : this.contacts.get(jid) ? "They are among your contacts already." : "";
    say("add-problem", problem);
    if (problem || (await this._hesitates(jid))) {
      return;
    }
    try {
      await nameContact(this._session, jid, name);
    } catch (error) {
      say("add-problem", error.message);
      $("add-name").focus();
      return;
    }
    this._session.send(answering(jid, "subscribe"));
    this.contacts.requests.has(jid) && this._session.send(answering(jid, "subscribed"));
    $("add-form").reset();
    this._forgetWarning();
    say("contacts-say", `${name} is among your contacts now. They are asked whether you may see them.`);
    $("add-jid").focus();
  }

  /** Whether the user has to be warned of an address first. Who adds it again after that means it. */
  async _hesitates(jid) {
    if (this._warned === jid) {
      return false;
    }
    this._forgetWarning();
    const warning = await lookAt(this._session, jid);
    if (warning === null) {
      return false;
    }
    this._warned = jid;
    $("add-warning").replaceChildren(this._warningNode(warning));
    $("add-button").textContent = "Add nevertheless";
    return true;
  }

  _forgetWarning() {
    this._warned = "";
    $("add-warning").replaceChildren();
    $("add-button").textContent = "Add";
  }

  async _accept(event, { jid }) {
    event.preventDefault();
    const form = event.currentTarget;
    const contact = this.contacts.get(jid);
    const name = contact?.name || form.elements.name.value.trim();
    if (!name) {
      this._problems.set(jid, "Give them a name of your own: it is how you will know them.");
      this._does.changed();
      form.elements.name.focus();
      return;
    }
    if (contact?.name || (await this._try(jid, () => nameContact(this._session, jid, name)))) {
      this._session.send(answering(jid, "subscribed"));
      if (!["to", "both"].includes(this.contacts.get(jid)?.subscription)) {
        this._session.send(answering(jid, "subscribe"));
      }
      this._settled(jid, `${name} is among your contacts now.`);
    }
  }

  _deny(jid) {
    this._session.send(answering(jid, "unsubscribed"));
    this._settled(jid, `${visible(jid)} is not among your contacts, and doesn't see you.`);
  }

  _settled(jid, text) {
    this.contacts.requests.delete(jid);
    this._problems.delete(jid);
    say("contacts-say", text);
    this._does.changed();
    $("contacts").focus(); // the button that was clicked is gone
  }

  async _rename(event, jid) {
    event.preventDefault();
    const name = event.currentTarget.elements.name.value.trim();
    if (name && (await this._try(jid, () => nameContact(this._session, jid, name)))) {
      this._edit(jid, null);
    }
  }

  async _remove(jid) {
    if (await this._try(jid, () => removeContact(this._session, jid))) {
      this._edit(jid, null);
      $("contacts").focus();
    }
  }
}

/** An address as somebody writes it, without what programs add. */
function bareAddress(text) {
  return text.trim().replace(/^xmpp:/i, "").split(/[/?]/, 1)[0].toLowerCase();
}
