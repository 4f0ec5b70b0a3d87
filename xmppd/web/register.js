/**
 * Making an account (XEP-0077): on a connection of its own, before any login.
 */

import { Connection } from "./connection.js";
import { Refusal, fromStanza } from "./refusals.js";
import { NS, child, x } from "./xml.js";

const WORDS = {
  conflict: "There is an account by that name already. Think of another one.",
  "jid-malformed": "That can't be the name of an account.",
  "not-acceptable": "That can't be the name or the password of an account.",
  "not-allowed": "One has to be invited to create an account here.",
  "resource-constraint": "No more accounts can be created from here at the moment. Try again later.",
};

/** Make an account. Rejects with a Refusal or Disconnected. */
export async function register(url, domain, username, password) {
  const what = `To create the account ${username}`;
  const connection = new Connection(url);
  await connection.connect();
  try {
    const features = await connection.open(domain);
    if (child(features, "register", NS.REGISTER_FEATURE) === null) {
      throw new Refusal(what, "service-unavailable", "This server doesn't let people create accounts at the moment.");
    }
    const query = x("query", { xmlns: NS.REGISTER }, x("username", {}, username), x("password", {}, password));
    connection.send(x("iq", { xmlns: NS.CLIENT, type: "set", id: "register", to: domain }, query));
    const answer = await connection.next();
    if (answer.getAttribute("type") !== "result") {
      const refusal = fromStanza(answer, what);
      throw Object.assign(refusal, { words: WORDS[refusal.condition] ?? refusal.words });
    }
  } finally {
    connection.close();
  }
}
