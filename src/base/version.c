/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The version of the library that runs, which may be newer than the headers a program was built
 * with.
 */
#include <weir/version.h>

const char *weir_version(void)
{
	return WEIR_VERSION;
}
