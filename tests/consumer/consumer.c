/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A program outside the tree, built against what was installed: it needs no server, yet touches
 * enough that all of weir is linked. Compiled as C11 and, by consumer.cc, as C++17.
 */
#include <stdio.h>
#include <string.h>

#include <weir/weir.h>

static int wrong(const char *what)
{
	fprintf(stderr, "consumer: %s\n", what);
	return 1;
}

int main(void)
{
	weir_options options;
	weir_error error;
	weir_router *router = NULL;
	weir_conn *conn = NULL;

	if (strcmp(weir_version(), WEIR_VERSION) != 0)
		return wrong("the library is not of the headers' version");
	weir_options_init(&options);
	if (weir_options_set(&options, "pool_max", "3", &error) != WEIR_OK || options.pool_max != 3)
		return wrong("a good option was not set");
	if (weir_options_set(&options, "pool_maxx", "3", &error) != WEIR_INVALID)
		return wrong("a bad name was taken");
	if (error.status != WEIR_INVALID || !strstr(error.text, "pool_maxx") ||
	    !strstr(error.text, "pool_max"))
		return wrong("the error does not name the option and its nearest");
	if (weir_router_open("postgresql://[::1/shop", &options, &router, &error) != WEIR_INVALID ||
	    router)
		return wrong("a malformed address was taken");
	if (weir_checkout(NULL, WEIR_READ, &conn, &error) != WEIR_INVALID || conn)
		return wrong("a checkout without a router");
	weir_checkin(&conn);
	if (weir_pg(conn))
		return wrong("a libpq connection out of nothing");
	printf("weir %s\n", weir_version());
	return 0;
}
