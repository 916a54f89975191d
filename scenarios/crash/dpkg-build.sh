# Builds a package with one file: dpkg-build.sh FOLDER VERSION
set -e
stage=$1/stage
mkdir -p "$stage/DEBIAN" "$stage/usr/share/t"
printf 'Package: t\nVersion: %s\nArchitecture: all\nMaintainer: a <a@b>\nDescription: t\n' "$2" >"$stage/DEBIAN/control"
printf '%s\n' "$2" >"$stage/usr/share/t/f"
dpkg-deb --root-owner-group -Znone -b "$stage" "$1/$2.deb" >/dev/null
rm -rf "$stage"
