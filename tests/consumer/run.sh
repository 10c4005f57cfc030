#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Installs a build of weir, moves what was installed to another place, and builds and runs programs against it
# from there.  run.sh install | find_package | pkg_config  <build dir> <cmake> <cc> <c++>
set -euo pipefail

what=$1 build=$2 cmake=$3 cc=$4 cxx=$5
here=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")
stage=$build/consumer
prefix=$stage/moved

# runs_with shared|static PROGRAM: the program runs, and has the shared library loaded or not, as it should.
runs_with() {
	local loaded=static
	"$2"
	if [[ $(ldd "$2") == *libweir.so* ]]; then loaded=shared; fi
	if [[ $loaded != "$1" ]]; then
		echo "consumer: $2 uses the $loaded library, not the $1 one" >&2
		return 1
	fi
}

install_and_move() {
	rm -rf "$stage"
	"$cmake" --install "$build" --prefix "$stage/installed" >/dev/null
	mv "$stage/installed" "$prefix"
	# Nothing in the files by which weir is found may remember where it was built or installed.
	if grep -rIl -e "$build" -e "$stage/installed" "$prefix"; then
		echo "consumer: the files above name the place they came from" >&2
		return 1
	fi
	if [[ -x $prefix/bin/weir ]]; then
		"$prefix/bin/weir" options >/dev/null
	fi
	if [[ -d $build/own_words ]]; then
		(cd "$prefix/share" && ls man/man1/weir.1 man/man1/weir-bench.1 man/man5/weir_options.5 man/man7/libweir.7 \
			bash-completion/completions/weir zsh/site-functions/_weir fish/vendor_completions.d/weir.fish) >/dev/null
	fi
}

by_find_package() {
	local program
	"$cmake" -S "$here/project" -B "$stage/project" -G Ninja -DCMAKE_PREFIX_PATH="$prefix" \
		-DCMAKE_C_COMPILER="$cc" -DCMAKE_CXX_COMPILER="$cxx" >/dev/null
	"$cmake" --build "$stage/project" >/dev/null
	for program in consumer_c consumer_cc; do
		runs_with shared "$stage/project/${program}_weir"
		runs_with static "$stage/project/${program}_weir_static"
	done
	if [[ -f $prefix/include/weir/patroni.h ]]; then
		runs_with shared "$stage/project/patroni_weir"
	fi
	if [[ -f $prefix/include/weir/http.h ]]; then
		runs_with shared "$stage/project/http_weir"
	fi
}

by_pkg_config() {
	local pc flags libs static_libs out=$stage/pkg_config
	pc=$(dirname "$(find "$prefix" -name weir.pc)")
	export PKG_CONFIG_PATH=$pc
	mkdir -p "$out"
	read -ra flags <<<"$(pkg-config --cflags weir)"
	read -ra libs <<<"$(pkg-config --libs weir)"
	read -ra static_libs <<<"$(pkg-config --libs weir-static)"
	libs+=("-Wl,-rpath,$(pkg-config --variable=libdir weir)")
	"$cc" -std=c11 "${flags[@]}" "$here/consumer.c" -o "$out/c_shared" "${libs[@]}"
	"$cc" -std=c11 "${flags[@]}" "$here/consumer.c" -o "$out/c_static" "${static_libs[@]}"
	"$cxx" -std=c++17 "${flags[@]}" "$here/consumer.cc" -o "$out/cc_shared" "${libs[@]}"
	"$cxx" -std=c++17 "${flags[@]}" "$here/consumer.cc" -o "$out/cc_static" "${static_libs[@]}"
	runs_with shared "$out/c_shared"
	runs_with shared "$out/cc_shared"
	runs_with static "$out/c_static"
	runs_with static "$out/cc_static"
	if [[ -f $prefix/include/weir/patroni.h ]]; then
		read -ra flags <<<"$(pkg-config --cflags weir-patroni)"
		read -ra libs <<<"$(pkg-config --libs weir-patroni)"
		libs+=("-Wl,-rpath,$(pkg-config --variable=libdir weir-patroni)")
		"$cc" -std=c11 "${flags[@]}" "$here/patroni.c" -o "$out/patroni" "${libs[@]}"
		runs_with shared "$out/patroni"
	fi
	if [[ -f $prefix/include/weir/http.h ]]; then
		read -ra flags <<<"$(pkg-config --cflags weir-http)"
		read -ra libs <<<"$(pkg-config --libs weir-http)"
		libs+=("-Wl,-rpath,$(pkg-config --variable=libdir weir-http)")
		"$cc" -std=c11 "${flags[@]}" "$here/http.c" -o "$out/http" "${libs[@]}"
		runs_with shared "$out/http"
	fi
}

case $what in
install) install_and_move ;;
find_package) by_find_package ;;
pkg_config) by_pkg_config ;;
esac
