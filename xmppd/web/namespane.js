/**
 * The view of names: whatever is typed is taken apart by the server, with the same tables by which it judges names
 * (urn:xmppd:names:0, check): its characters, scripts and level, and what it looks like.
 */

import { ODDITIES, visible } from "./deception.js";
import { $, code, coloured, node, say } from "./view.js";
import { NS, child, childrenOf, x } from "./xml.js";

const PAUSE = 200; // milliseconds after the last key

const ROLES = { name: "The name", localpart: "Before the @", domain: "The domain", resource: "The resource" };

const LEVELS = {
  "ascii-only": "nothing but ASCII",
  "single-script": "letters of one script",
  "highly-restrictive": "scripts that belong together, as in Japanese, Chinese or Korean",
  "moderately-restrictive": "Latin, and one other script that doesn't look like it",
  "minimally-restrictive": "scripts that don't belong together",
  unrestricted: "characters that have no place in identifiers",
};

const REASONS = {
  "look-alike": "It looks like one of your contacts, and isn't.",
  protected: "It is, or looks like, a name that speaks for this server.",
  domain: "Its domain looks like one of this server, and isn't.",
  foreign: "It is written in letters that your languages don't have.",
};

export class NamesPane {
  constructor() {
    this._session = null;
    this._timer = null;
    this._number = 0; // of the last question
    for (const id of ["names-input", "names-kind"]) {
      $(id).addEventListener("input", () => this._typed());
    }
    $("names-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this._look();
    });
  }

  /** A session is there; null: none any more. */
  begin(session) {
    if (session === null) {
      $("names-input").value = "";
      this._clear();
    }
    this._session = session;
  }

  /** Look at this one. */
  examine(name) {
    $("names-kind").value = "";
    $("names-input").value = name;
    this._look();
  }

  _typed() {
    clearTimeout(this._timer);
    this._timer = setTimeout(() => this._look(), PAUSE);
  }

  _clear() {
    say("names-verdict", "");
    $("names-result").replaceChildren();
  }

  async _look() {
    clearTimeout(this._timer);
    const name = $("names-input").value;
    const number = ++this._number;
    if (!name) {
      this._clear();
      return;
    }
    try {
      const payload = x("check", { xmlns: NS.NAMES, name, kind: $("names-kind").value || null });
      const answer = await this._session.ask(this._session.domain, "get", payload, null);
      if (number === this._number) {
        this._show(child(answer, "check", NS.NAMES));
      }
    } catch (error) {
      if (number === this._number) {
        this._clear();
        say("names-verdict", error.condition === "service-unavailable" ? "This server doesn't look at names." : error.text || error.message);
      }
    }
  }

  _show(found) {
    const reasons = childrenOf(found, "reason").map((each) => each.textContent);
    const likes = [...childrenOf(found, "is"), ...childrenOf(found, "like")];
    say("names-verdict", verdictOf(found, reasons));
    $("names-verdict").className = reasons.length ? "verdict odd" : "verdict";
    const parts = childrenOf(found, "part");
    $("names-result").replaceChildren(
      ...(likes.length ? [node("section", {}, node("h2", {}, "Looks like"), node("ul", { class: "likes" }, likes.map(likeNode)))] : []),
      ...parts.map(partNode),
    );
  }
}

function verdictOf(found, reasons) {
  const said = reasons.map((reason) => REASONS[reason] ?? sentence(ODDITIES[reason] ?? "there is something odd about it"));
  const kind = found.getAttribute("kind");
  if (child(found, "invalid") !== null) {
    said.unshift("Nobody can have an address like that.");
  } else if (kind === "account" && found.getAttribute("action") === "refuse") {
    said.push("It can't be registered here.");
  } else if (kind === "address" && found.getAttribute("jid") !== found.getAttribute("name").split("/", 1)[0]) {
    said.push(`Servers write this address ${visible(found.getAttribute("jid"))}.`);
  }
  if (!reasons.length && !child(found, "invalid")) {
    const own = childrenOf(found, "is").some((each) => each.getAttribute("about") === "contact");
    said.unshift(own ? "That is one of your contacts." : "Nothing is odd about it, and it looks like nobody you know.");
  }
  return said.join(" ");
}

function sentence(words) {
  return `${words[0].toUpperCase()}${words.slice(1)}.`;
}

function likeNode(like) {
  const jid = like.textContent;
  const handle = like.getAttribute("handle");
  const is = like.localName === "is";
  const about = {
    contact: () => [is ? "It is your contact " : "Your contact ", handle ? coloured(handle, jid) : "without a name", ", ", code(visible(jid))],
    protected: () => [is ? "It is the reserved name " : "The reserved name ", code(visible(jid))],
    domain: () => ["An address of this server: ", code(visible(jid))],
  };
  return node("li", {}, ...(about[like.getAttribute("about")]?.() ?? [code(visible(jid))]));
}

function scriptsIn(part, name) {
  return childrenOf(part, name).map((each) => each.getAttribute("name")).join(", ");
}

function levelWords(level) {
  return LEVELS[level] ? `${level.replaceAll("-", " ")} (${LEVELS[level]})` : level;
}

function partNode(part) {
  const role = part.getAttribute("role");
  const [level, mixing] = [part.getAttribute("level"), part.getAttribute("mixing")];
  const twins = scriptsIn(part, "counterpart");
  const oddities = childrenOf(part, "oddity").map((each) => ODDITIES[each.textContent] ?? each.textContent);
  const facts = [
    ["Scripts", scriptsIn(part, "script") || "none of its own"],
    ["Level", `${levelWords(level)}${level === mixing ? "" : `; by its scripts alone ${levelWords(mixing)}`}`],
    ["Skeleton", code(visible(part.getAttribute("skeleton")))],
    ["Odd", oddities.length ? oddities.join("; ") : "nothing"],
    ["Twins", twins ? `a name that looks the same could be written wholly in ${twins}` : "there is no other script in which the same look could be had"],
  ];
  const title = `${ROLES[role] ?? role}: ${visible(part.getAttribute("text"))}`;
  return node(
    "section",
    { "aria-label": ROLES[role] ?? role, class: "part" },
    node("h2", { class: "plain" }, title),
    node("dl", { class: "facts" }, facts.flatMap(([name, value]) => [node("dt", {}, name), node("dd", {}, value)])),
    node("div", { class: "table", role: "region", tabindex: 0, "aria-label": `Characters: ${ROLES[role] ?? role}` }, tableNode(part)),
  );
}

function tableNode(part) {
  const heads = ["Character", "Code point", "Name", "Script", "Allowed", "Drawn like"];
  const rows = childrenOf(part, "character").map((each) => {
    const text = each.getAttribute("text");
    const like = each.getAttribute("like");
    const allowed = each.getAttribute("allowed") === "true";
    const types = (each.getAttribute("types") ?? "").toLowerCase().replaceAll("_", " ");
    const cells = [
      node("td", { class: "glyph" }, node("bdi", {}, visible(text) === text ? text : "·")),
      node("td", {}, code(each.getAttribute("code"))),
      node("td", {}, each.getAttribute("name")),
      node("td", {}, each.getAttribute("script")),
      node("td", { class: allowed ? "" : "bad" }, allowed ? "yes" : `no: ${types}`),
      node("td", {}, like === null ? "itself" : like === "" ? "nothing" : node("bdi", {}, visible(like))),
    ];
    return node("tr", { class: text > "\u007f" ? "strange" : "" }, cells);
  });
  return node("table", {}, node("thead", {}, node("tr", {}, heads.map((head) => node("th", { scope: "col" }, head)))), node("tbody", {}, rows));
}
