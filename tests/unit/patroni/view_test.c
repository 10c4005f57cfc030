/* SPDX-License-Identifier: BSD-2-Clause */
/* From what Patroni answers to who leads and who belongs to it; and what is no answer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "patroni/patroni.h"

static struct wi_view view;
static char why[256];

static bool read_view(const char *body)
{
	why[0] = '\0';
	return wi_view_read(&view, body, strlen(body), "zone", why, sizeof(why));
}

/* As Patroni 3.0 answers. */
static void a_cluster_is_read(void **state)
{
	(void)state;
	assert_true(read_view(
		"{\"members\": ["
		"{\"name\": \"a\", \"role\": \"leader\", \"state\": \"running\", \"api_url\": "
		"\"http://10.0.0.1:8008/patroni\", \"host\": \"10.0.0.1\", \"port\": 5432, "
		"\"timeline\": 7},"
		"{\"name\": \"b\", \"role\": \"sync_standby\", \"host\": \"db-b.example\", \"port\": "
		"5433, \"tags\": {\"noloadbalance\": true, \"zone\": \"east\"}, \"lag\": \"unknown\"},"
		"{\"name\": \"c\", \"role\": \"replica\", \"host\": \"fd00::3\", \"port\": 5432, "
		"\"tags\": {\"noloadbalance\": \"true\", \"zone\": 3}},"
		"{\"name\": \"d\", \"role\": \"replica\", \"state\": \"creating replica\"}]}"));
	assert_int_equal(view.n, 3);
	assert_ptr_equal(view.leader, &view.member[0]);
	assert_string_equal(view.leader->host, "10.0.0.1:5432");
	assert_int_equal(view.leader->timeline, 7);
	assert_false(view.leader->unbalanced);
	assert_string_equal(view.member[1].host, "db-b.example:5433");
	assert_string_equal(view.member[1].zone, "east");
	assert_true(view.member[1].unbalanced);
	assert_string_equal(view.member[2].host, "[fd00::3]:5432");
	assert_string_equal(view.member[2].zone, "");
	assert_true(view.member[2].unbalanced);
	assert_false(view.paused);
}

static void nobody_may_lead(void **state)
{
	(void)state;
	/* A standby cluster's leader takes no writes. */
	assert_true(read_view("{\"members\": [{\"role\": \"standby_leader\", \"host\": \"a\", "
	                      "\"port\": 1, \"timeline\": -4}], \"pause\": true}"));
	assert_null(view.leader);
	assert_int_equal(view.member[0].timeline, 0);
	assert_true(view.paused);
}

static void what_cannot_be_is_refused(void **state)
{
	static const struct {
		const char *body, *why;
	} bad[] = {
		{"", "no JSON"},
		{"{\"members\": [", "no JSON"},
		{"[]", "no members"},
		{"{\"members\": []}", "no members"},
		{"{\"members\": 3}", "no members"},
		{"{\"members\": [{\"role\": \"leader\"}]}", "the leader has no address"},
		{"{\"members\": [{\"role\": \"leader\", \"host\": \"a,b\", \"port\": 1}]}",
	         "the leader has no address"},
		{"{\"members\": [{\"role\": \"leader\", \"host\": \"/tmp\", \"port\": 1}]}",
	         "the leader has no address"},
		{"{\"members\": [{\"role\": \"leader\", \"host\": \"a\", \"port\": 65536}]}",
	         "the leader has no address"},
		{"{\"members\": [{\"role\": \"leader\", \"host\": \"a\", \"port\": 1}, {\"role\": "
	         "\"leader\", \"host\": \"b\", \"port\": 1}]}",
	         "two members lead"},
		{"{\"members\": [{\"host\": \"a\", \"port\": 1}, {\"host\": \"a\", \"port\": 1}]}",
	         "two members have one address"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (read_view(bad[i].body) || !strstr(why, bad[i].why))
			fail_msg("%s: %s", bad[i].body, why);
}

static void too_many_members_are_refused(void **state)
{
	static char body[16384];
	int n = snprintf(body, sizeof(body), "{\"members\": [");

	(void)state;
	for (int i = 0; i <= WI_MEMBERS_MAX; i++)
		n += snprintf(body + n, sizeof(body) - (size_t)n,
		              "%s{\"host\": \"a\", \"port\": %d}", i ? ", " : "", i + 1);
	snprintf(body + n, sizeof(body) - (size_t)n, "]}");
	assert_false(read_view(body));
	assert_non_null(strstr(why, "too many"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_cluster_is_read),
		cmocka_unit_test(nobody_may_lead),
		cmocka_unit_test(what_cannot_be_is_refused),
		cmocka_unit_test(too_many_members_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
