/**
 * Colours for names (XEP-0392): everybody who uses the same algorithm sees the same name in the same colour, and a
 * look-alike of it most likely in another. They are an aid to the eye and prove nothing.
 *
 * HSLuv is a hue, a saturation and a lightness in percent of what a screen can show, such that colours of one lightness
 * look equally light. Here it goes one way: to red, green and blue.
 */

const DISC = 49; // lightness behind a white letter: the document says 50, on which it would be a little hard to read
const INK = { light: 42, dark: 76 }; // of names, on a light and on a dark page
const MOST_KEPT = 2000;
const SETTING = "xmppd-chat:colours";

/** How hues are turned for those who can't tell some of them apart (section 5.2); "off" has none at all. */
export const VISIONS = {
  usual: (hue) => hue,
  "red-green": (hue) => (((hue + 90) % 180) - 90 + 360) % 360,
  blue: (hue) => hue % 180,
  off: () => null,
};

// --- SHA-1, which WebCrypto has only for those who can wait

function rotated(word, bits) {
  return (word << bits) | (word >>> (32 - bits));
}

/** The first two octets of a SHA-1 as a number, the second being the more significant one. */
function lastOf(octets) {
  const length = (((octets.length + 8) >> 6) + 1) << 6;
  const padded = new Uint8Array(length);
  padded.set(octets);
  padded[octets.length] = 0x80;
  const view = new DataView(padded.buffer);
  view.setUint32(length - 4, octets.length << 3);
  let state = [0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0];
  const words = new Int32Array(80);
  for (let block = 0; block < length; block += 64) {
    for (let i = 0; i < 80; i++) {
      words[i] = i < 16 ? view.getInt32(block + 4 * i) : rotated(words[i - 3] ^ words[i - 8] ^ words[i - 14] ^ words[i - 16], 1);
    }
    let [a, b, c, d, e] = state;
    for (let i = 0; i < 80; i++) {
      const round = i < 20 ? ((b & c) | (~b & d)) + 0x5a827999 : i < 40 ? (b ^ c ^ d) + 0x6ed9eba1 : i < 60 ? ((b & c) | (b & d) | (c & d)) + 0x8f1bbcdc : (b ^ c ^ d) + 0xca62c1d6;
      [a, b, c, d, e] = [(rotated(a, 5) + round + e + words[i]) | 0, a, rotated(b, 30), c, d];
    }
    state = [a, b, c, d, e].map((word, i) => (word + state[i]) | 0);
  }
  return (state[0] >>> 24) | ((state[0] >>> 8) & 0xff00);
}

/** The hue of a text, in degrees (section 5.1). */
export function hueOf(text) {
  return (lastOf(new TextEncoder().encode(text)) / 65536) * 360;
}

// --- HSLuv

const FROM_XYZ = [
  [3.240969941904521, -1.537383177570093, -0.498610760293],
  [-0.96924363628087, 1.87596750150772, 0.041555057407175],
  [0.055630079696993, -0.20397695888897, 1.056971514242878],
];
const WHITE = { u: 0.19783000664283, v: 0.46831999493879 };
const KAPPA = 903.2962962;
const EPSILON = 0.0088564516;

/** How far one can go from grey in some direction before the screen has no such colour. */
function mostChroma(lightness, angle) {
  const cube = (lightness + 16) ** 3 / 1560896;
  const scale = cube > EPSILON ? cube : lightness / KAPPA;
  const lengths = FROM_XYZ.flatMap(([x, y, z]) =>
    [0, 1].map((bound) => {
      const below = (632260 * z - 126452 * y) * scale + 126452 * bound;
      const slope = ((284517 * x - 94839 * z) * scale) / below;
      const start = ((838422 * z + 769860 * y + 731718 * x) * lightness * scale - 769860 * bound * lightness) / below;
      return start / (Math.sin(angle) - slope * Math.cos(angle));
    }),
  );
  return Math.min(...lengths.filter((length) => length >= 0));
}

/** Red, green and blue from 0 to 1, of a hue in degrees, saturation and lightness in percent. */
export function rgbOf(hue, saturation, lightness) {
  const angle = (hue * Math.PI) / 180;
  const chroma = (mostChroma(lightness, angle) * saturation) / 100;
  const u = (chroma * Math.cos(angle)) / (13 * lightness) + WHITE.u;
  const v = (chroma * Math.sin(angle)) / (13 * lightness) + WHITE.v;
  const y = lightness > 8 ? ((lightness + 16) / 116) ** 3 : lightness / KAPPA;
  const x = (9 * y * u) / (4 * v);
  const z = (9 * y - 15 * v * y - v * x) / (3 * v);
  return FROM_XYZ.map((row) => row[0] * x + row[1] * y + row[2] * z).map((linear) => {
    const seen = linear <= 0.0031308 ? 12.92 * linear : 1.055 * linear ** (1 / 2.4) - 0.055;
    return Math.min(Math.max(seen, 0), 1);
  });
}

// --- what the page takes

let vision = "usual";
const known = new Map();

/** What the user wants to see, as kept in the browser. */
export function recallVision() {
  try {
    const kept = localStorage.getItem(SETTING);
    vision = Object.hasOwn(VISIONS, kept) ? kept : "usual";
  } catch {
    vision = "usual"; // a browser that keeps nothing
  }
  return vision;
}

/** The user wants to see something else from now on. */
export function setVision(name) {
  vision = name;
  known.clear();
  try {
    localStorage.setItem(SETTING, name);
  } catch {
    // then it is for this page only
  }
}

function css(hue, lightness) {
  return `rgb(${rgbOf(hue, 100, lightness).map((part) => Math.round(part * 255)).join(" ")})`;
}

/** The colours of a name as style sheets write them: { disc, light, dark }; null if the user wants none. */
export function coloursOf(name) {
  if (!known.has(name)) {
    if (known.size >= MOST_KEPT) {
      known.clear();
    }
    const hue = VISIONS[vision](hueOf(name));
    known.set(name, hue === null ? null : { disc: css(hue, DISC), light: css(hue, INK.light), dark: css(hue, INK.dark) });
  }
  return known.get(name);
}
