/**
 * Who is behind a remote address, for limits.
 */
import { isIPv6 } from "node:net"

const groups = (text: string) => text === "" ? [] : text.split(":")

/** The address; of IPv6 its first 64 bits, because whoever has one address there has all of that network. */
export const originOf = (address: string): string => {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1]
  if (mapped !== undefined || !isIPv6(address) || address === "::1") return mapped ?? address
  const [head = "", tail] = address.replace(/%.*$/, "").split("::")
  if (tail === undefined) return groups(head).slice(0, 4).join(":")
  const missing = 8 - groups(head).length - groups(tail).length
  return [...groups(head), ...Array.from({ length: missing }, () => "0"), ...groups(tail)].slice(0, 4).join(":")
}
