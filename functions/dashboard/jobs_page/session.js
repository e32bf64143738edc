// Who is signed in: with a key, which is kept as long as the tab and nowhere else, or by
// Shopify's ID token, of which App Bridge has a fresh one for each call.

/** Wrap a storage that may be forbidden (frames): then things last until the page is left. */
function storage(name) {
  const held = new Map();
  const real = () => globalThis[name];
  return {
    get(key) {
      try {
        return real().getItem(`jobs.${key}`);
      } catch {
        return held.get(key) ?? null;
      }
    },
    set(key, value) {
      try {
        if (value === null) real().removeItem(`jobs.${key}`);
        else real().setItem(`jobs.${key}`, value);
      } catch {
        held.set(key, value);
      }
    },
  };
}

/** What the reader likes. It stays on this device; nothing in it is secret. */
export const taste = storage("localStorage");
/** What is forgotten with the tab. */
export const memory = storage("sessionStorage");

export const session = {
  isEmbedded: document.querySelector("meta[name=shopify-api-key]") !== null,
  /** The shop as GET /api/shop tells it, or null. */
  shop: null,

  get key() {
    return memory.get("key");
  },
  get isAdmin() {
    return memory.get("admin") !== null;
  },
  get isKnown() {
    return this.isEmbedded || this.key !== null;
  },

  begin(key, { isAdmin = false } = {}) {
    memory.set("key", key);
    memory.set("admin", isAdmin ? "yes" : null);
  },
  end() {
    this.begin(null);
    memory.set("followed", null); // whoever comes next may be of another shop
    this.shop = null;
  },

  /** Return what to call with, or null. */
  async credential() {
    return this.isEmbedded ? ((await globalThis.shopify?.idToken?.()) ?? null) : this.key;
  },
};
