/**
 * What others have said, as one line of a message or a log: without what a terminal or a journal would take for an
 * order, and no longer than a person reads.
 */
const longest = 500

// all control characters but tab and newline: an escape could move the cursor, or change what a terminal has shown
const orders = /[^\P{C}\t\n\u200d]/gu

/** Text of others, in its lines, without what a terminal would take for an order. */
export const printable = (text: string): string => text.replaceAll("\r\n", "\n").replace(orders, "\ufffd")

/** One line of the text. What is of no use is cut off before it is looked at. */
export const oneLine = (text: string): string =>
  text.slice(0, 4 * longest).replace(/[\s\p{C}]+/gu, " ").trim().slice(0, longest).replace(/[\ud800-\udbff]$/, "")
