/**
 * What others have said, as one line of a message or a log: without what a terminal or a journal would take for an
 * order, and no longer than a person reads.
 */
const longest = 500

// all control characters but tab and newline: an escape could move the cursor, or change what a terminal has shown
const orders = /[^\P{C}\t\n\u200d]/gu

/** Text of others, in its lines, without what a terminal would take for an order. */
export const printable = (text: string): string => text.replaceAll("\r\n", "\n").replace(orders, "\ufffd")

/** The text without line ends and other control characters: a space is in their place. */
export const unbroken = (text: string): string => text.replace(/\p{Cc}+/gu, " ")

/** Words with a space between them: no white space of another kind, and nothing that is not seen. */
export const words = (text: string): string => text.replace(/[\s\p{C}]+/gu, " ")

/** One line of the text. What is of no use is cut off before it is looked at. */
export const oneLine = (text: string): string =>
  words(text.slice(0, 4 * longest)).trim().slice(0, longest).replace(/[\ud800-\udbff]$/, "")
