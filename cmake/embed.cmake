# SPDX-License-Identifier: BSD-2-Clause
#
# Writes the files FILES (a list) as byte arrays into the C file INTO, with the table that src/http/page.h declares.
set(arrays "")
set(rows "")
foreach(file ${FILES})
	get_filename_component(name ${file} NAME)
	string(MAKE_C_IDENTIFIER ${name} word)
	file(READ ${file} bytes HEX)
	string(REGEX REPLACE "(................................)" "\\1\n" bytes "${bytes}")
	string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${bytes}")
	string(APPEND arrays "static const unsigned char ${word}[] = {\n${bytes}\n};\n\n")
	string(APPEND rows "\t{\"${name}\", ${word}, sizeof(${word})},\n")
endforeach()
file(WRITE ${INTO} "/* Made by cmake/embed.cmake. */\n#include \"http/page.h\"\n\n${arrays}"
	"const struct wi_page_file wi_page_files[] = {\n${rows}\t{0, 0, 0},\n};\n")
