/* SPDX-License-Identifier: BSD-2-Clause */
/* The version of the headers, and of the library. */
#ifndef WEIR_VERSION_H
#define WEIR_VERSION_H

#include <weir/export.h>

/* The version of these headers. */
#define WEIR_VERSION_MAJOR 0
#define WEIR_VERSION_MINOR 1
#define WEIR_VERSION_PATCH 0
#define WEIR_VERSION "0.1.0"

WEIR_BEGIN

/* The version of the library that runs, e.g. "0.1.0"; static storage. */
WEIR_API const char *weir_version(void);

WEIR_END

#endif
