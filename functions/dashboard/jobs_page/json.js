// JSON as it was written: JavaScript would round integers beyond 2^53.

/** Read JSON so that writing it again gives the same numbers. Raises SyntaxError. */
export const parseExactly = (text) =>
  JSON.parse(text, (_, value, context) =>
    Number.isInteger(value) && !Number.isSafeInteger(value) ? JSON.rawJSON(context.source) : value);
