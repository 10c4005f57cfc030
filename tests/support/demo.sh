#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# weir at work, with proof: see the text of --help, in demolib/main.py. This finds what that needs.
# TEST_BIN names the weir program; without it, one that ./dev has built is taken.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)

die() {
	printf 'demo: %s\n' "$*" >&2
	exit 1
}

if [ -z "${TEST_BIN:-}" ]; then
	for build in dev release; do
		if [ -x "$top/build/$build/bin/weir" ]; then TEST_BIN=$top/build/$build/bin/weir; fi
	done
fi
[ -n "${TEST_BIN:-}" ] ||
	die "the program weir is not built yet: ./dev demo does it all, or set TEST_BIN"
[ -x "$TEST_BIN" ] || die "TEST_BIN=$TEST_BIN is no program"
command -v python3 >/dev/null || die "python3 is not installed (on Debian: python3)"
export TEST_BIN
exec python3 -B "$here/demolib" "$@"
