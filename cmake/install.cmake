# SPDX-License-Identifier: BSD-2-Clause
#
# What `cmake --install` puts where: headers, both libraries, the program, and the files by which find_package(weir)
# and pkg-config find them. All of it can be moved to another prefix afterwards.
include(CMakePackageConfigHelpers)

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/weir)
install(TARGETS weir weir_static EXPORT weirTargets)
if(WEIR_PATRONI)
	install(TARGETS weir_patroni EXPORT weirTargets)
else()
	list(FILTER headers EXCLUDE REGEX "/patroni\\.h$")
endif()
if(WEIR_HTTP)
	install(TARGETS weir_http EXPORT weirTargets)
else()
	list(FILTER headers EXCLUDE REGEX "/http\\.h$")
endif()
install(FILES ${headers} DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/weir)
install(EXPORT weirTargets NAMESPACE weir:: DESTINATION ${package_dir})
if(TARGET weir-cli)
	install(TARGETS weir-cli)
endif()
if(TARGET weir_own_words)
	install(DIRECTORY ${weir_own_words}/man/ DESTINATION ${CMAKE_INSTALL_MANDIR})
	install(FILES ${weir_own_words}/weir.bash DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions RENAME weir)
	install(FILES ${weir_own_words}/weir.zsh DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/site-functions RENAME _weir)
	install(FILES ${weir_own_words}/weir.fish DESTINATION ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d)
endif()

set(weir_needs "LIBPQ=libpq" "URCU=liburcu-bp" "INIH=inih")
if(WEIR_JEMALLOC)
	list(APPEND weir_needs "JEMALLOC=jemalloc")
endif()
configure_package_config_file(${CMAKE_CURRENT_LIST_DIR}/weirConfig.cmake.in ${PROJECT_BINARY_DIR}/weirConfig.cmake
	INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/weirConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/weirConfig.cmake ${PROJECT_BINARY_DIR}/weirConfigVersion.cmake
	DESTINATION ${package_dir})

# weir.pc finds its prefix from its own place: as many steps up as the way down to it has.
file(RELATIVE_PATH weir_pc_to_prefix /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
string(REGEX REPLACE "/$" "" weir_pc_to_prefix ${weir_pc_to_prefix})
list(TRANSFORM weir_needs REPLACE "^.*=" "" OUTPUT_VARIABLE weir_pc_requires)
list(JOIN weir_pc_requires " " weir_pc_requires)

# weir-static links libweir.a and all else shared. `pkg-config --static weir` asks for a static libpq too, and for all
# that goes with one, which Debian does not ship.
set(weir_pcs weir weir-static)
if(WEIR_PATRONI)
	list(APPEND weir_pcs weir-patroni)
endif()
if(WEIR_HTTP)
	list(APPEND weir_pcs weir-http)
endif()
foreach(pc ${weir_pcs})
	configure_file(${CMAKE_CURRENT_LIST_DIR}/${pc}.pc.in ${PROJECT_BINARY_DIR}/${pc}.pc @ONLY)
	install(FILES ${PROJECT_BINARY_DIR}/${pc}.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
endforeach()
