# Runs a service manager of the user (systemd --user) and a journal, on a machine whose first process may be anything.
#
# Needs root. They see mounts and control groups of their own, so nothing of the machine's is touched. Its processes are seen as
# they are: a daemon in a namespace of processes could not tell who talks to it from outside.
# Lives as long as its stdin: at its end, everything that was started here is killed.
set -eu

group=/sys/fs/cgroup/alknet-test-$$
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mkdir -p /run/systemd /run/log
mount -t tmpfs -o mode=755 tmpfs /run/systemd
mount -t tmpfs -o mode=755 tmpfs /run/log
mkdir -p /run/systemd/system /run/log/journal
# Programs take the first folder for the sign that systemd runs, and a journal has to know its machine.
if ! [ -s /etc/machine-id ]; then
    tr -d - </proc/sys/kernel/random/uuid >/run/systemd/machine-id
    [ -e /etc/machine-id ] || : >/etc/machine-id
    mount --bind /run/systemd/machine-id /etc/machine-id
fi

mkdir "$group"
echo $$ >"$group/cgroup.procs"
/lib/systemd/systemd-journald </dev/null &
until [ -S /run/systemd/journal/stdout ]; do
    kill -0 $!
    sleep 0.02
done
# At this level the journal tells what a service notifies.
/lib/systemd/systemd --user --log-level=debug --log-target=journal </dev/null &

cat >/dev/null
echo $$ >/sys/fs/cgroup/cgroup.procs
while
    left=$(find "$group" -name cgroup.procs -exec cat {} +)
    [ -n "$left" ]
do
    # shellcheck disable=SC2086 # numbers, one word each
    kill -KILL $left 2>/dev/null || true
done
find "$group" -depth -type d -exec rmdir {} +
