#!/bin/bash
# The Debian package: built as etc/package/build does it, looked at by lintian, and installed, used, upgraded and purged in a bare root
# with systemd and in one with init, on Debian 12 and, where its root can be made, 13. The RPM is installed in a root, the image built and run.
#
# MIMICRY_TWICE=1: a second build in another directory is equal to the first.
# MIMICRY_PIUPARTS=1: piuparts, too.
. "$(dirname "$0")/common.bash"

need_root
need dpkg-buildpackage dpkg-dev
need dh debhelper
need dh_apparmor dh-apparmor
need lintian lintian
need mmdebstrap mmdebstrap
need systemd-nspawn systemd-container
need apparmor_parser apparmor
need rpmspec rpm
need buildah buildah
need zsh zsh
need fish fish
need pkg-config pkg-config

# How fast the program is does not matter here; built as it is shipped it would take many times as long.
[[ -n ${MIMICRY_TWICE-} ]] || export CARGO_PROFILE_RELEASE_OPT_LEVEL=0 CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16

pkg-config --exists libssl || install_package libssl-dev
into=$root/target/package
if ! "$root/etc/package/build" >"$work/build.log" 2>&1; then
    tail -n 40 "$work/build.log"
    fail "the package cannot be built"
fi
deb=$(ls "$into"/mimicry_*.deb)
changes=$(ls "$into"/mimicry_*.changes)
ok "built: $(stat -c %s "$deb") octets"

lintian --fail-on error,warning "$changes" >"$work/lintian.log" 2>&1 || fail "lintian: $(cat "$work/lintian.log")"
ok "lintian has no error and no warning"

dpkg-deb -x "$deb" "$work/deb"
mimicryd=$work/deb/usr/sbin/mimicryd
! grep -q -a -F -e "$root" -e "$HOME/" -e /registry/src/ "$mimicryd" || fail "paths of the build are in the program"
"$mimicryd" install --dry-run --prefix /usr --root "$work/nowhere" | awk '{ print $2, $4 }' | sort >"$work/listed"
[[ -s $work/listed ]] || fail "install lists nothing"
# Manual pages are compressed in the package.
while read -r mode path; do
    [[ $path != /usr/share/man/* ]] || path+=.gz
    has=$(stat -c %04a "$work/deb$path") || fail "the package lacks $path"
    [[ $has == "$mode" ]] || fail "$path has mode $has in the package, not $mode"
done <"$work/listed"
conffiles=$(dpkg-deb -I "$deb" conffiles | sort)
[[ $conffiles == "$(awk '$2 ~ "^/etc/" { print $2 }' "$work/listed" | while read -r path; do [[ -d $work/deb$path ]] || echo "$path"; done | sort)" ]] ||
    fail "conffiles: $conffiles"
ok "it holds what install lists, and no path of the build"

apparmor_parser -Q -K "$work/deb/etc/apparmor.d/usr.sbin.mimicryd" >"$work/apparmor.log" 2>&1 || fail "the AppArmor profile: $(cat "$work/apparmor.log")"
for shell in bash zsh fish; do
    "$mimicryd" completions "$shell" >"$work/completion"
    "$shell" -n "$work/completion" || fail "the completions of $shell"
done
ok "the AppArmor profile and the completions can be read"

rpmspec -P --define "_topdir $work/rpm" "$root/etc/package/mimicry.spec" >"$work/rpm.log" 2>&1 || fail "the RPM's recipe: $(cat "$work/rpm.log")"
# The same program, so that nothing is compiled again.
rpmbuild --quiet -bb --define "_topdir $work/rpm" --define "built $mimicryd" --define "source $root" --nodeps "$root/etc/package/mimicry.spec" \
    >"$work/rpm.log" 2>&1 || fail "the RPM: $(cat "$work/rpm.log")"
rpm -qp --qf '[%{FILENAMES}\n]' "$work"/rpm/RPMS/*/mimicry-0*.rpm | sed 's/\.gz$//' | sort >"$work/rpm.files"
awk '{ print $2 }' "$work/listed" | sort >"$work/listed.files"
sed -i 's|/usr/share/zsh/vendor-completions/|/usr/share/zsh/site-functions/|' "$work/listed.files"
sort -o "$work/listed.files" "$work/listed.files"
missing=$(comm -23 "$work/listed.files" "$work/rpm.files")
[[ -z $missing ]] || fail "the RPM lacks: $missing"
ok "the RPM is built, and holds what install lists"

if [[ -n ${MIMICRY_TWICE-} ]]; then
    "$root/etc/package/build" --into "$work/another/place" >"$work/build.log" 2>&1 || fail "the second build"
    cmp "$deb" "$work/another/place/$(basename "$deb")" || fail "two builds differ"
    ok "two builds in two directories are equal"
fi

# The same program under the next version.
dpkg-deb -R "$deb" "$work/next"
sed -i 's/^Version: .*/&+next/' "$work/next/DEBIAN/control"
dpkg-deb -b "$work/next" "$work/two.deb" >/dev/null

# base SUITE NAME PACKAGES: $bases/NAME.tar, made anew once a week; with openssl, whose library the program takes.
bases=$into/roots
mkdir -p "$bases"
base() {
    local tar=$bases/$2.tar
    [[ -z $(find "$tar" -mtime -7 2>/dev/null) ]] || return 0
    echo "making a root of $1 with $3"
    mmdebstrap --quiet --format=tar --variant=minbase --include="$3,openssl" "$1" "$tar.new" >"$work/mmdebstrap.log" 2>&1 || { rm -f "$tar.new"; return 1; }
    mv "$tar.new" "$tar"
}

# fresh NAME: $there, a root of it with the packages and what is to be done.
fresh() {
    there=$work/$1
    mkdir "$there"
    tar -C "$there" -xf "$bases/$1.tar"
    mkdir -p "$there/package/debian"
    cp "$deb" "$there/package/one.deb"
    cp "$work/two.deb" "$there/package/two.deb"
    cp -r "$root/debian/tests" "$there/package/debian"
    cp "$root/t/interop/package.bash" "$there/package"
}

# A network of its own, in which 127.0.0.1 is up; processes of its own, which end with it.
in_root() {
    # shellcheck disable=SC2016
    unshare --mount --pid --fork --kill-child --net --uts sh -c '
        ip link set lo up && mount --bind "$0" "$0" && mount -t proc proc "$0/proc" && mount -t tmpfs tmpfs "$0/run" &&
        mount --rbind /dev "$0/dev" && shift && exec chroot "$0" "$@"' "$there" -- "$@"
}

need ip iproute2
for suite in bookworm trixie; do
    if ! base "$suite" "$suite-init" systemd-standalone-sysusers,sysvinit-core,init-system-helpers,sysvinit-utils,perl-base,procps,passwd; then
        [[ $suite != bookworm ]] || fail "no root of $suite: $(cat "$work/mmdebstrap.log")"
        echo "no root of $suite can be made: its install is not tried"
        continue
    fi
    fresh "$suite-init"
    in_root bash /package/package.bash init || fail "$suite with init"
    rm -rf "$there"
    ok "$suite with init"
done

# The RPM in a root of its own, though of Debian: its scripts run, what it owns is as it was packed, and an edited configuration stays.
fresh bookworm-init
rpm_in() {
    local code=0
    # shellcheck disable=SC2016
    unshare --mount sh -c 'mount --rbind /dev "$0/dev" && exec rpm --root "$0" "$@"' "$there" "$@" >"$work/rpm.log" 2>&1 || code=$?
    # Debian's rpm says that one should not use it.
    sed -i '/^rpm: /d' "$work/rpm.log"
    return "$code"
}
rpm_in --initdb || fail "rpm: $(cat "$work/rpm.log")"
{ rpm_in -i --nodeps "$work"/rpm/RPMS/*/mimicry-0*.rpm && [[ ! -s $work/rpm.log ]]; } || fail "the RPM cannot be installed: $(cat "$work/rpm.log")"
{ rpm_in -V --nodeps mimicry && [[ ! -s $work/rpm.log ]]; } || fail "what the RPM installed is not as it was packed: $(cat "$work/rpm.log")"
in_root id mimicry >/dev/null || fail "the RPM makes no user"
in_root mimicryd check >"$work/said" 2>&1 || fail "the configuration of the RPM: $(cat "$work/said")"
echo '# edited' >>"$there/etc/mimicry/mimicry.toml"
rpm_in -e --nodeps mimicry || fail "the RPM cannot be removed: $(cat "$work/rpm.log")"
grep -qx '# edited' "$there/etc/mimicry/mimicry.toml.rpmsave" || fail "the edited configuration is lost"
[[ ! -e $there/usr/sbin/mimicryd ]] || fail "the RPM leaves the program"
rm -rf "$there"
ok "the RPM: installed, verified and removed in a root"

# The image, on the same root: it runs as the user of the workers, says that it is well, and keeps its configuration.
image() { buildah --root "$work/images" --runroot "$work/images.run" --storage-driver vfs "$@"; }
scratch=$(image from scratch)
tar -C "$(image mount "$scratch")" --exclude=./dev -xf "$bases/bookworm-init.tar"
image umount "$scratch" >/dev/null
image commit --quiet --rm "$scratch" localhost/base >/dev/null
mkdir "$work/context" "$work/image"
cp "$mimicryd" "$work/context"
image bud --quiet --format docker --isolation chroot -f "$root/etc/package/Containerfile" --build-arg BASE=localhost/base -t localhost/mimicry \
    "$work/context" >"$work/image.log" 2>&1 || fail "the image: $(cat "$work/image.log")"
image inspect --format '{{.Docker.Config.Healthcheck.Test}}' localhost/mimicry | grep -q 'mimicryd status' || fail "the image has no health check"
cat >"$work/image/mimicry.toml" <<'TOML'
[log]
target = "stderr"
[[listen]]
name = "in"
address = "127.0.0.1:0"
[relay]
next_hop = "smtp://127.0.0.1:10026"
TOML
chmod 755 "$work/image"
running=$(image from localhost/mimicry)
# shellcheck disable=SC2016
image run --isolation chroot --user mimicry -v "$work/image:/etc/mimicry:ro" "$running" -- sh -c '
    /usr/sbin/mimicryd run --foreground & pid=$!
    for turn in 1 2 3 4 5 6 7 8 9 10; do
        sleep 1
        /usr/sbin/mimicryd status && /usr/sbin/mimicryd generations && break
    done
    kill "$pid"; wait "$pid"' >"$work/image.log" 2>&1 || fail "the image does not run: $(cat "$work/image.log")"
grep -q '^mimicryd .* running, ' "$work/image.log" || fail "the image is not well: $(cat "$work/image.log")"
grep -q '^1 .* 1 file$' "$work/image.log" || fail "the image keeps no configuration: $(cat "$work/image.log")"
image rm "$running" >/dev/null
rm -rf "$work/images" "$work/images.run"
ok "the image is built, runs as the user of the workers, and keeps its configuration"

base bookworm bookworm-systemd systemd,systemd-sysv,dbus,init-system-helpers,perl-base,procps,passwd || fail "no root: $(cat "$work/mmdebstrap.log")"
fresh bookworm-systemd
systemd-nspawn --quiet --directory "$there" --register=no --keep-unit --private-network --boot --console=pipe >"$work/nspawn.log" 2>&1 </dev/null &
nspawn=$!
halt() {
    kill -RTMIN+4 "$first" || kill "$nspawn"
    timeout 30 tail --pid="$nspawn" -f /dev/null || kill -KILL "$nspawn"
    rm -rf "$there"
}
first() { first=$(pgrep -P "$nspawn" -f systemd) && [[ $first ]]; }
wait_for 30 first
at_end+=(halt)
inside() { (cd / && nsenter --target "$first" --all --wd=/ "$@"); }
up() { [[ $(inside systemctl is-system-running) =~ running|degraded ]]; }
wait_for 60 up
inside bash /package/package.bash systemd || fail "bookworm with systemd"
ok "bookworm with systemd"

if [[ -n ${MIMICRY_PIUPARTS-} ]]; then
    need piuparts piuparts
    gzip -1 <"$bases/bookworm-init.tar" >"$work/base.tar.gz"
    piuparts --distribution bookworm --basetgz "$work/base.tar.gz" --warn-on-leftovers-after-purge "$deb" >"$work/piuparts.log" 2>&1 ||
        fail "piuparts: $(tail -n 30 "$work/piuparts.log")"
    ok "piuparts"
fi
