// Scenes with Strophe.js, the library of most web clients: by BOSH or by WebSocket, whatever the URL says. Python's
// tests/interop/test_web.py starts it with the folder where npm has put its packages, and a JSON of facts.
import { createRequire } from "node:module";
import http from "node:http";
import https from "node:https";
import { pathToFileURL } from "node:url";

const [folder, facts] = [process.argv[2], JSON.parse(process.argv[3])];
const require = createRequire(pathToFileURL(folder + "/").href);

// What a browser has and Node.js lacks, as far as Strophe wants it.
class XMLHttpRequest {
  readyState = 0;
  status = 0;
  responseText = "";
  _headers = {};
  open(method, url) {
    this._method = method;
    this._url = new URL(url);
    this.readyState = 1;
  }
  setRequestHeader(name, value) {
    this._headers[name] = value;
  }
  overrideMimeType() {}
  abort() {
    this.onreadystatechange = null;
    this._request?.destroy();
  }
  getResponseHeader() {
    return null;
  }
  getAllResponseHeaders() {
    return "";
  }
  get responseXML() {
    const { DOMParser } = require("@xmldom/xmldom");
    return this.responseText ? new DOMParser().parseFromString(this.responseText, "text/xml") : null;
  }
  send(data) {
    const body = Buffer.from(data ?? "");
    const options = { method: this._method, headers: { ...this._headers, "Content-Length": body.length } };
    const library = this._url.protocol === "https:" ? https : http;
    this._request = library.request(this._url, options, (response) => {
      this.status = response.statusCode;
      const parts = [];
      response.on("data", (part) => parts.push(part));
      response.on("end", () => {
        this.responseText = Buffer.concat(parts).toString("utf-8");
        this.readyState = 4;
        this.onreadystatechange?.();
      });
    });
    this._request.on("error", () => {
      this.readyState = 4;
      this.onreadystatechange?.();
    });
    this._request.end(body);
  }
}
globalThis.XMLHttpRequest = XMLHttpRequest;

const library = require.resolve("strophe.js").replace(/strophe\.cjs$/, "strophe.node.esm.js");
const { Strophe, $pres, $msg } = await import(pathToFileURL(library).href);

const seen = { statuses: [], bodies: [] };
const names = Object.fromEntries(Object.entries(Strophe.Status).map(([name, value]) => [value, name]));
const connection = new Strophe.Connection(facts.url, { wait: 10, hold: 1 });

function finish(code) {
  console.log(JSON.stringify(seen));
  process.exit(code);
}

setTimeout(() => finish(1), facts.seconds * 1000);

connection.connect(facts.jid, facts.password, (status, condition) => {
  seen.statuses.push(names[status]);
  if (status === Strophe.Status.CONNECTED) {
    seen.jid = connection.jid;
    connection.addHandler(
      (message) => {
        seen.bodies.push(message.getElementsByTagName("body")[0]?.textContent ?? "");
        if (seen.bodies.length === facts.messages) connection.disconnect("done");
        return true;
      },
      null,
      "message",
    );
    connection.send($pres());
    for (let number = 1; number <= facts.messages; number++)
      connection.send($msg({ to: connection.jid, type: "chat" }).c("body").t(`${number} <&> \u{1F60A}`));
  } else if (status === Strophe.Status.DISCONNECTED || status === Strophe.Status.AUTHFAIL) {
    if (condition) seen.condition = String(condition);
    finish(0);
  }
});
