/* SPDX-License-Identifier: BSD-2-Clause */
/* The text of the metrics: complete, well-formed in both formats, and without anything secret. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <weir/weir.h>

#include "support/fake_cluster.h"

static void show(void **state)
{
	struct fake_cluster cluster;
	weir_router *router;
	char *text;
	size_t length;

	(void)state;
	fake_cluster_init(&cluster, 3);
	assert_int_equal(fake_cluster_open(&cluster, NULL, &router, NULL), WEIR_OK);
	assert_int_equal(weir_router_probe(router, 10000), WEIR_OK);
	for (int f = 0; f < 2; f++) {
		assert_int_equal(
			weir_router_metrics(router, (weir_metrics_format)f, &text, &length, NULL),
			WEIR_OK);
		assert_int_equal(strlen(text), length);
		if (getenv("TEST_SHOW"))
			fputs(text, stdout);
		weir_text_free(text);
	}
	assert_int_equal(weir_router_close(&router, 10000), WEIR_OK);
	fake_cluster_fini(&cluster);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(show)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
