/**
 * Stream management (XEP-0198): both sides count stanzas, so that after a lost connection, or when the page was loaded
 * again, each can send what the other has not got.
 */

import { NS, x } from "./xml.js";

const ASK_EVERY = 5; // stanzas sent
const MODULUS = 2 ** 32;

export class Management {
  /**
   * @param {string|null} id to resume by; null if that can't be.
   * @param {number} seconds for which it can.
   */
  constructor(id, seconds) {
    this.id = id;
    this.seconds = seconds;
    this.received = 0; // stanzas that have come
    this.acknowledged = 0; // stanzas of ours that the server has
    this.sent = []; // the text of those of which we don't know
    this.resumptions = 0;
    this._since = 0;
  }

  /** A stanza is sent; answers whether to ask the server how many it has got. */
  sending(text) {
    this.sent.push(text);
    this._since += 1;
    if (this._since < ASK_EVERY && this.sent.length > 1) {
      return false;
    }
    this._since = 0;
    return true;
  }

  /** The server has got so many. */
  acknowledge(count) {
    const more = (count - this.acknowledged + MODULUS) % MODULUS;
    if (more <= this.sent.length) {
      this.sent.splice(0, more);
      this.acknowledged = count;
    }
  }

  /** The answer to the server's question. */
  answer() {
    return x("a", { xmlns: NS.SM, h: this.received });
  }

  /** What has to be kept to go on later. */
  toJSON() {
    const { id, seconds, received, acknowledged, sent, resumptions } = this;
    return { id, seconds, received, acknowledged, sent, resumptions };
  }

  static from(kept) {
    return Object.assign(new Management(kept.id, kept.seconds), kept);
  }
}

export const REQUEST = x("r", { xmlns: NS.SM });
