/**
 * XMPP over a WebSocket (RFC 7395): one connection, one stream, whole elements in both directions.
 *
 * While a login is under way it asks for one element after the other with next(); then attach() hands all that follows to
 * a session. Nothing is lost in between: what nobody has asked for yet waits.
 */

import { NS, is, parse, x } from "./xml.js";

const PATIENCE = 20_000; // milliseconds to wait for an answer during the login

/** The connection is over, or never was. */
export class Disconnected extends Error {}

export class Connection {
  /** @param {string} url of the WebSocket. */
  constructor(url) {
    this.url = url;
    this.closed = false;
    this.opened = null; // the server's <open/>
    this._socket = null;
    this._waiting = []; // elements nobody has asked for
    this._asking = null; // who waits for the next one
    this._receive = null;
    this._ended = null;
  }

  /** Connect. Rejects with Disconnected. */
  connect() {
    return new Promise((resolve, reject) => {
      const socket = (this._socket = new WebSocket(this.url, "xmpp"));
      const timer = setTimeout(() => socket.close(), PATIENCE);
      socket.onopen = () => {
        clearTimeout(timer);
        resolve();
      };
      socket.onmessage = (event) => this._came(event.data);
      socket.onclose = () => {
        clearTimeout(timer);
        reject(new Disconnected("The server can't be reached."));
        this._over();
      };
    });
  }

  /** Open a stream, or the next one on the same connection; answers its features. */
  async open(domain) {
    this.send(x("open", { xmlns: NS.FRAMING, to: domain, version: "1.0", "xml:lang": navigator.language }));
    this.opened = await this.next();
    if (!is(this.opened, "open", NS.FRAMING)) {
      throw new Disconnected("The server doesn't open a stream.");
    }
    return this.next();
  }

  /** The next element. Rejects with Disconnected, after a while too. */
  next() {
    if (this._waiting.length) {
      return Promise.resolve(this._waiting.shift());
    }
    if (this.closed) {
      return Promise.reject(new Disconnected("The connection is lost."));
    }
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        reject(new Disconnected("The server doesn't answer."));
        this.drop();
      }, PATIENCE);
      this._asking = { resolve, reject, timer };
    });
  }

  /**
   * From now on elements go to `receive`, and the end of the connection to `ended`. What has come already goes there
   * first.
   */
  attach(receive, ended) {
    this._receive = receive;
    this._ended = ended;
    for (const element of this._waiting.splice(0)) {
      receive(element);
    }
    if (this.closed) {
      ended();
    }
  }

  /** Send an element; into nowhere if the connection is lost. */
  send(markup) {
    if (this._socket?.readyState === WebSocket.OPEN) {
      this._socket.send(String(markup));
    }
  }

  /** End the stream, and with it the session. */
  close() {
    this.send(x("close", { xmlns: NS.FRAMING }));
    this.drop();
  }

  /** End the connection alone: a session may be resumed over another one. */
  drop() {
    this._socket?.close(1000);
  }

  _came(data) {
    let element;
    try {
      element = parse(data);
    } catch {
      this.drop();
      return;
    }
    if (is(element, "close", NS.FRAMING)) {
      this.drop();
    } else if (this._receive) {
      this._receive(element);
    } else if (this._asking) {
      const asking = this._asking;
      this._asking = null;
      clearTimeout(asking.timer);
      asking.resolve(element);
    } else {
      this._waiting.push(element);
    }
  }

  _over() {
    if (this.closed) {
      return;
    }
    this.closed = true;
    if (this._asking) {
      clearTimeout(this._asking.timer);
      this._asking.reject(new Disconnected("The connection is lost."));
      this._asking = null;
    }
    this._ended?.();
  }
}
