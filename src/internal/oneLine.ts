/**
 * What others have said, as one line of a message or a log: without what a terminal or a journal would take for an
 * order, and no longer than a person reads.
 */
const longest = 500

/** One line of the text. What is of no use is cut off before it is looked at. */
export const oneLine = (text: string): string =>
  text.slice(0, 4 * longest).replace(/[\s\p{C}]+/gu, " ").trim().slice(0, longest).replace(/[\ud800-\udbff]$/, "")
