/**
 * JSON that is nested deeper than anybody means it. It can be parsed, but what then goes through the value, as a message
 * about it does, calls itself for every level, and a RangeError is no error that anybody expects.
 */

/** Levels. The deepest answer of a Docker engine has about ten. */
const deepest = 100

const [quote, backslash] = [34, 92]

/** Whether the text, taken for JSON, is nested too deep. Takes no more time than the text is long. */
export const isTooDeep = (text: string): boolean => {
  let depth = 0
  let inText = false
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at)
    if (inText) {
      if (code === backslash) at++
      else if (code === quote) inText = false
    } else if (code === quote) inText = true
    // [ and {, ] and }
    else if (code === 91 || code === 123) {
      if (++depth > deepest) return true
    } else if (code === 93 || code === 125) depth--
  }
  return false
}
