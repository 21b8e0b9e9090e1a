import { assert, describe, it } from "@effect/vitest"
import { isOwn, ownIn } from "../../../src/internal/docker/self.ts"
import { container } from "./fixtures.ts"

const id = "3f2a".repeat(16)
const other = "0b1c".repeat(16)

/** `docker run -v notes:/notes -v "/srv/a b:/srv/a b"`, Engine 28, cgroup v2. */
const inDocker = `
1042 873 0:96 / / rw,relatime master:325 - overlay overlay rw,lowerdir=/var/lib/docker/overlay2/l/ABC:/var/lib/docker/overlay2/l/DEF,upperdir=/var/lib/docker/overlay2/77aa/diff,workdir=/var/lib/docker/overlay2/77aa/work,nouserxattr
1043 1042 0:99 / /proc rw,nosuid,nodev,noexec,relatime - proc proc rw
1044 1042 0:100 / /dev rw,nosuid - tmpfs tmpfs rw,size=65536k,mode=755,inode64
1048 1042 0:29 / /sys/fs/cgroup ro,nosuid,nodev,noexec,relatime - cgroup2 cgroup rw
1051 1042 254:1 /var/lib/docker/volumes/notes/_data /notes rw,relatime - ext4 /dev/vda1 rw
1052 1042 254:1 /srv/a\\040b /srv/a\\040b rw,relatime - ext4 /dev/vda1 rw
1053 1042 254:1 /var/lib/docker/containers/${id}/resolv.conf /etc/resolv.conf rw,relatime - ext4 /dev/vda1 rw
1054 1042 254:1 /var/lib/docker/containers/${id}/hostname /etc/hostname rw,relatime - ext4 /dev/vda1 rw
1055 1042 254:1 /var/lib/docker/containers/${id}/hosts /etc/hosts rw,relatime - ext4 /dev/vda1 rw
`

/** podman 4.3, root: the files are in the run directory, a tmpfs. */
const inPodman = `
921 800 0:71 / / rw,relatime - overlay overlay rw,lowerdir=/var/lib/containers/storage/overlay/l/AB,upperdir=/var/lib/containers/storage/overlay/c0/diff,workdir=/var/lib/containers/storage/overlay/c0/work
930 921 0:22 /containers/storage/overlay-containers/${id}/userdata/hosts /etc/hosts rw,nosuid,nodev,relatime - tmpfs tmpfs rw,size=800000k
931 921 0:22 /containers/storage/overlay-containers/${id}/userdata/.containerenv /run/.containerenv rw,nosuid,nodev,relatime - tmpfs tmpfs rw,size=800000k
932 921 0:22 /containers/storage/overlay-containers/${id}/userdata/hostname /etc/hostname rw,nosuid,nodev,relatime - tmpfs tmpfs rw,size=800000k
`

/** A machine with two running containers: their root file systems and shared memories are mounted here. */
const onMachine = `
22 1 254:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw
25 22 0:21 / /proc rw,nosuid,nodev,noexec,relatime shared:12 - proc proc rw
210 22 0:96 / /var/lib/docker/overlay2/77aa/merged rw,relatime shared:325 - overlay overlay rw,lowerdir=/var/lib/docker/overlay2/l/ABC
211 22 0:97 / /var/lib/docker/containers/${id}/mounts/shm rw,nosuid,nodev,noexec,relatime shared:330 - tmpfs shm rw,size=65536k
212 22 0:3 net:[4026532573] /run/docker/netns/1a2b3c rw shared:340 - nsfs nsfs rw
213 22 254:1 /var/lib/docker/containers/${other}/hosts /mnt/looked/at rw,relatime - ext4 /dev/vda1 rw
`

describe("our own container", () => {
  it("is found in Docker, with what is mounted in it", () => {
    const own = ownIn(inDocker)
    assert.strictEqual(own?.id, id)
    for (const place of ["/", "/notes", "/srv/a b", "/etc/hosts"]) assert.isTrue(own?.mountPoints.has(place), place)
  })

  it("is found in Podman", () => {
    assert.strictEqual(ownIn(inPodman)?.id, id)
  })

  it("is found by each of the three files alone", () => {
    for (const file of ["hostname", "hosts", "resolv.conf"]) {
      const line = `1 2 254:1 /var/lib/docker/containers/${id}/${file} /etc/${file} rw - ext4 /dev/vda1 rw`
      assert.strictEqual(ownIn(line)?.id, id)
    }
  })

  it("is none on a machine whose containers run, or where nothing can be read", () => {
    assert.isUndefined(ownIn(onMachine))
    assert.isUndefined(ownIn(""))
    assert.isUndefined(ownIn("garbage\n\n1 2\n"))
  })

  it("is none for an id that is too short", () => {
    const line = `1 2 254:1 /var/lib/docker/containers/${id.slice(1)}/hosts /etc/hosts rw - ext4 /dev/vda1 rw`
    assert.isUndefined(ownIn(line))
  })
})

it("a container whose network we share is told from ours by its mounts", () => {
  const own = { id: container("us").Id, mountPoints: new Set(["/", "/notes"]) }
  const mounted = (name: string, ...places: ReadonlyArray<string>) =>
    container(name, { top: { Mounts: places.map((Destination) => ({ Type: "volume", Source: "/v", Destination })) } })
  assert.isTrue(isOwn(own, mounted("us", "/notes")))
  assert.isTrue(isOwn(own, mounted("us")))
  assert.isFalse(isOwn(own, mounted("us", "/notes", "/var/lib/postgresql/data")))
  assert.isFalse(isOwn(own, mounted("other", "/notes")))
})
