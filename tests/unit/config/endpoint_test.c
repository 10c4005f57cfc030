/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Endpoints named by hand: host[:port], [address]:port, sockets, and every way to get them wrong.
 */
#include "config/dsn.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/text.h"

static weir_error error;

static const char *read_as(const char *text)
{
	static char line[512];
	struct wi_endpoint *hosts;
	struct wi_text t;
	size_t n;

	wi_text_init(&t, line, sizeof(line));
	if (wi_endpoints_parse(text, &hosts, &n, &error) != WEIR_OK) {
		wi_text_add(&t, "! %s", error.text);
		assert_null(hosts);
		return line;
	}
	for (size_t i = 0; i < n; i++)
		wi_text_add(&t, "%s%s|%s", i ? " " : "", hosts[i].host, hosts[i].port);
	wi_free(hosts, n * sizeof(*hosts));
	return line;
}

static void lists_are_read(void **state)
{
	(void)state;
	assert_string_equal(read_as("rw.shop"), "rw.shop|5432");
	assert_string_equal(read_as("ro1:6432, ro2 ,\t10.0.0.1:7000"),
	                    "ro1|6432 ro2|5432 10.0.0.1|7000");
	assert_string_equal(read_as("[::1]:6432,[fe80::2]"), "::1|6432 fe80::2|5432");
	assert_string_equal(read_as("/run/pg,/run/other:7000"), "/run/pg|5432 /run/other|7000");
}

static void names_are_for_people(void **state)
{
	struct wi_endpoint *hosts;
	size_t n;

	(void)state;
	assert_int_equal(wi_endpoints_parse("a:1,[::1]", &hosts, &n, &error), WEIR_OK);
	assert_int_equal(n, 2);
	assert_string_equal(hosts[0].name, "a:1");
	assert_string_equal(hosts[1].name, "[::1]:5432");
	wi_free(hosts, n * sizeof(*hosts));
}

static void nothing_is_no_endpoint(void **state)
{
	struct wi_endpoint *hosts;
	size_t n = 7;

	(void)state;
	assert_int_equal(wi_endpoints_parse("", &hosts, &n, &error), WEIR_OK);
	assert_int_equal(n, 0);
	assert_null(hosts);
	assert_int_equal(wi_endpoints_parse("  ", &hosts, &n, &error), WEIR_OK);
	assert_int_equal(n, 0);
}

static void mistakes_are_told_with_their_place(void **state)
{
	static const char *const cases[][2] = {
		{"a,,b", "! list of endpoints: host 2 is empty"},
		{"a,", "! list of endpoints: host 2 is empty"},
		{"a,b:abc", "! list of endpoints: the port \"abc\" of host 2 is not a number"},
		{"a:0",
	         "! list of endpoints: the port \"0\" of host 1 is out of range: 1 to 65535"},
		{"a:70000",
	         "! list of endpoints: the port \"70000\" of host 1 is out of range: 1 to 65535"},
		{"a:",
	         "! list of endpoints: the text \"a:\" of host 1 is not host, host:port or [address]:port"},
		{":1",
	         "! list of endpoints: the text \":1\" of host 1 is not host, host:port or [address]:port"},
		{"::1",
	         "! list of endpoints: the text \"::1\" of host 1 is not host, host:port or [address]:port"},
		{"[::1",
	         "! list of endpoints: the text \"[::1\" of host 1 is not host, host:port or [address]:port"},
		{"[]:1",
	         "! list of endpoints: the text \"[]:1\" of host 1 is not host, host:port or [address]:port"},
		{"[::1]1",
	         "! list of endpoints: the text \"[::1]1\" of host 1 is not host, host:port or [address]:port"},
		{"a b",
	         "! list of endpoints: the name \"a b\" of host 1 has a blank or a control character in it"},
		{"a\nb",
	         "! list of endpoints: the name \"a b\" of host 1 has a blank or a control character in it"},
		{"x@y",
	         "! list of endpoints: the name of host 1 has a character in it that is in no host's name: give host:port, not a URL or a connection string"},
		{"a,b,A", "! list of endpoints: host 3 is the same as host 1"},
	};
	size_t blocks = wi_alloc_blocks();

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_string_equal(read_as(cases[i][0]), cases[i][1]);
	assert_int_equal(wi_alloc_blocks(), blocks);
}

/* Whatever is pasted there by mistake, and wherever a comma in the password cuts it. */
static void no_password_is_told(void **state)
{
	static const char *const pasted[] = {
		"postgresql://app:hunter2@db1:5432/shop",
		"app:hunter2@db1",
		"hunter2@db1:5432",
		"db1:hunter2@5432",
		"app:hunter2@db1:5432",
		"postgresql://app:hunter2,x@db1",
		"db0,app:hunter2,x@db1",
		"host=db1 password=hunter2",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(pasted) / sizeof(pasted[0]); i++) {
		const char *line = read_as(pasted[i]);

		if (line[0] != '!' || strstr(line, "hunter2") ||
		    !strstr(line, "give host:port, not a URL"))
			fail_msg("%s: %s", pasted[i], line);
	}
}

static void want_of_memory_is_a_status(void **state)
{
	struct wi_endpoint *hosts;
	size_t n;

	(void)state;
	wi_alloc_fail_at(1);
	assert_int_equal(wi_endpoints_parse("a", &hosts, &n, &error), WEIR_NO_MEMORY);
	assert_null(hosts);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lists_are_read),
		cmocka_unit_test(names_are_for_people),
		cmocka_unit_test(nothing_is_no_endpoint),
		cmocka_unit_test(mistakes_are_told_with_their_place),
		cmocka_unit_test(no_password_is_told),
		cmocka_unit_test(want_of_memory_is_a_status),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
