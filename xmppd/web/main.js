/**
 * The page: what the user does becomes calls of the session, what the session tells becomes something to see.
 *
 * The same page is the widget in other sites' frames, at another path: there is no login in it, since in a frame nobody
 * can see whose page it is that wants the password.
 */

import { Chat, partnerOf, unwrapped } from "./chats.js";
import { recallVision, setVision } from "./colours.js";
import { Disconnected } from "./connection.js";
import { fetchContacts, wantMarks } from "./contacts.js";
import { ContactsPane } from "./contactspane.js";
import { lookAt, visible } from "./deception.js";
import { HopsPane } from "./hops.js";
import { NamesPane } from "./namespane.js";
import { Line, Room, accepting, findRooms, listRooms } from "./rooms.js";
import { Refusal, fromStanza } from "./refusals.js";
import { register } from "./register.js";
import { Session } from "./session.js";
import { Keeping } from "./storage.js";
import { $, code, directoryNode, occupantNode, placeNode, refusalNode, say, showFacts, showLines } from "./view.js";
import { NS, bareOf, resourceOf, x } from "./xml.js";

const MOST_REFUSALS = 50;
const VERSION = 2; // of what is kept over a reload
const LINES_IF_FULL = 10; // kept of each conversation when the browser has no room for all of them
const NOTICE_MILLISECONDS = 12_000;
const NARROW = "(max-width: 62rem)"; // as in the style sheet

const TITLES = { contacts: "Contacts", names: "Names" };

const WORDS = {
  connecting: "connecting …",
  online: "online",
  waiting: "connection lost; trying again …",
  offline: "offline",
};

class Page {
  constructor(settings, embedded) {
    const query = new URLSearchParams(location.search);
    this.settings = settings;
    this.embedded = embedded;
    this.wanted = { room: query.get("room") || settings.room || "", nick: query.get("nick") || "" };
    this.keeping = new Keeping(embedded ? `widget:${this.wanted.room}` : "page");
    this.session = null;
    this.rooms = new Map(); // by bare JID
    this.chats = new Map(); // by JID
    this.active = null; // the JID of the conversation that is seen
    this.shown = null; // the one whose lines are in the log
    this.refusals = [];
    this.unseen = 0; // refusals since the panel was last open
    this.service = null; // domain of the rooms
    this.nick = "";
    this._firstRoom = "";
    this.peopleWanted = null; // whether the user has the list of people open
    this.hops = new HopsPane(settings.domain, (place, text) => this._worsened(place, text));
    this.people = new ContactsPane({
      write: (jid) => this._write(jid),
      examine: (jid) => this._examine(jid),
      refused: (refusal) => this._refused(refusal),
      changed: () => this.draw(),
    });
    this.names = new NamesPane();
    this.view = "chats"; // or "contacts", "names"
    this._noticeTimer = null;
    this._drawing = false;
  }

  get contacts() {
    return this.people.contacts;
  }

  // --- the door

  async start() {
    document.body.classList.toggle("embedded", this.embedded);
    $("door-domain").textContent = this.settings.domain;
    document.title = `Chat at ${this.settings.domain}`;
    $("guest-room").value = this.wanted.room;
    $("guest-nick").value = this.wanted.nick;
    $("create-domain").textContent = `@${this.settings.domain}`;
    $("vision").value = recallVision();
    this._listen();
    if (!globalThis.isSecureContext) {
      Object.assign(this.settings, { guests: false, accounts: false });
      this._showDoor("This page needs an encrypted connection: open it by https.");
      return;
    }
    const kept = await this.keeping.recall();
    if (kept?.version === VERSION) {
      await this._revive(kept);
    } else {
      this.keeping.forget();
      this._showDoor();
    }
  }

  _showDoor(problem = "") {
    $("guest-form").hidden = !this.settings.guests;
    $("account-form").hidden = !this.settings.accounts || this.embedded;
    $("create-form").hidden = true;
    $("create-offer").hidden = !this.settings.registration;
    $("guest-room").disabled = this.embedded && Boolean(this.wanted.room);
    $("coming").hidden = $("chat").hidden = true;
    $("door").hidden = false;
    const none = !this.settings.guests && (this.embedded || !this.settings.accounts);
    say("door-problem", problem || (none ? "Guests are not let in here." : ""));
    const first = [...$("door").querySelectorAll("form:not([hidden]) input")].find((input) => !input.value);
    if (!this.embedded || problem) {
      first?.focus(); // a widget must not take the focus from the page that it is in
    }
  }

  async _enter(who, button) {
    button.disabled = true;
    say("door-problem", "");
    this._makeSession();
    try {
      await this.session.enter(who, await this.keeping.begin());
    } catch (error) {
      this._showDoor(this._why(error));
    } finally {
      button.disabled = false;
    }
  }

  /** Create an account, and come in with it. */
  async _create(button) {
    const [username, domain] = $("create-name").value.trim().split("@");
    const password = $("create-password").value;
    const problem = domain !== undefined && domain.toLowerCase() !== this.settings.domain ? `Accounts can be had at ${this.settings.domain} only.` : password !== $("create-again").value ? "The two passwords aren't the same." : "";
    say("create-problem", problem);
    if (problem) {
      return;
    }
    button.disabled = true;
    try {
      await register(this._url(), this.settings.domain, username, password);
    } catch (error) {
      say("create-problem", this._why(error));
      $("create-name").focus();
      return;
    } finally {
      button.disabled = false;
    }
    $("create-form").reset();
    this.nick = username;
    this._firstRoom = this.wanted.room;
    await this._enter({ kind: "account", username, password }, button);
  }

  _showCreate(open) {
    $("create-form").hidden = !open;
    $("account-form").hidden = open;
    say("create-problem", "");
    $(open ? "create-name" : "account-jid").focus();
  }

  async _revive(kept) {
    $("coming").hidden = false;
    this._makeSession();
    kept.rooms.forEach((each) => this.rooms.set(each.jid, Room.from(each)));
    kept.chats.forEach((each) => this.chats.set(each.jid, Chat.from(each)));
    this.people.recall(kept.contacts);
    this.view = kept.view;
    this.active = kept.active;
    this.refusals = kept.refusals;
    this.nick = kept.nick;
    this.service = kept.service;
    try {
      await this.session.revive(kept);
    } catch (error) {
      this._forget();
      this._showDoor(kept.kind === "guest" ? "That guest is gone. Come in as another one." : this._why(error));
    }
  }

  _why(error) {
    if (error instanceof Refusal) {
      return error.text ? `${error.words} (${error.text})` : error.words;
    }
    return error instanceof Disconnected ? error.message : "Something in this page went wrong.";
  }

  _url() {
    const url = new URL("xmpp-websocket", document.baseURI);
    url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
    url.search = "";
    return url.href;
  }

  _makeSession() {
    const session = (this.session = new Session(this._url(), this.settings.domain));
    this.people.begin(session);
    this.names.begin(session);
    const on = (name, does) => session.addEventListener(name, (event) => session === this.session && does(event.detail));
    on("state", () => this.draw());
    on("saving", () => this.save());
    on("stanza", (element) => this._stanza(element));
    on("refused", (refusal) => this._refused(refusal));
    on("roster", (query) => this._rosterChanged(query));
    on("fresh", () => this._fresh());
    on("resumed", () => this._resumed());
    on("ended", (refusal) => this._ended(refusal));
  }

  // --- the session

  _open() {
    $("door").hidden = $("coming").hidden = true;
    const first = $("chat").hidden;
    $("chat").hidden = false;
    this._show(this.view);
    this._draw();
    if (first && !this.embedded) {
      this._focusView();
    }
    this._findRooms();
    this.hops.begin(this.session);
  }

  /** A new session: nothing of the earlier one's is left at the server, so enter the rooms again. */
  _fresh() {
    this._beContact();
    this.session.send(x("presence", { xmlns: NS.CLIENT }));
    for (const place of this._places()) {
      place.lines.filter((line) => line.pending).forEach((line) => Object.assign(line, { pending: false, refused: "The connection was lost." }));
    }
    this._open();
    const rooms = [...this.rooms.values()].filter((room) => room.state !== "out");
    if (rooms.length) {
      rooms.forEach((room) => this.session.send(room.joining()));
    } else if (this._firstRoom) {
      this._joinByName(this._firstRoom);
    }
    this._firstRoom = "";
  }

  _resumed() {
    if (this.session.kind === "account") {
      wantMarks(this.session);
    }
    this._open();
  }

  /** Before anybody hears that we are here: have strangers marked, and know who is none. */
  _beContact() {
    if (this.session.kind === "account") {
      wantMarks(this.session);
      this.contacts.forgetPresence();
      this.contacts.requests.clear(); // the server tells of them again
      fetchContacts(this.session).then(
        (query) => {
          this.contacts.load(query);
          this._renamed();
        },
        () => {}, // it is in the list of what was refused
      );
    }
  }

  _rosterChanged(query) {
    this.contacts.push(query);
    this._renamed();
  }

  /** Conversations are called as the user calls the others; whoever has no such name is called by the address. */
  _renamed() {
    for (const chat of this.chats.values()) {
      chat.name = chat.inRoom ? chat.name : this._called(chat.jid);
    }
    this.draw();
  }

  _called(jid) {
    const stranger = this.session.kind === "account" ? visible(jid) : jid.split("@", 1)[0];
    return this.contacts.nameOf(jid) || stranger;
  }

  _ended(refusal) {
    const kind = this.session.kind;
    this._forget();
    this._showDoor(refusal ? `${kind === "guest" ? "You are no longer a guest here." : "You are logged out."} ${this._why(refusal)}` : "");
  }

  _forget() {
    this.keeping.forget();
    this.session = null;
    this.rooms.clear();
    this.chats.clear();
    this.active = this.shown = null;
    this.refusals = [];
    this.unseen = 0;
    this.view = "chats";
    this.people.begin(null);
    this.names.begin(null);
    $("log").replaceChildren();
    $("account-password").value = "";
  }

  save() {
    const kept = this.session?.toJSON();
    if (kept) {
      const { active, refusals, nick, service, view, contacts } = this;
      this._keepDraft();
      const value = { version: VERSION, ...kept, active, nick, service, view, refusals, contacts, rooms: [...this.rooms.values()], chats: [...this.chats.values()] };
      if (!this.keeping.keep(value)) {
        const short = (each) => ({ ...each.toJSON(), lines: each.lines.slice(-LINES_IF_FULL) });
        this.keeping.keep({ ...value, rooms: value.rooms.map(short), chats: value.chats.map(short) });
      }
    }
  }

  async _findRooms() {
    try {
      this.service ??= await findRooms(this.session);
      await this._refresh();
    } catch {
      // it is in the list of what was refused
    }
  }

  async _refresh() {
    const rooms = this.service === null ? [] : await listRooms(this.session, this.service);
    $("room-list").replaceChildren(...rooms.map((room) => directoryNode(room, (jid) => this._join(jid))));
  }

  // --- what comes

  _stanza(stanza) {
    const from = stanza.getAttribute("from") ?? "";
    const room = this.rooms.get(bareOf(from));
    if (stanza.localName === "presence") {
      if (room) {
        this._roomPresence(room, stanza);
      } else if (stanza.getAttribute("type") === "error") {
        this._refused(fromStanza(stanza, `Presence to ${from}`));
      } else if (this.session.kind === "account") {
        this.people.presence(stanza);
        if (stanza.getAttribute("type") === "subscribe") {
          $("news").textContent = `${visible(bareOf(from))} asks to be your contact.`;
        }
      }
    } else if (stanza.localName === "message") {
      this._message(stanza, from, room);
    }
    this.draw();
  }

  _roomPresence(room, stanza) {
    const outcome = room.presence(stanza);
    if (outcome.refusal) {
      this._refused(outcome.refusal);
    }
    if (outcome.created) {
      accepting(this.session, room).then(
        () => this._refresh(),
        () => {},
      );
    }
  }

  _message(stanza, from, room) {
    const type = stanza.getAttribute("type");
    if (type === "error") {
      this._messageRefused(stanza, from, room);
    } else if (type === "groupchat") {
      const line = room?.message(stanza);
      this._unread(room, line);
    } else {
      this._private(stanza);
    }
  }

  _private(stanza) {
    const found = unwrapped(stanza, this.session.bare);
    if (found === null || found.stanza.getAttribute("type") === "groupchat") {
      return;
    }
    const { jid, inRoom } = partnerOf(found, this.rooms);
    if (!jid || !textIn(found.stanza) || (this.chats.size > 200 && !this.chats.has(jid))) {
      return;
    }
    const chat = this._chat(jid, inRoom);
    this._unread(chat, chat.message(found.stanza, found.own));
    this.hops.stirred(chat);
  }

  _messageRefused(stanza, from, room) {
    const refusal = fromStanza(stanza, `A message to ${from}`);
    const id = stanza.getAttribute("id");
    const place = this.chats.get(from) ?? this.chats.get(bareOf(from)) ?? room;
    place?.refused(id, refusal.words);
    this._refused(refusal);
  }

  _worsened(place, text) {
    place.add(new Line("event", "", text));
    this.draw();
  }

  _unread(place, line) {
    if (line && !line.own && line.kind === "said" && !line.past && (place.jid !== this.active || document.hidden || this.view !== "chats")) {
      place.unread += 1;
    }
  }

  _refused(refusal) {
    this.refusals.unshift({ ...refusal });
    this.refusals.length = Math.min(this.refusals.length, MOST_REFUSALS);
    this.unseen += $("panel").hidden ? 1 : 0;
    say("notice", `${refusal.what}: ${refusal.words}`);
    clearTimeout(this._noticeTimer);
    this._noticeTimer = setTimeout(() => say("notice", ""), NOTICE_MILLISECONDS);
    this.draw();
  }

  // --- what the user does

  _listen() {
    const submit = (id, does) =>
      $(id).addEventListener("submit", (event) => {
        event.preventDefault();
        does(event.submitter ?? $(id).querySelector("button"));
      });
    const click = (id, does) => $(id).addEventListener("click", does);
    submit("guest-form", (button) => this._comeIn(button));
    submit("account-form", (button) => this._logIn(button));
    submit("create-form", (button) => this._create(button));
    submit("join-form", () => this._joinByName(taken("join-room")));
    submit("write-form", () => this._write(taken("write-jid")));
    submit("composer", () => this._say());
    submit("again-form", () => this._again());
    submit("nick-form", () => this._rename(taken("new-nick")));
    click("show-create", () => this._showCreate(true));
    click("hide-create", () => this._showCreate(false));
    click("leave", () => this.session?.leave());
    click("add-this", () => this._addThis());
    $("views").querySelectorAll("button").forEach((button) => button.addEventListener("click", () => this._show(button.dataset.view)));
    $("vision").addEventListener("change", () => this._recolour());
    click("refresh", () => this._refresh().catch(() => {}));
    click("close-talk", () => this._close());
    click("show-places", () => this._toggle("places", !$("places").classList.contains("open")));
    click("show-people", () => this._toggle("people", $("people").hidden));
    click("show-panel", () => this._toggle("panel", $("panel").hidden));
    click("hide-people", () => this._toggle("people", false, true));
    click("hide-panel", () => this._toggle("panel", false, true));
    $("message").addEventListener("keydown", (event) => {
      if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
        event.preventDefault();
        this._say();
      }
    });
    $("message").addEventListener("input", grow);
    const bar = document.querySelector(".bar"); // has two lines on small screens
    new ResizeObserver(() => $("chat").style.setProperty("--bar", `${bar.offsetHeight}px`)).observe(bar);
    document.addEventListener("keydown", (event) => event.key === "Escape" && this._closeSides());
    matchMedia(NARROW).addEventListener("change", () => {
      this.peopleWanted = null;
      this.draw();
    });
    document.addEventListener("visibilitychange", () => {
      this.save();
      this.session?.hurry();
      this.draw();
    });
    addEventListener("online", () => this.session?.hurry());
    addEventListener("pagehide", () => {
      this.save();
      this.session?.drop();
    });
    addEventListener("pageshow", (event) => event.persisted && location.reload());
  }

  _comeIn(button) {
    this.nick = $("guest-nick").value.trim();
    if (!this.nick) {
      say("door-problem", "Choose a nickname.");
      $("guest-nick").focus();
      return;
    }
    this._firstRoom = $("guest-room").value.trim();
    this._enter({ kind: "guest" }, button);
  }

  _logIn(button) {
    const [username, domain] = $("account-jid").value.trim().split("@");
    if (domain !== undefined && domain.toLowerCase() !== this.settings.domain) {
      say("door-problem", `This page logs in at ${this.settings.domain} only.`);
      return;
    }
    this.nick = username;
    this._firstRoom = this.wanted.room;
    this._enter({ kind: "account", username, password: $("account-password").value }, button);
  }

  async _joinByName(name) {
    if (!name.includes("@")) {
      this.service ??= await findRooms(this.session).catch(() => null);
      if (this.service === null) {
        this._refused(new Refusal(`To enter ${name}`, "item-not-found", "This server has no rooms; write the whole address."));
        return;
      }
    }
    this._join(name.includes("@") ? name.toLowerCase() : `${name.toLowerCase()}@${this.service}`);
  }

  _join(jid) {
    let room = this.rooms.get(jid);
    if (room === undefined) {
      room = new Room(jid, this.nick || this.session.bare.split("@", 1)[0]);
      this.rooms.set(jid, room);
    }
    if (room.state === "out") {
      this.session.send(room.joining());
    }
    this._pick(jid);
  }

  _again() {
    const room = this.rooms.get(this.active);
    if (room) {
      room.nick = $("again-nick").value.trim() || room.nick;
      room.password = $("again-password").value;
      $("again-password").value = "";
      this.session.send(room.joining());
      this.draw();
    }
  }

  _rename(nick) {
    const room = this.rooms.get(this.active);
    if (room?.state === "in" && nick) {
      this.session.send(room.renaming(nick));
    }
  }

  _write(jid) {
    const address = jid.includes("@") ? jid : `${jid}@${this.settings.domain}`;
    const inRoom = this.rooms.has(bareOf(address)) && resourceOf(address) !== "";
    if (!inRoom && !this.chats.has(bareOf(address)) && !this.contacts.get(bareOf(address))) {
      this._suspect(bareOf(address));
    }
    this._chat(inRoom ? address : bareOf(address), inRoom);
    this._pick(inRoom ? address : bareOf(address));
  }

  /** Somebody is about to write to a stranger: it may be one who is taken for somebody else. */
  async _suspect(jid) {
    const warning = await lookAt(this.session, jid);
    const chat = this.chats.get(jid);
    if (warning && chat) {
      chat.warned = true;
      chat.add(new Line("event", "", "", { warnings: [warning] }));
      this.draw();
    }
  }

  _chat(jid, inRoom) {
    if (!this.chats.has(jid)) {
      const chat = new Chat(jid, inRoom, this.session.bare);
      chat.name = inRoom ? chat.name : this._called(jid);
      this.chats.set(jid, chat);
    }
    return this.chats.get(jid);
  }

  _say() {
    const place = this._place(this.active);
    const text = $("message").value.trimEnd();
    if (place === undefined || !text.trim() || (place.kind === "room" && place.state !== "in")) {
      return;
    }
    this.session.send(place.saying(text, this.session.id()));
    this.hops.stirred(place);
    $("message").value = place.draft = "";
    grow();
    this.draw();
  }

  // --- views

  /** Show another view. */
  _show(view) {
    this.view = view === "contacts" && this.session.kind !== "account" ? "chats" : view;
    $("chat").dataset.view = this.view;
    $("contacts").hidden = this.view !== "contacts";
    $("names").hidden = this.view !== "names";
    $("views").hidden = this.embedded;
    $("skip").href = `#${this.view === "chats" ? "main" : this.view}`;
    for (const button of $("views").querySelectorAll("button")) {
      button.hidden = button.dataset.view === "contacts" && this.session.kind !== "account";
      if (button.dataset.view === this.view) {
        button.setAttribute("aria-current", "page");
      } else {
        button.removeAttribute("aria-current");
      }
    }
    this.draw();
  }

  _focusView() {
    const chats = $("composer").hidden ? $("main") : $("message");
    ({ chats, contacts: $("contacts"), names: $("names-input") })[this.view].focus();
  }

  _examine(name) {
    this._show("names");
    this.names.examine(name);
    this._focusView();
  }

  /** The one whom this conversation is with shall be a contact; by which name, the user has to think of. */
  _addThis() {
    $("add-jid").value = this.active;
    this._show("contacts");
    $("add-name").focus();
  }

  _recolour() {
    setVision($("vision").value);
    $("log").replaceChildren();
    for (const id of ["contact-list", "request-list", "room-list"]) {
      $(id).replaceChildren();
    }
    this._placesKey = this._peopleKey = null;
    this._refresh().catch(() => {});
    this.draw();
  }

  _pick(jid) {
    this._show("chats");
    this._keepDraft();
    this.active = jid;
    this._toggle("places", false);
    if (matchMedia(NARROW).matches) {
      this._toggle("people", false);
    }
    this._draw();
    grow();
    ($("composer").hidden ? $("main") : $("message")).focus();
  }

  _close() {
    const room = this.rooms.get(this.active);
    if (room && room.state !== "out") {
      this.session.send(room.leaving());
    }
    this.rooms.delete(this.active);
    this.chats.delete(this.active);
    this.active = this._places()[0]?.jid ?? null;
    this.draw();
    $("main").focus();
  }

  _toggle(id, open, back = false) {
    const button = $(`show-${id}`);
    if (id === "places") {
      $("places").classList.toggle("open", open);
    } else if (id === "people") {
      this.peopleWanted = open;
      $("people").hidden = !open;
    } else {
      $(id).hidden = !open;
    }
    button.setAttribute("aria-expanded", String(open));
    if (open && id === "panel") {
      this.unseen = 0;
    }
    if (open && matchMedia(NARROW).matches) {
      $(id).querySelector("button, input")?.focus();
    }
    if (back) {
      button.focus();
    }
    this.draw();
  }

  _closeSides() {
    if (!$("panel").hidden) {
      this._toggle("panel", false, true);
    } else if ($("places").classList.contains("open")) {
      this._toggle("places", false, true);
    } else if (!$("people").hidden && matchMedia(NARROW).matches) {
      this._toggle("people", false, true);
    }
  }

  _keepDraft() {
    const place = this._place(this.active);
    if (place && this.shown === place) {
      place.draft = $("message").value;
    }
  }

  // --- what is seen

  _place(jid) {
    return this.rooms.get(jid) ?? this.chats.get(jid);
  }

  _places() {
    return [...this.rooms.values(), ...this.chats.values()];
  }

  /** Show everything as it is now; once for whatever happens in one turn. */
  draw() {
    if (!this._drawing) {
      this._drawing = true;
      queueMicrotask(() => {
        this._drawing = false;
        if (this.session !== null) {
          this._draw();
        }
      });
    }
  }

  _draw() {
    if (this._place(this.active) === undefined) {
      this.active = this._places()[0]?.jid ?? null;
    }
    const place = this._place(this.active);
    if (place && !document.hidden && this.view === "chats") {
      place.unread = 0;
    }
    this._drawBar();
    this._drawPlaces();
    this._drawTalk(place);
    this._drawPeople(place);
    this._drawPanel();
    if (this.view === "contacts") {
      this.people.draw();
    }
  }

  _drawBar() {
    const session = this.session;
    $("who-name").textContent = session.kind === "guest" ? this.nick : session.bare;
    $("who-mark").hidden = session.kind !== "guest";
    if ($("state").dataset.state !== session.state) {
      $("state").dataset.state = session.state;
      $("state").textContent = WORDS[session.state];
    }
    const unread = this._places().reduce((sum, each) => sum + each.unread, 0);
    say("unread-badge", unread ? String(unread) : "");
    say("chats-badge", unread && this.view !== "chats" ? String(unread) : "");
    say("contacts-badge", this.contacts.requests.size ? String(this.contacts.requests.size) : "");
    say("refused-badge", this.unseen ? String(this.unseen) : "");
    document.title = `${unread ? `(${unread}) ` : ""}${this.view === "chats" ? (this._place(this.active)?.name ?? "Chat") : TITLES[this.view]} at ${this.settings.domain}`;
  }

  _drawPlaces() {
    const key = JSON.stringify(this._places().map((each) => [each.jid, each.name, each.unread, each.state, each.warned, each.jid === this.active]));
    if (key === this._placesKey) {
      return; // lest the focus is lost for nothing
    }
    this._placesKey = key;
    const focused = document.activeElement?.dataset?.jid;
    $("place-list").replaceChildren(...this._places().map((each) => placeNode(each, each.jid === this.active, (jid) => this._pick(jid))));
    [...$("place-list").querySelectorAll("button")].find((button) => button.dataset.jid === focused)?.focus();
  }

  _drawTalk(place) {
    const room = place?.kind === "room" ? place : null;
    $("talk-title").textContent = place?.name ?? "Welcome";
    $("talk-subject").textContent = place ? place.subject || visible(place.jid) : "Join a room, or write to somebody.";
    $("close-talk").hidden = !place;
    const stranger = place?.kind === "chat" && !place.inRoom && this.session.kind === "account" && !this.contacts.get(place.jid);
    $("add-this").hidden = !stranger || !place.jid.includes("@") || place.jid === this.session.bare;
    const out = room !== null && room.state === "out";
    $("composer").hidden = !place || out;
    $("again-form").hidden = !out;
    if (out) {
      this._drawAgain(room);
    }
    const anew = this.shown !== (place ?? null);
    if (anew) {
      $("message").value = place?.draft ?? "";
      this.shown = place ?? null;
    }
    showLines(place?.lines ?? [], anew, { nameOf: (jid) => this.contacts.nameOf(jid), examine: (jid) => this._examine(jid) });
    this.hops.show(this.session, place ?? null);
  }

  _drawAgain(room) {
    const why = room.refusal ? `You are not in this room. ${room.refusal.words}` : "You are not in this room.";
    if ($("again-why").textContent !== why) {
      $("again-why").textContent = why;
      $("again-nick").value = room.nick;
    }
    $("again-secret").hidden = room.refusal?.condition !== "not-authorized";
  }

  _drawPeople(place) {
    const room = place?.kind === "room" && place.state === "in" ? place : null;
    $("show-people").hidden = room === null;
    this.peopleWanted ??= !this.embedded && !matchMedia(NARROW).matches;
    $("people").hidden = room === null || !this.peopleWanted;
    if (room === null) {
      return;
    }
    $("show-people").setAttribute("aria-expanded", String(!$("people").hidden));
    $("people-count").textContent = String(room.occupants.size);
    const occupants = [...room.occupants.values()].sort((one, other) => one.nick.localeCompare(other.nick));
    const key = room.jid + JSON.stringify(occupants);
    if (key !== this._peopleKey) {
      this._peopleKey = key;
      $("people-list").replaceChildren(...occupants.map((each) => occupantNode(each, (nick) => this._write(`${room.jid}/${nick}`))));
    }
  }

  _drawPanel() {
    if ($("panel").hidden) {
      return;
    }
    const { session, settings } = this;
    const { profile, mechanism, expiry } = session.facts;
    const management = session.management;
    const secure = location.protocol === "https:";
    showFacts([
      ["JID", code(session.bare)],
      ["Resource", code(resourceOf(session.jid))],
      ["You are", session.kind === "guest" ? "a guest: no account, nothing is kept when you have gone" : "logged in with an account"],
      ["State", WORDS[session.state]],
      ["Transport", `WebSocket (RFC 7395) to ${new URL(session.url).host}`],
      ["Encryption", encryption(secure, settings)],
      ["Logged in by", `${mechanism} (${profile})`],
      ["Comes back", expiry ? `by a token, until ${new Date(expiry).toLocaleString()}` : "only by a new login"],
      ["Stream management", management ? `on${management.id ? `, can be resumed within ${management.seconds} s` : ""}` : "off"],
      ["Resumed", times(management?.resumptions ?? 0)],
      ["Stanzas", management ? `${management.received} received, ${management.sent.length} not acknowledged yet` : "not counted"],
    ]);
    $("nothing-refused").hidden = this.refusals.length > 0;
    $("refusals").replaceChildren(...this.refusals.map(refusalNode));
  }
}

function encryption(secure, settings) {
  if (secure) {
    return settings.tls ? `TLS; the page came with ${settings.tls.version}, ${settings.tls.cipher}` : "TLS, as far as your browser and the server's proxy say";
  }
  return settings.secure ? "none, but nothing leaves this machine" : "none";
}

function times(count) {
  return count === 0 ? "never" : count === 1 ? "once" : `${count} times`;
}

function textIn(stanza) {
  return [...stanza.children].some((each) => each.localName === "body" && each.namespaceURI === NS.CLIENT);
}

function taken(id) {
  const text = $(id).value.trim();
  $(id).value = "";
  return text;
}

function grow() {
  const area = $("message");
  area.style.height = "auto";
  area.style.height = `${area.scrollHeight + 2}px`;
}

async function begin() {
  const answer = await fetch("chat/settings.json", { cache: "no-store" });
  const page = new Page(await answer.json(), location.pathname.endsWith("/widget"));
  await page.start();
}

begin().catch(() => {
  say("coming", "The server can't be reached. Load the page again in a while.");
});
