# SPDX-License-Identifier: BSD-2-Clause
#
# How each dependency is found; README.md beside this file says which, why and for what. What only some builds
# need is looked for only by them. The library's own are named again in cmake/weirConfig.cmake.in, for those who
# link weir statically.
find_package(PkgConfig REQUIRED)
set(THREADS_PREFER_PTHREAD_FLAG ON)
find_package(Threads REQUIRED)

# weir_find(NAME module>=version): makes PkgConfig::WEIR_NAME, or says which Debian package is wanted.
function(weir_find name module package)
	pkg_check_modules(WEIR_${name} QUIET IMPORTED_TARGET GLOBAL ${module})
	if(NOT WEIR_${name}_FOUND)
		message(FATAL_ERROR "${module} was not found by pkg-config: on Debian, install ${package} (./dev setup does)")
	endif()
	message(STATUS "${module}: ${WEIR_${name}_VERSION}")
endfunction()

weir_find(LIBPQ libpq>=14 libpq-dev)
weir_find(URCU liburcu-bp>=0.13 liburcu-dev)
weir_find(INIH inih>=53 libinih-dev)
if(WEIR_CLI OR WEIR_PATRONI OR WEIR_HTTP)
	weir_find(JANSSON jansson>=2.12 libjansson-dev)
endif()
if(WEIR_PATRONI)
	weir_find(CURL libcurl>=7.85 libcurl4-openssl-dev)
endif()
if(WEIR_HTTP)
	weir_find(MICROHTTPD libmicrohttpd>=0.9.73 libmicrohttpd-dev)
endif()
if(WEIR_JEMALLOC)
	weir_find(JEMALLOC jemalloc>=5.2 libjemalloc-dev)
endif()
if(WEIR_USDT)
	include(CheckIncludeFile)
	check_include_file(sys/sdt.h WEIR_SDT_H)
endif()
if(WEIR_TESTS)
	weir_find(CMOCKA cmocka>=1.1.5 libcmocka-dev)
endif()
