#!/bin/sh
# Builds fio from Debian's sources into the tree at $1, on the Debian that this runs on.
#
# Debian's own binary loads the libraries of Ceph, GlusterFS, RDMA and NBD, with Boost, ICU, GnuTLS and Kerberos
# behind them. pie's job needs none of them: what configure does not find here, fio is built without.
set -eu
apt-get install -qq --no-install-recommends gcc libc6-dev make dpkg-dev ca-certificates >/dev/null
for list in /etc/apt/sources.list.d/*.sources; do
	[ -e "$list" ] && sed -i 's/^Types: deb$/Types: deb deb-src/' "$list"
done
[ -e /etc/apt/sources.list ] && sed -i 's/^deb \(.*\)/&\ndeb-src \1/' /etc/apt/sources.list
apt-get update -qq
mkdir -p /tmp/fio "$1/usr/local/bin" "$1/usr/share/doc/fio"
cd /tmp/fio
# apt has checked the signed hashes of all files; dpkg-source would look for the key of the person who packed them.
apt-get source -qq --download-only fio
dpkg-source --no-check -x fio_*.dsc source >/dev/null
cd source
./configure --disable-native >/dev/null
make -s -j"$(nproc)" fio >/dev/null
strip fio
cp fio "$1/usr/local/bin/fio"
cp debian/copyright "$1/usr/share/doc/fio/copyright"
dpkg-parsechangelog --show-field Version >"$1/usr/share/doc/fio/version"
