#!/bin/sh
# stand_in.sh ROOT USER PATH... -- COMMAND...
# What a container engine does with read_only, cap_drop and a user, by the kernel alone: the command as that user, below a
# root that holds these paths and nothing else, all of it mounted read-only. To be started by
# `unshare --mount --pid --fork`: then it is the first process, and nothing of this is seen outside.
set -eu
root=$1 user=$2
shift 2
mount --make-rprivate /
mount -t tmpfs -o mode=755 none "$root"
while [ "$1" != -- ]; do
    mkdir -p "$root$1"
    mount --bind "$1" "$root$1"
    mount -o remount,bind,ro "$root$1"
    shift
done
shift
mkdir -p "$root/proc" "$root/dev" "$root/var/lib/cryptodash"
mount -t proc proc "$root/proc"
for device in null urandom; do
    : > "$root/dev/$device"
    mount --bind "/dev/$device" "$root/dev/$device"
done
mount -o remount,ro "$root"
cd "$root"
exec chroot "$root" setpriv --reuid "$user" --regid "$user" --clear-groups --no-new-privs \
    --bounding-set=-all --inh-caps=-all -- "$@"
