#!/usr/bin/env bash
# Build libmicrohttpd and librdkafka from the source packages of Debian's newer suites into a folder of their own.
#
#     newer_libs.sh FOLDER      the libraries are then in FOLDER/lib, their .pc files in FOLDER/lib/pkgconfig
#
# apt fetches the sources and checks their signatures, with lists of its own, so that the machine's own apt does not hear
# of the newer suites. The server is the one that this machine takes Debian from. Of the named suites the newest version
# wins; what is built already at that version is kept.
set -euo pipefail

folder=$(mkdir -p "${1:?usage: newer_libs.sh FOLDER}" && cd "$1" && pwd)
suites=(trixie sid)

# The Debian archive of this machine: the one whose suite is named after the release, whatever other archives there are.
archive() {
    local codename
    codename=$(sed -n 's/^VERSION_CODENAME=//p' /etc/os-release)
    # shellcheck disable=SC2016  # the names are apt's
    apt-get indextargets --format '$(CREATED_BY) $(CODENAME) $(REPO_URI)' |
        awk -v name="$codename" '$1 == "Packages" && $2 == name { print $3; exit }'
}

prepare_apt() {
    local uri suite
    uri=$(archive)
    [[ -n $uri ]] || { echo "newer_libs.sh: apt knows no Debian archive" >&2; return 1; }
    mkdir -p "$folder/apt/lists/partial" "$folder/apt/cache/archives/partial"
    for suite in "${suites[@]}"; do
        printf 'deb-src [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] %s %s main\n' "$uri" "$suite"
    done >"$folder/apt/sources.list"
}

apart() {
    local tool=$1
    shift
    "$tool" -o Dir::Etc::SourceList="$folder/apt/sources.list" -o Dir::Etc::SourceParts=/dev/null \
        -o Dir::State::Lists="$folder/apt/lists" -o Dir::Cache="$folder/apt/cache" \
        -o APT::Sandbox::User=root "$@"
}

newest_version() {
    apart apt-cache showsrc --only-source "$1" | awk '/^Version:/ { print $2 }' | sort -V | tail -n1
}

# The sources as their authors released them: Debian's patches fit Debian's newer libraries, which are not here.
unpack() {
    local name=$1 version=$2 work=$folder/src/$1
    rm -rf "$work"
    mkdir -p "$work"
    (cd "$work" && apart apt-get -qq source --download-only "$name=$version" &&
        dpkg-source --skip-patches -x ./*.dsc tree)
}

build_libmicrohttpd() {
    # What would generate the build files anew is kept quiet: they are all there, whatever their dates say.
    local still=(ACLOCAL=: AUTOCONF=: AUTOHEADER=: AUTOMAKE=: MAKEINFO=:)
    ./configure -q --prefix="$folder" --disable-static --disable-doc --disable-examples --disable-tools --disable-curl \
        --enable-https &&
        make -s -j "$(nproc)" "${still[@]}" &&
        make -s install "${still[@]}"
}

build_librdkafka() {
    ./configure --prefix="$folder" --disable-gssapi &&
        make -s -j "$(nproc)" -C src &&
        make -s -C src install
}

# Build a library unless the folder has it at its newest version; say little when it goes well, everything when not.
provide() {
    local name=$1 version
    version=$(newest_version "$name")
    [[ -n $version ]] || { echo "newer_libs.sh: no source package $name" >&2; return 1; }
    if [[ $(cat "$folder/$name.version" 2>/dev/null) != "$version" ]]; then
        echo "building $name $version, a minute or two" >&2
        if ! (unpack "$name" "$version" && cd "$folder/src/$name/tree" && "build_$name") >"$folder/$name.log" 2>&1; then
            tail -n 40 "$folder/$name.log" >&2
            echo "newer_libs.sh: $name could not be built; all of it is in $folder/$name.log" >&2
            return 1
        fi
        rm -rf "$folder/src/$name"
        echo "$version" >"$folder/$name.version"
    fi
    echo "$name $version"
}

prepare_apt
# Without a network what was built before is good enough.
apart apt-get -qq update || [[ -f $folder/librdkafka.version && -f $folder/libmicrohttpd.version ]]
provide libmicrohttpd
provide librdkafka
