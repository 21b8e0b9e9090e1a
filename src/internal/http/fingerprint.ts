/**
 * Fingerprints of certificates: SHA-256 over the DER leaf certificate, upper-case hexadecimal, in pairs with colons, as
 * Proxmox VE, openssl and Node print it.
 */
import { Schema } from "effect"

/** A fingerprint of a certificate. Lower case is read too. */
export const Fingerprint = Schema.String.pipe(
  Schema.pattern(/^([0-9A-Fa-f]{2}:){31}[0-9A-Fa-f]{2}$/, {
    message: () => "expected a SHA-256 fingerprint: 32 pairs of hexadecimal digits with colons (AA:BB:...)"
  })
)

/** Whether both name the same certificate. */
export const isSame = (a: string, b: string): boolean => a.toUpperCase() === b.toUpperCase()
