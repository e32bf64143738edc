// The page's texts: one file per language (en.json), which the index brings along.

const TEXTS = JSON.parse(document.getElementById("texts").textContent);
export const LANGUAGE = document.documentElement.lang;
export const CURRENCY = TEXTS.currency;

const plural = new Intl.PluralRules(LANGUAGE);
const integers = new Intl.NumberFormat(LANGUAGE);

const find = (name) => name.split(".").reduce((found, part) => found?.[part], TEXTS);

export const knows = (name) => find(name) !== undefined;

/** Return a text with its {values} filled in; the value `n` chooses between its plural forms. */
export function t(name, values = {}) {
  const found = find(name);
  const text = typeof found === "object" ? (found[plural.select(Number(values.n))] ?? found.other) : found;
  if (text === undefined) {
    console.error(`There is no text ${name}.`);
    return name;
  }
  return text.replace(/\{(\w+)\}/g, (_, key) => {
    const value = values[key];
    return typeof value === "number" ? integers.format(value) : String(value ?? "");
  });
}

/** Return the text for a word of the API; a word that we do not know, as a person would write it. */
export function say(group, word) {
  const found = find(group)?.[word]; // a word may have dots of its own
  return typeof found === "string" ? found : String(word ?? "").replaceAll(/[_-]+/g, " ");
}

/** The same, as a title. */
export function sayTitle(group, word) {
  const text = say(group, word);
  return text.charAt(0).toUpperCase() + text.slice(1).toLowerCase();
}
