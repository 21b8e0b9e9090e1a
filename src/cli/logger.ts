/**
 * The log of the binary: on stderr, because stdout carries data; one line per message, for people and for a journal.
 */
import { Cause, HashMap, Inspectable, type Layer, Logger } from "effect"
import { printable } from "../internal/oneLine.ts"

const words = (message: unknown): string =>
  (Array.isArray(message) ? message : [message])
    .map((part) => Inspectable.toStringUnknown(part, 0))
    .join(" ")

/** A logger over what writes one line and never waits. */
export const make = (write: (line: string) => void): Logger.Logger<unknown, void> =>
  Logger.make(({ annotations, cause, logLevel, message }) => {
    const notes = HashMap.toEntries(annotations).map(([key, value]) =>
      ` ${key}=${Inspectable.toStringUnknown(value, 0)}`
    )
    const trouble = Cause.isEmpty(cause) ? "" : `: ${Cause.pretty(cause)}`
    write(printable(`quiesce: ${logLevel.label.toLowerCase()}: ${words(message)}${notes.join("")}${trouble}\n`))
  })

/** Takes the place of the default logger, which writes to stdout. */
export const layer: Layer.Layer<never> = Logger.replace(
  Logger.defaultLogger,
  make((line) => {
    if (process.stderr.writable) process.stderr.write(line)
  })
)
