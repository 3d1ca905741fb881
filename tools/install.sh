#!/bin/sh
# make install [PREFIX=/usr/local] [DESTDIR=]: the binary, its man page, completions and the systemd unit.
set -eu
cd "$(dirname "$0")/.."
prefix=${PREFIX:-/usr/local} root=${DESTDIR:-}
[ -x build/release/weir ] || make -s -j"$(nproc)"
weir=build/release/weir share=$root$prefix/share
install -d "$root$prefix/bin" "$share/man/man1" "$share/bash-completion/completions" "$share/zsh/site-functions" \
    "$share/fish/vendor_completions.d" "$root$prefix/lib/systemd/system"
install -m 755 $weir "$root$prefix/bin/weir"
$weir docs --man >"$share/man/man1/weir.1"
$weir complete bash >"$share/bash-completion/completions/weir"
$weir complete zsh >"$share/zsh/site-functions/_weir"
$weir complete fish >"$share/fish/vendor_completions.d/weir.fish"
sed "s|/usr/bin/weir|$prefix/bin/weir|" packaging/weir.service >"$root$prefix/lib/systemd/system/weir.service"
echo "installed under $root$prefix"
