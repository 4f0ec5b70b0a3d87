/**
 * The client's side of the SASL mechanisms that a browser can do: ANONYMOUS for guests, SCRAM-SHA-256 for accounts, HT for
 * those who come back with a token. All that is secret is worked on by WebCrypto.
 *
 * A mechanism has a name; first() answers what it says first, or null; next(challenge) what it says to a challenge; and
 * finish(data) throws SaslError if the server doesn't prove that it knows the secret, too.
 */

const encoder = new TextEncoder();
const decoder = new TextDecoder();

const LEAST_ROUNDS = 4096; // RFC 7677 section 4
const MOST_ROUNDS = 10_000_000; // more would only keep the browser busy

/** The exchange doesn't go as it has to. */
export class SaslError extends Error {
  /** @param {string} condition a word that SASL has for it. */
  constructor(condition, text = "") {
    super(text || condition);
    this.condition = condition;
  }
}

export function toBase64(bytes) {
  return btoa(Array.from(bytes, (octet) => String.fromCharCode(octet)).join(""));
}

export function fromBase64(text) {
  return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
}

async function hmac(key, data) {
  const imported = await crypto.subtle.importKey("raw", key, { name: "HMAC", hash: "SHA-256" }, false, ["sign"]);
  return new Uint8Array(await crypto.subtle.sign("HMAC", imported, data));
}

function xor(one, other) {
  return one.map((octet, index) => octet ^ other[index]);
}

function same(one, other) {
  return one.length === other.length && xor(one, other).reduce((sum, octet) => sum | octet, 0) === 0;
}

/** Guests have nothing to say (RFC 4505); what they could say is for tracing them. */
export class Anonymous {
  name = "ANONYMOUS";

  async first() {
    return null;
  }

  async next() {
    return new Uint8Array();
  }

  async finish() {}
}

/** RFC 5802 and 7677, without channel binding: no script can see what TLS has agreed on. */
export class Scram {
  name = "SCRAM-SHA-256";

  constructor(username, password, nonce = toBase64(crypto.getRandomValues(new Uint8Array(18)))) {
    this._password = password.normalize("NFKC");
    this._nonce = nonce;
    this._bare = `n=${username.normalize("NFKC").replaceAll("=", "=3D").replaceAll(",", "=2C")},r=${nonce}`;
    this._signature = null;
  }

  async first() {
    return encoder.encode(`n,,${this._bare}`);
  }

  async next(challenge) {
    const serverFirst = decoder.decode(challenge);
    const parts = new Map(serverFirst.split(",").map((part) => [part[0], part.slice(2)]));
    const nonce = parts.get("r") ?? "";
    const rounds = Number(parts.get("i"));
    if (this._signature !== null || parts.has("m") || !nonce.startsWith(this._nonce) || nonce === this._nonce) {
      throw new SaslError("malformed-request", "The server's answer is not what SCRAM wants.");
    }
    if (!(rounds >= LEAST_ROUNDS && rounds <= MOST_ROUNDS)) {
      throw new SaslError("malformed-request", "The server asks for a number of rounds that is not safe.");
    }
    const salted = await this._salted(fromBase64(parts.get("s")), rounds);
    const clientKey = await hmac(salted, encoder.encode("Client Key"));
    const storedKey = new Uint8Array(await crypto.subtle.digest("SHA-256", clientKey));
    const withoutProof = `c=biws,r=${nonce}`;
    const message = encoder.encode(`${this._bare},${serverFirst},${withoutProof}`);
    const proof = xor(clientKey, await hmac(storedKey, message));
    this._signature = await hmac(await hmac(salted, encoder.encode("Server Key")), message);
    this._password = "";
    return encoder.encode(`${withoutProof},p=${toBase64(proof)}`);
  }

  async finish(data) {
    const text = data === null ? "" : decoder.decode(data);
    if (this._signature === null || !text.startsWith("v=") || !same(fromBase64(text.slice(2).split(",")[0]), this._signature)) {
      throw new SaslError("not-authorized", "The server could not prove that it knows your password; it has not learnt it either.");
    }
  }

  async _salted(salt, iterations) {
    const key = await crypto.subtle.importKey("raw", encoder.encode(this._password), "PBKDF2", false, ["deriveBits"]);
    return new Uint8Array(await crypto.subtle.deriveBits({ name: "PBKDF2", hash: "SHA-256", salt, iterations }, key, 256));
  }
}

/** A token stands in for the password (XEP-0484), or for a guest who has none. */
export class HashedToken {
  name = "HT-SHA-256-NONE";

  constructor(username, token) {
    this._username = username;
    this._token = encoder.encode(token);
  }

  async first() {
    const name = encoder.encode(this._username);
    const proof = await hmac(this._token, encoder.encode("Initiator"));
    return Uint8Array.from([...name, 0, ...proof]);
  }

  async next() {
    throw new SaslError("malformed-request", "There is nothing more to say.");
  }

  async finish(data) {
    if (data === null || !same(data, await hmac(this._token, encoder.encode("Responder")))) {
      throw new SaslError("not-authorized", "The server could not prove that it knows the token.");
    }
  }
}
