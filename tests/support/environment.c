/* SPDX-License-Identifier: BSD-2-Clause */
/* The lines are in the fixed places of one array, which stands in for environ. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "support/environment.h"

#define MOST 8

static char lines[MOST][256];
static char *entries[MOST + 1];
static char **own;

void env_begin(void)
{
	own = environ;
	env_clear();
}

void env_end(void)
{
	environ = own;
}

void env_put(const char *name, const char *value)
{
	size_t n = 0;

	while (entries[n])
		n++;
	assert_in_range(n, 0, MOST - 1);
	snprintf(lines[n], sizeof(lines[n]), "%s=%s", name, value);
	entries[n] = lines[n];
}

void env_clear(void)
{
	memset(entries, 0, sizeof(entries));
	environ = entries;
}

void env_only(const char *name, const char *value)
{
	env_clear();
	env_put(name, value);
}
