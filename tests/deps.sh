#!/bin/bash
# `mak deps` with real package managers in real roots: apt on Debian bookworm and trixie, dnf, pacman and zypper, each with
# a repository made here. Every root is an overlay over this machine's own (or over trixie's), in a mount namespace of its
# own, so that nothing outside is changed and no network is needed.
#
#     cargo build --bins && sudo tests/deps.sh
#
# MAK_BIN: the program under test. Debian packages it needs: dnf rpm pacman-package-manager zypper createrepo-c
# libarchive-tools makepkg dpkg-dev mmdebstrap sudo.
set -euo pipefail
if [ "${1:-}" != inside ]; then
    [ "$(id -u)" -eq 0 ] || { echo "these tests need root: they mount roots of their own" >&2; exit 1; }
    cd "$(dirname "$0")/.."
    exec unshare --mount --propagation private "$BASH" tests/deps.sh inside
fi

mak="$(realpath "${MAK_BIN:-target/debug/mak}")"
[ -x "$mak" ] || { echo "no $mak: run cargo build --bins" >&2; exit 1; }
work="$(mktemp -d)"
mount -t tmpfs -o size=2g mak-deps "$work"
passed=0
root=

# Nothing that runs in one of the roots outlives this.
end() {
    local process
    for process in /proc/[0-9]*; do
        case "$(readlink "$process/root" 2>/dev/null)" in "$work"/*) kill -KILL "${process#/proc/}" 2>/dev/null || true ;; esac
    done
    jobs -p | xargs -r kill 2>/dev/null || true
    umount -R -l "$work"
    rmdir "$work"
}
trap end EXIT

ok() { passed=$((passed + 1)); echo "ok: $*"; }
fail() {
    echo "not ok: $*" >&2
    [ ! -e "$work/said" ] || cat "$work/said" >&2
    echo "$passed passed, 1 failed"
    exit 1
}

# over LOWER [SIZE]: a fresh root over a folder, of at most that size, with our program in it; $root is it.
over() {
    local name="$work/root$((++roots))"
    mkdir -p "$name"
    mount -t tmpfs -o "size=${2:-512m}" mak-deps "$name"
    mkdir "$name/upper" "$name/work" "$name/root"
    mount -t overlay -o "lowerdir=$1,upperdir=$name/upper,workdir=$name/work" mak-deps "$name/root"
    root="$name/root"
    mount -t proc proc "$root/proc"
    mount --rbind /dev "$root/dev"
    mount -t tmpfs tmpfs "$root/run"
    install -m 755 "$mak" "$root/usr/bin/mak"
    rm -rf "$root/etc/apt/sources.list.d" "$root/etc/apt/sources.list"
    mkdir -p "$root/repo" "$root/etc/apt/sources.list.d"
}
roots=0

# Everything but what a test says itself is the same everywhere: no network, no terminal, English.
inside() { unshare --net chroot "$root" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root CI=1 "$@"; }

# deps CODE ARG...: runs `mak deps`, which has to end with that code; what it said is in $work/said.
deps() {
    local expected=$1 code=0; shift
    inside mak deps --profile /t.toml --without-engine "$@" >"$work/said" 2>&1 </dev/null || code=$?
    [ "$code" -eq "$expected" ] || fail "mak deps $*: code $code and not $expected"
}
says() { grep -qE -- "$1" "$work/said" || fail "nobody says '$1'"; }
never_says() { ! grep -qE -- "$1" "$work/said" || fail "'$1' is said"; }

# profile LINE...: what is needed.
profile() { printf '%s\n' 'prefix = "T_"' "$@" >"$root/t.toml"; }
needs_tool='[[package]]
command = "mak-tool"
version = ">=2"
apt = ["mak-tool"]
dnf = ["mak-tool"]
pacman = ["mak-tool"]
zypper = ["mak-tool"]'
needs_headers='[[package]]
name = "headers"
need = "optional"
apt = ["mak-headers"]
dnf = ["mak-headers"]
pacman = ["mak-headers"]
zypper = ["mak-headers"]'
needs() { printf '[[package]]\nname = "%s"\napt = ["%s"]\ndnf = ["%s"]\npacman = ["%s"]\nzypper = ["%s"]\n' "$1" "$1" "$1" "$1" "$1"; }

tool='#!/bin/sh
echo "mak-tool 2.5.1 (test)"'

# deb NAME [POSTINST]: a package of Debian's in $work/debs with one file of ours.
deb() {
    local folder="$work/make/$1"
    mkdir -p "$folder/DEBIAN" "$work/debs"
    printf 'Package: %s\nVersion: 1.0\nArchitecture: all\nMaintainer: nobody <nobody@example.org>\nDescription: test\n' "$1" \
        >"$folder/DEBIAN/control"
    case $1 in
        mak-tool) install -D -m 755 <(echo "$tool") "$folder/usr/bin/mak-tool" ;;
        mak-large) mkdir -p "$folder/opt" && head -c 60000000 /dev/zero >"$folder/opt/large" ;;
        *) install -D -m 644 <(echo "$1") "$folder/usr/share/mak-test/$1" ;;
    esac
    [ -z "${2:-}" ] || install -m 755 <(echo "$2") "$folder/DEBIAN/postinst"
    dpkg-deb --root-owner-group -Zgzip -b "$folder" "$work/debs/$1.deb" >/dev/null
}
deb mak-tool
deb mak-headers
deb mak-large
# Its configuration goes on only when somebody reads and writes the two FIFOs.
deb mak-slow '#!/bin/sh
[ ! -p /begun ] || { echo configuring >/begun; cat /go >/dev/null; }'
(cd "$work/debs" && dpkg-scanpackages -m . >Packages 2>/dev/null)

debian() {
    over "$1" "${2:-512m}"
    cp "$work"/debs/* "$root/repo/"
    echo 'deb [trusted=yes] file:/repo ./' >"$root/etc/apt/sources.list"
    printf 'ID=debian\n' >"$root/etc/os-release.new" && mv "$root/etc/os-release.new" "$root/etc/os-release"
    inside apt-get -q update >/dev/null 2>&1
}

trixie() {
    local tar
    for tar in /opt/mak-engine/base/*amd64*.tar; do
        if [ -e "$tar" ]; then
            mkdir "$work/trixie" && tar -xf "$tar" -C "$work/trixie" --exclude=./dev
            mkdir -p "$work/trixie/dev"
            return
        fi
    done
    mmdebstrap --quiet --variant=apt trixie "$work/trixie" >/dev/null
}

installs_and_looks_again() {
    profile "$needs_tool" "$needs_headers"
    deps 69 --dry-run
    says 'mak-tool: not in PATH'
    says '[a-z]+ .*install.* mak-tool|pacman -S .*mak-tool'
    never_says 'mak-tool 2.5.1'
    [ ! -e "$root/usr/bin/mak-tool" ] || fail "a dry run has installed something"
    deps 0 --install --report /report.json
    says 'mak-tool: 2.5.1 at /usr/bin/mak-tool'
    says 'installed: mak-tool, mak-headers'
    says '\[1/[0-9]+\] '
    grep -q '"verdict": "pass"' "$root/report.json" || fail "the report is not a pass"
    deps 0 --install
    never_says 'installed:'
    ok "$1: missing is 69 in a dry run too; installed, looked at again, and nothing to do the second time"
}

does_not_exist() {
    profile "$(needs mak-nope)"
    deps 69 --install
    says 'no repository has mak-nope'
    ok "$1: a package that does not exist is named, code 69"
}

# One apt root for all that is broken there, so that each test shows that the one before left a manager that works.
apt_tests() {
    local name=$1
    debian "$2"
    installs_and_looks_again "$name"
    does_not_exist "$name"
    lock_is_held "$name"
    is_not_root "$name"
    by_sudo "$name"
    is_interrupted "$name"
    is_cut_off "$name"
    has_no_network "$name"
}

lock_is_held() {
    rm -f "$root/usr/bin/mak-tool"; inside dpkg --purge mak-tool >/dev/null 2>&1
    profile "$needs_tool"
    mkfifo "$work/held" "$work/release"
    # From outside of the root, which need not have a Python.
    /usr/bin/python3 -c '
import fcntl, sys
lock = open(sys.argv[1], "r+")
fcntl.lockf(lock, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()' "$root/var/lib/dpkg/lock-frontend" <"$work/release" >"$work/held" &
    exec 8>"$work/release"
    read -r _ <"$work/held"
    is_held_until_the_deadline '/var/lib/dpkg/lock-frontend is held by process [0-9]+ \(/usr/bin/python3'
    exec 8>&-
    wait
    rm "$work/held" "$work/release"
    # The report that the Python checker wrote, with what was installed and what came of it.
    deps 0 --install --format ipfs-kit --report /report.json
    /usr/bin/python3 -c '
import json, sys
report = json.load(open(sys.argv[1]))
assert report["installations"] == {"system_packages": ["mak-tool"]}, report
assert report["checks"]["system_packages"]["mak-tool"] is True, report
assert report["errors"] == [], report' "$root/report.json" || fail "the ipfs-kit report does not say what was installed"
    ok "$1: a held lock is 75 after $took ms of 2 s, with the holder's name; released, it works"
}

# is_held_until_the_deadline WORDS: a lock that somebody has; $took is how long it was waited for, in ms.
is_held_until_the_deadline() {
    local began
    began=$(date +%s%N)
    deps 75 --install --lock-timeout 2s
    took=$((($(date +%s%N) - began) / 1000000))
    says "$1"
    says 'waiting for at most 2 s'
    [ "$took" -ge 1000 ] && [ "$took" -le 3000 ] || fail "waiting for a lock took $took ms and not 2 s"
}

is_not_root() {
    profile "$(needs mak-headers-2)" "$(needs mak-slow)"
    local code=0
    unshare --net chroot "$root" /usr/bin/setpriv --reuid 65534 --regid 65534 --clear-groups \
        /usr/bin/env -i PATH=/usr/bin:/bin CI=1 mak deps --profile /t.toml --install >"$work/said" 2>&1 || code=$?
    [ "$code" -eq 69 ] || fail "without root: code $code"
    says 'apt needs root, and this is user 65534'
    says 'allow it sudo with --sudo'
    ok "$1: without root it says what to do and changes nothing"
}

# as_builder ARG...: `mak deps` as a user who is not root, at a terminal, so that a question would be waited for.
as_builder() {
    local code=0
    timeout 300 script -qec "unshare --net chroot '$root' /usr/bin/setpriv --reuid 1000 --regid 1000 --clear-groups \
        /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/tmp CI=1 mak deps --profile /t.toml --without-engine $*" \
        /dev/null >"$work/said" 2>&1 </dev/null || code=$?
    sed -i 's/\r$//' "$work/said"
    return "$code"
}
builder_ends() {
    local expected=$1 code=0; shift
    as_builder "$@" || code=$?
    [ "$code" -eq "$expected" ] || fail "mak deps $* as uid 1000: code $code and not $expected"
}

by_sudo() {
    inside dpkg --purge mak-tool >/dev/null 2>&1
    profile "$needs_tool"
    sed -i '/:1000:/d' "$root/etc/passwd" "$root/etc/group"
    echo 'builder:x:1000:1000::/tmp:/bin/sh' >>"$root/etc/passwd"
    echo 'builder:x:1000:' >>"$root/etc/group"
    echo 'builder:!:19000:0:99999:7:::' >>"$root/etc/shadow"
    if [ ! -e "$root/usr/bin/sudo" ]; then
        builder_ends 69 --install --sudo
        says 'cannot become root without being asked .*sudo is not installed'
        ok "$1: --sudo where there is no sudo says so"
        return
    fi
    rm -f "$root"/etc/sudoers.d/*
    builder_ends 69 --install --sudo
    says 'sudo: this user cannot become root without being asked .*a password is required'
    says 'NOPASSWD'
    echo 'builder ALL=(ALL) ALL' >"$root/etc/sudoers.d/builder"
    builder_ends 69 --install --sudo
    says 'a password is required'
    [ ! -e "$root/usr/bin/mak-tool" ] || fail "something was installed without rights"
    echo 'builder ALL=(ALL) NOPASSWD: ALL' >"$root/etc/sudoers.d/builder"
    builder_ends 69 --dry-run --sudo
    says '^  sudo -n env LC_ALL=C DEBIAN_FRONTEND=noninteractive apt-get .*install mak-tool'
    builder_ends 0 --install --sudo
    says '\] sudo -n env LC_ALL=C DEBIAN_FRONTEND=noninteractive apt-get .*install mak-tool'
    says 'mak-tool: 2.5.1 at /usr/bin/mak-tool'
    # What runs as root is ended by root's signal.
    profile "$(needs mak-slow)"
    mkfifo "$root/begun" "$root/go"
    cat "$root/begun" >/dev/null &
    local reader=$!
    builder_ends 75 --install --sudo --time-limit 30s
    says 'was stopped after 30 s: sudo -n env'
    kill "$reader" 2>/dev/null || true
    rm "$root/begun" "$root/go"
    kill -KILL $(of_root dpkg) 2>/dev/null || true
    deps 0 --install
    inside dpkg --purge mak-slow >/dev/null 2>&1
    ok "$1: --sudo installs as uid 1000 by a NOPASSWD rule and ends it at its time limit; a password is not waited for"
}

# starts COMMAND...: runs mak until the slow package is in its configuration; $pid is mak's.
starts_slow() {
    profile "$(needs mak-slow)"
    mkfifo "$root/begun" "$root/go" "$work/lines"
    inside mak deps --profile /t.toml --without-engine --install >"$work/said" 2>"$work/lines" </dev/null &
    exec 7<"$work/lines"
    read -r _ <"$root/begun"
    pid="$(of_root mak)"
}
# of_root NAME: the process of that name in this root.
of_root() { local one; for one in $(pgrep -x "$1"); do [ "$(readlink "/proc/$one/root")" != "$root" ] || echo "$one"; done | tail -1; }
# Reads what mak says until this is said.
hears() { local line; while read -r line <&7; do echo "$line" >>"$work/heard"; case $line in *"$1"*) return ;; esac; done; fail "'$1' is not said"; }
ends_slow() {
    local code=0
    wait %+ || code=$?
    cat <&7 >>"$work/heard"; exec 7<&-
    cat "$work/heard" >>"$work/said"
    rm -f "$root/begun" "$root/go" "$work/lines" "$work/heard"
    [ "$code" -eq 130 ] || fail "an interrupted installation ends with $code"
}

# A Ctrl-C in the middle: what the manager is at is let finish, and the person is told how to go on.
ends_slowly_on_ctrl_c() {
    starts_slow
    kill -INT "$pid"
    hears 'is let finish'
    echo on >"$root/go"
    ends_slow
    says 'run the same command again: it goes on'
}

is_interrupted() {
    ends_slowly_on_ctrl_c
    [ -z "$(inside dpkg --audit)" ] || fail "dpkg is left with half-configured packages"
    inside apt-get check >/dev/null 2>&1 || fail "apt does not work after a Ctrl-C"
    deps 0 --install
    inside dpkg --purge mak-slow >/dev/null 2>&1
    ok "$1: Ctrl-C lets the package manager finish its step, ends with 130 and says how to go on"
}

is_cut_off() {
    starts_slow
    kill -INT "$pid"
    hears 'is let finish'
    kill -INT "$pid"
    ends_slow
    says 'was cut off in the middle'
    says 'begins with dpkg .*--configure -a'
    # apt gives dpkg a session of its own, so that it lives on; the power cut takes it too.
    says '/var/lib/dpkg/lock is held by process [0-9]+ .*dpkg.* finishes its part by itself'
    kill -KILL "$(of_root dpkg)"
    [ -n "$(inside dpkg --audit)" ] || fail "the second Ctrl-C has changed nothing"
    deps 69
    says 'has left a package half-way: mak-slow'
    deps 0 --install
    says 'mak-slow 1.0'
    [ -z "$(inside dpkg --audit)" ] || fail "dpkg is not repaired"
    ok "$1: a second Ctrl-C cuts it off; the next run repairs that and goes on"
}

has_no_network() {
    profile "$(needs mak-far)"
    echo 'deb [trusted=yes] http://repository.invalid/debian ./' >"$root/etc/apt/sources.list"
    deps 75 --install --time-limit 60s
    says 'a repository does not answer'
    says 'look at the network'
    echo 'deb [trusted=yes] http://127.0.0.1:1/debian ./' >"$root/etc/apt/sources.list"
    deps 75 --install --time-limit 60s
    says 'a repository does not answer'
    ok "$1: no network and a repository that is down are 75, with what was tried"
}

disk_is_full() {
    debian / 100m
    profile "$(needs mak-large)"
    head -c $((48 << 20)) /dev/zero >"$root/filler"
    deps 69 --install
    says 'there is no room on the disk'
    rm "$root/filler"
    deps 0 --install
    ok "bookworm apt: a full disk is said, and with room it goes on"
}

# rpm_of NAME [LUA]: a package of rpm's in $work/rpms, and what runs after it was installed.
rpm_of() {
    local file=/usr/share/mak-test/$1 mode=644 content="$1"
    [ "$1" != mak-tool ] || { file=/usr/bin/mak-tool; mode=755; content="$tool"; }
    mkdir -p "$work/rpms" "$work/make"
    echo "$content" >"$work/make/content"
    cat >"$work/make/$1.spec" <<SPEC
Name: $1
Version: 1.0
Release: 1
Summary: test
License: MIT
BuildArch: noarch
AutoReqProv: no
%description
test
${2:+%post -p <lua>
$2}
%install
install -D -m $mode $work/make/content %{buildroot}$file
%files
$file
SPEC
    HOME="$work/make" rpmbuild --quiet -bb --define "_topdir $work/make/rpm" --define "_rpmdir $work/rpms" \
        "$work/make/$1.spec" >/dev/null 2>&1
}

# Another distribution's manager on this machine's root, under that distribution's name, with an empty database.
as() {
    over /
    rm -f "$root/etc/os-release" "$root/usr/lib/os-release"
    printf 'ID=%s\n' "$1" >"$root/etc/os-release"
}

rpm_repository() {
    rpm_of mak-tool
    rpm_of mak-headers
    # As of Debian's: it goes on only when somebody reads and writes the two FIFOs.
    rpm_of mak-slow 'if posix.stat("/begun", "type") == "fifo" then
  local begun = io.open("/begun", "w")
  begun:write("configuring\n")
  begun:close()
  local go = io.open("/go")
  go:read("l")
  go:close()
end'
    createrepo_c --quiet "$work/rpms"
}

dnf_tests() {
    as fedora
    cp -r "$work/rpms" "$root/repo/rpm"
    mkdir -p "$root/etc/yum.repos.d"
    rm -f "$root"/etc/yum.repos.d/*
    printf '[test]\nname=test\nbaseurl=file:///repo/rpm\nenabled=1\ngpgcheck=0\n' >"$root/etc/yum.repos.d/test.repo"
    installs_and_looks_again dnf
    does_not_exist dnf
    ends_slowly_on_ctrl_c
    inside rpm -q mak-slow >/dev/null || fail "dnf has not finished its transaction after a Ctrl-C"
    deps 0 --install
    inside rpm -e mak-slow >/dev/null 2>&1
    ok "dnf: Ctrl-C in a transaction lets it finish, ends with 130, and dnf works afterwards"
    # A lock as dnf itself has it: in the middle of a transaction, when rpm knows the package already.
    profile "$(needs mak-nope)"
    mkfifo "$root/begun" "$root/go"
    inside dnf -y install mak-slow >"$work/dnf" 2>&1 </dev/null &
    read -r _ <"$root/begun"
    is_held_until_the_deadline '(rpmdb_lock.pid|\.rpm\.lock) is held by process [0-9]+ \(.*dnf'
    echo on >"$root/go"
    wait
    rm "$root/begun" "$root/go"
    profile "$(needs mak-slow)"
    deps 0 --install
    ok "dnf: a lock that another dnf has is 75 after $took ms of 2 s, with its name; released, all is there"
    profile "$(needs mak-far)"
    sed -i 's|^baseurl=.*|baseurl=http://127.0.0.1:1/|' "$root/etc/yum.repos.d/test.repo"
    deps 75 --install
    says 'a repository does not answer'
    ok "dnf: a repository that is down is 75"
}

zypper_tests() {
    as opensuse
    # Debian's rpm has its database in the user's folder, its zypper in SUSE's place.
    echo '%_dbpath /var/lib/rpm' >"$root/root/.rpmmacros"
    cp -r "$work/rpms" "$root/repo/rpm"
    mkdir -p "$root/etc/zypp/repos.d"
    rm -f "$root"/etc/zypp/repos.d/*
    printf '[test]\nname=test\nbaseurl=file:///repo/rpm\nenabled=1\ngpgcheck=0\nautorefresh=1\n' \
        >"$root/etc/zypp/repos.d/test.repo"
    installs_and_looks_again zypper
    does_not_exist zypper
    # A lock as zypper writes it: the number of a living process.
    profile "$(needs mak-far)"
    mkfifo "$work/release"
    unshare --net chroot "$root" /bin/bash -c 'exec -a zypper cat' <"$work/release" >/dev/null &
    exec 8>"$work/release"
    echo "$!" >"$root/run/zypp.pid"
    until grep -qa zypper "/proc/$!/cmdline"; do :; done
    is_held_until_the_deadline 'zypp.pid is held by process [0-9]+ \(zypper'
    exec 8>&-; wait; rm "$work/release"
    ok "zypper: a lock that another zypper has is 75 after $took ms of 2 s, with its name"
    sed -i 's|^baseurl=.*|baseurl=http://127.0.0.1:1/|' "$root/etc/zypp/repos.d/test.repo"
    rm -rf "$root"/var/cache/zypp/*
    deps 75 --install
    says 'a repository does not answer'
    ok "zypper: a repository that is down is 75"
}

pacman_package() {
    local folder="$work/make/pac-$1"
    mkdir -p "$folder" "$work/pac"
    case $1 in
        mak-tool) install -D -m 755 <(echo "$tool") "$folder/usr/bin/mak-tool" ;;
        *) install -D -m 644 <(echo "$1") "$folder/usr/share/mak-test/$1" ;;
    esac
    printf 'pkgname = %s\npkgbase = %s\npkgver = 1.0-1\npkgdesc = test\nurl = x\nbuilddate = 1\npackager = x\nsize = 10\narch = any\n' \
        "$1" "$1" >"$folder/.PKGINFO"
    bsdtar -C "$folder" -czf "$work/pac/$1-1.0-1-any.pkg.tar.gz" .PKGINFO usr
}

pacman_tests() {
    pacman_package mak-tool
    pacman_package mak-headers
    (cd "$work/pac" && repo-add -q test.db.tar.gz ./*.pkg.tar.gz >/dev/null 2>&1)
    as arch
    cp -r "$work/pac" "$root/repo/pac"
    mkdir -p "$root/var/lib/pacman"
    printf '[options]\nArchitecture = auto\nSigLevel = Never\n[test]\nSigLevel = Never\nServer = file:///repo/pac\n' \
        >"$root/etc/pacman.conf"
    installs_and_looks_again pacman
    does_not_exist pacman
    profile "$(needs mak-far)"
    touch "$root/var/lib/pacman/db.lck"
    deps 75 --install --lock-timeout 1s
    says 'db.lck is held, and no process is to be seen that has it'
    says 'remove /var/lib/pacman/db.lck'
    mkfifo "$work/release"
    inside bash -c 'exec -a pacman cat 9<>/var/lib/pacman/db.lck' <"$work/release" >/dev/null &
    exec 8>"$work/release"
    until ls -l "/proc/$(of_root cat)/fd" 2>/dev/null | grep -q db.lck; do :; done
    is_held_until_the_deadline 'db.lck is held by process [0-9]+ \(pacman'
    exec 8>&-; wait; rm "$work/release" "$root/var/lib/pacman/db.lck"
    ok "pacman: a held and a forgotten lock are 75 and told apart, the held one after $took ms of 2 s"
    sed -i 's|^Server = .*|Server = http://127.0.0.1:1|' "$root/etc/pacman.conf"
    deps 75 --install
    says 'a repository does not answer'
    ok "pacman: a repository that is down is 75"
}

tests="${MAK_DEPS_TESTS:-bookworm trixie disk dnf zypper pacman}"
case $tests in *dnf* | *zypper*) rpm_repository ;; esac
for one in $tests; do
    case $one in
        bookworm) apt_tests "bookworm apt" / ;;
        trixie) trixie; apt_tests "trixie apt" "$work/trixie" ;;
        disk) disk_is_full ;;
        dnf) dnf_tests ;;
        zypper) zypper_tests ;;
        pacman) pacman_tests ;;
    esac
done
echo "$passed passed, 0 failed"
