/**
 * Puts the chat into somebody's own page:
 *
 *   <script type="module" src="https://chat.example.org/widget.js" data-room="lobby@rooms.example.org"></script>
 *
 * What the chat is, is in a frame of the chat's own origin: the page around it sees nothing of what is said, and nobody's
 * token. This script only makes the frame and the button that opens it. Attributes of the script element:
 *
 *   data-room   the address of the room, or its name
 *   data-nick   the nickname to suggest
 *   data-place  "corner" (a button that opens the chat, the default) or "here" (in place of the script element)
 *   data-title  what the button and the frame are called
 *   data-height and data-width  in pixels
 *   data-open   the chat is open from the beginning
 */

const base = new URL(".", import.meta.url);

function frameFor(options, title) {
  const url = new URL("widget", base);
  for (const name of ["room", "nick"]) {
    if (options[name]) {
      url.searchParams.set(name, options[name]);
    }
  }
  const frame = document.createElement("iframe");
  frame.src = url.href;
  frame.title = title;
  if (base.origin !== location.origin) {
    frame.setAttribute("sandbox", "allow-scripts allow-same-origin allow-forms allow-popups allow-popups-to-escape-sandbox");
  }
  frame.referrerPolicy = "no-referrer";
  Object.assign(frame.style, { border: "0", width: "100%", height: "100%", colorScheme: "light dark", display: "block" });
  return frame;
}

function pixels(text, otherwise) {
  const number = Number(text);
  return `${number >= 200 && number <= 4000 ? number : otherwise}px`;
}

/** In place of the script element. */
function here(script, options, title) {
  const box = document.createElement("div");
  Object.assign(box.style, { width: options.width ? pixels(options.width, 600) : "100%", maxWidth: "100%", height: pixels(options.height, 520) });
  box.append(frameFor(options, title));
  if (script.parentElement === document.head) {
    document.body.append(box);
  } else {
    script.after(box);
  }
}

/** A button in the corner, and above it the chat. */
function corner(options, title) {
  const button = document.createElement("button");
  const box = document.createElement("div");
  const host = document.createElement("div");
  button.type = "button";
  button.textContent = title;
  button.setAttribute("aria-expanded", "false");
  Object.assign(host.style, { position: "fixed", right: "16px", bottom: "16px", zIndex: "2147483000", maxWidth: "calc(100vw - 32px)", display: "flex", flexDirection: "column", alignItems: "flex-end", gap: "10px" });
  Object.assign(box.style, { width: pixels(options.width, 400), height: pixels(options.height, 560), maxWidth: "100%", maxHeight: "calc(100vh - 96px)", borderRadius: "14px", overflow: "hidden", boxShadow: "0 8px 40px rgb(0 0 0 / 30%)", display: "none" });
  Object.assign(button.style, { font: "600 16px system-ui, sans-serif", padding: "12px 20px", borderRadius: "999px", border: "2px solid #ffffff", background: "#2450a8", color: "#ffffff", cursor: "pointer" });
  const toggle = (open) => {
    if (open && !box.firstChild) {
      box.append(frameFor(options, title)); // not before somebody wants to chat
    }
    box.style.display = open ? "block" : "none";
    button.setAttribute("aria-expanded", String(open));
  };
  button.addEventListener("click", () => toggle(box.style.display === "none"));
  host.append(box, button);
  document.body.append(host);
  toggle("open" in options);
}

for (const script of document.querySelectorAll("script[src]")) {
  if (new URL(script.src, document.baseURI).href === import.meta.url) {
    const options = script.dataset;
    const title = options.title || "Chat with us";
    if (options.place === "here") {
      here(script, options, title);
    } else {
      corner(options, title);
    }
  }
}
