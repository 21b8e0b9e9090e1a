/**
 * Unions of tagged values, read from JSON that anybody may have written.
 */
import { Predicate, Schema } from "effect"

/**
 * Whether the tag, where there is one, can be one. The decoder of a union makes a text of whatever stands there, and for
 * `{"_tag":{"toString":0}}` that throws (effect 3.22): a defect in the place of an error.
 */
export const isPlain = (value: unknown): boolean =>
  !Predicate.hasProperty(value, "_tag") || typeof value._tag === "string"

const Plain = Schema.parseJson().pipe(Schema.filter(isPlain, { message: () => "expected a tag that is a text" }))

/** JSON of one of the members of the union. */
export const tagged = <A, I>(union: Schema.Schema<A, I>): Schema.Schema<A, string> =>
  Schema.compose(Plain, union, { strict: false })
