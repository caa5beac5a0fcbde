#!/bin/sh
# Type-checks the programs for Windows on a machine that runs something else.
#
#   packaging/windows/check.sh [check|build|clippy]
#
# Needs mingw's C compiler, and of Rust either the standard library of the target (rustup target add
# x86_64-pc-windows-gnu) or its source beside the compiler. RUSTC may name another compiler.
# Ends with 0 and says so when one of them is missing: then nothing was checked.
set -eu
cd "$(dirname "$0")/../.."
target=x86_64-pc-windows-gnu
rustlib=$("${RUSTC:-rustc}" --print sysroot)/lib/rustlib

skip() {
    echo "skipped, nothing was checked: $1"
    exit 0
}

command -v x86_64-w64-mingw32-gcc >/dev/null || skip "there is no x86_64-w64-mingw32-gcc"
if [ -d "$rustlib/$target/lib" ]; then
    from_source=
elif [ -e "$rustlib/src/rust/library/std/Cargo.toml" ]; then
    # Cargo does it for nightly compilers only, unless it is told that they are meant.
    export RUSTC_BOOTSTRAP=1
    from_source=-Zbuild-std=std,panic_abort
else
    skip "Rust has neither the library of $target nor its source"
fi
# shellcheck disable=SC2086 # one word or none
exec cargo "${1:-check}" $from_source --target "$target" --target-dir target/windows \
    -p alknet-proto -p alknet-core -p alknetd -p alknetctl
