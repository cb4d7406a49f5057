#!/bin/sh
# newer.sh PACKAGE...: have apt know a newer version of each, which is the installed one under a higher number.
set -eu
folder=/srv/newer
mkdir -p "$folder"
for package; do
    build=$(mktemp --directory)
    mkdir "$build/DEBIAN"
    dpkg --listfiles "$package" | while read -r path; do
        # What dpkg was told to leave out is not there.
        if [ -d "$path" ] || [ ! -e "$path" ]; then continue; fi
        mkdir -p "$build$(dirname "$path")"
        cp --archive "$path" "$build$path"
    done
    for script in preinst postinst prerm postrm conffiles; do
        info=$(dpkg-query --control-path "$package" "$script")
        if [ -n "$info" ]; then cp "$info" "$build/DEBIAN/"; fi
    done
    # The list of configuration files is a part of the status alone.
    dpkg-query --status "$package" | sed '/^Status:/d; /^Conffiles:/,/^[^ ]/{/^Conffiles:/d; /^ /d}; s/^Version: .*/&+newer/' \
        > "$build/DEBIAN/control"
    dpkg-deb -Znone --root-owner-group --build "$build" "$folder/$package.deb"
    rm -r "$build"
    (
        dpkg-deb --field "$folder/$package.deb"
        echo "Filename: ./$package.deb"
        echo "Size: $(stat --format %s "$folder/$package.deb")"
        echo "SHA256: $(sha256sum "$folder/$package.deb" | cut -d ' ' -f 1)"
        echo
    ) >> "$folder/Packages"
done
echo "deb [trusted=yes] file:$folder ./" > /etc/apt/sources.list.d/newer.list
