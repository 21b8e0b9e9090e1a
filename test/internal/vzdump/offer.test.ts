import { assert, describe, it } from "@effect/vitest"
import * as GuestConfig from "../../../src/internal/vzdump/guestConfig.ts"
import * as Offer from "../../../src/internal/vzdump/offer.ts"
import * as Storages from "../../../src/internal/vzdump/storages.ts"

const storages = Storages.parse(`dir: local
\tpath /var/lib/vz
\tcontent iso,vztmpl,backup

zfspool: tank
\tpool rpool/data
\tsparse

btrfs: disks
\tpath /mnt/disks
\tcontent images rootdir

pbs: pbs-1
\tdatastore x
\tcontent backup

nfs: nas
\tcontent backup
\tdisable
`)

const container = `#a description: of many
arch: amd64
hostname: app
rootfs: tank:subvol-100-disk-0,size=8G
mp0: tank:subvol-100-disk-1,mp=/data,backup=1,size=8G
mp1: /mnt/bind,mp=/mnt/x
mp2: tank:subvol-100-disk-2,mp=/scratch,size=8G
unprivileged: 1

[vzdump]
lock: old
rootfs: disks:100/vm-100-disk-0.subvol,size=0T
`

const machine = `name: web
scsi0: local:200/vm-200-disk-0.raw,iothread=1,size=32G
scsi1: local:200/vm-200-disk-1.raw,backup=0,size=32G
ide2: local:iso/debian.iso,media=cdrom,backup=0
[PENDING]
scsi2: local:200/vm-200-disk-2.raw,backup=0
`

type Config = Parameters<typeof Offer.make>[0]

const offer = (type: "lxc" | "qemu", text: string, config: Partial<Config> = {}, known = storages) => {
  const found = Offer.make({ vmid: 100, storage: "local", ...config }, GuestConfig.parse(type, text), known)
  return "refusal" in found ? found.refusal : found
}

describe("what a vzdump would do", () => {
  it("reads the guest as it is now, without its snapshots", () => {
    const guest = GuestConfig.parse("lxc", container)
    assert.isUndefined(guest.lock)
    assert.strictEqual(guest.settings.get("rootfs"), "tank:subvol-100-disk-0,size=8G")
    assert.strictEqual(GuestConfig.parse("lxc", `lock: backup\r\n${container}`).lock, "backup")
    assert.strictEqual(GuestConfig.parse("lxc", "").lock, undefined)
  })

  it("of a container: the mode by its storages, and what is not in the backup", () => {
    assert.deepStrictEqual(offer("lxc", container), {
      mode: "snapshot",
      snapshotter: "vzdump",
      notes: [
        "mp1 (/mnt/x) is not in the backup: '/mnt/bind' is of the host, not a volume",
        "mp2 (/scratch) is not in the backup: it has no backup=1"
      ]
    })
    assert.deepInclude(offer("lxc", container, {}, new Map()), { mode: undefined })
    const slow = offer("lxc", container.replace("mp0: tank", "mp0: local"))
    assert.deepInclude(slow, { mode: "suspend" })
    assert.match(typeof slow === "string" ? slow : slow.notes.join(), /no snapshot can be taken of mp0 on local/)
    // what is left out of the backup does not count
    assert.deepInclude(offer("lxc", container.replace("mp2: tank", "mp2: local")), { mode: "snapshot" })
    const stop = offer("lxc", container, { mode: "stop" })
    assert.deepInclude(stop, { mode: "stop" })
    assert.match(typeof stop === "string" ? stop : stop.notes.join(), /quiesce recover/)
  })

  it("of a container on a btrfs subvolume: none in mode snapshot", () => {
    const subvolume = container.replace(/^rootfs: .*$/m, "rootfs: disks:100/vm-100-disk-0.subvol,size=0T")
    assert.match(`${offer("lxc", subvolume)}`, /rootfs is a subvolume on btrfs .*use mode suspend/)
    assert.deepInclude(offer("lxc", subvolume, { mode: "suspend" }), { mode: "suspend" })
    assert.deepInclude(offer("lxc", subvolume.replace("0.subvol,size=0T", "0.raw,size=8G")), { mode: "snapshot" })
  })

  it("of a machine: it needs nothing of its storage, but fleecing is told of", () => {
    const plain = offer("qemu", machine)
    assert.deepInclude(plain, { mode: "snapshot" })
    assert.deepStrictEqual(typeof plain === "string" ? [] : plain.notes.map((note) => note.split(":")[0]), [
      "scsi1 is not in the backup",
      "without fleecing, what the machine overwrites during the backup waits for the backup's storage (fleecingStorage)"
    ])
    const fleecing = offer("qemu", machine, { fleecingStorage: "tank" })
    assert.strictEqual(typeof fleecing === "string" ? 0 : fleecing.notes.length, 1)
  })

  it("says that the guest is locked, and how to unlock it", () => {
    const locked = offer("qemu", `lock: backup\n${machine}`, { vmid: 200 })
    assert.match(typeof locked === "string" ? locked : locked.notes.join(), /locked \(backup\): .*qm unlock 200/)
  })

  it("refuses a storage that takes no backups", () => {
    assert.strictEqual(offer("lxc", container, { storage: "none" }), "there is no storage 'none' on this host")
    assert.match(`${offer("lxc", container, { storage: "disks" })}`, /not one for backups/)
    assert.match(`${offer("lxc", container, { storage: "nas" })}`, /is disabled/)
    assert.deepInclude(offer("lxc", container, { storage: "pbs-1" }), { mode: "snapshot" })
    assert.deepInclude(offer("lxc", container, { storage: "none" }, new Map()), { mode: undefined })
  })
})
