/**
 * What a tab keeps over a reload. sessionStorage belongs to one tab, so that several tabs are separate guests; but a tab
 * that is duplicated begins with a copy. A lock of the browser's, held as long as a page lives, tells the copy that it is
 * one: it begins anew.
 */

const KEY = "xmppd-chat";
const TRIES = 30;
const PAUSE = 100; // milliseconds; the page before this one may hold the lock for a moment longer

export class Keeping {
  /** @param {string} scope what keeps the page and a widget of the same site apart. */
  constructor(scope) {
    this._key = `${KEY}:${scope}`;
    this._letGo = null;
  }

  /** What was kept, if it is ours alone; or null. */
  async recall() {
    const kept = this._read();
    if (kept !== null && (await this._hold(kept.agent))) {
      return kept;
    }
    this._remove();
    return null;
  }

  /** Begin to keep something for a new client; answers its UUID. */
  async begin() {
    this.forget();
    const agent = crypto.randomUUID();
    await this._hold(agent);
    return agent;
  }

  /** Keep something in place of what was kept; answers whether there was room for it. */
  keep(value) {
    try {
      sessionStorage.setItem(this._key, JSON.stringify(value));
      return true;
    } catch {
      this._remove(); // an old token would be worse than none
      return false;
    }
  }

  forget() {
    this._remove();
    this._letGo?.();
    this._letGo = null;
  }

  _read() {
    try {
      return JSON.parse(sessionStorage.getItem(this._key));
    } catch {
      return null;
    }
  }

  _remove() {
    try {
      sessionStorage.removeItem(this._key);
    } catch {
      // then there is nothing to remove
    }
  }

  async _hold(agent) {
    if (!navigator.locks) {
      return true;
    }
    for (let tries = 0; tries < TRIES; tries++) {
      if (await this._try(agent)) {
        return true;
      }
      await new Promise((resolve) => setTimeout(resolve, PAUSE));
    }
    return false;
  }

  _try(agent) {
    return new Promise((resolve) => {
      navigator.locks
        .request(`${this._key}:${agent}`, { ifAvailable: true }, (lock) => {
          resolve(lock !== null);
          return lock === null ? null : new Promise((letGo) => (this._letGo = letGo));
        })
        .catch(() => resolve(true));
    });
  }
}
