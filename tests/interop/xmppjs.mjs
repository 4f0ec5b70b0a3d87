// A scene with xmpp.js over a WebSocket, with the stream lost and resumed. Arguments as for strophe.mjs.
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const [folder, facts] = [process.argv[2], JSON.parse(process.argv[3])];
const require = createRequire(pathToFileURL(folder + "/").href);
globalThis.WebSocket ??= require("ws").WebSocket;
const { client, xml } = await import(pathToFileURL(require.resolve("@xmpp/client")).href);

const xmpp = client({
  service: facts.url,
  domain: facts.jid.split("@")[1],
  resource: "xmppjs",
  username: facts.jid.split("@")[0],
  password: facts.password,
});
xmpp.reconnect.delay = 100;
const seen = { bodies: [], errors: [], online: 0, resumed: 0 };

function finish(code) {
  console.log(JSON.stringify(seen));
  process.exit(code);
}

setTimeout(() => finish(1), facts.seconds * 1000);

xmpp.on("error", (error) => seen.errors.push(String(error)));
xmpp.on("online", async (jid) => {
  seen.online++;
  seen.jid = jid.toString();
  await xmpp.send(xml("presence"));
  setTimeout(() => xmpp.socket.socket.close(), 500); // the page is lost, not the stream
});
xmpp.streamManagement?.on("resumed", async () => {
  seen.resumed++;
  for (let number = 1; number <= facts.messages; number++)
    await xmpp.send(xml("message", { to: seen.jid, type: "chat" }, xml("body", {}, `${number} <&>`)));
});
xmpp.on("stanza", async (stanza) => {
  if (!stanza.is("message")) return;
  seen.bodies.push(stanza.getChildText("body"));
  if (seen.bodies.length === facts.messages) {
    await xmpp.stop();
    finish(0);
  }
});
await xmpp.start().catch((error) => seen.errors.push(String(error)));
