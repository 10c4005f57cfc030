/* SPDX-License-Identifier: BSD-2-Clause */
/* Whom a standby follows, by the words of its own settings; and names of several servers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "base/line.h"
#include "route/router.h"

#define HOSTS 5

static weir_router r;
static struct wi_host hosts[HOSTS];
static const struct wi_endpoint endpoints[HOSTS] = {
	{.host = "db1.example", .port = "5432"},
	{.host = "db2.example", .hostaddr = "10.0.0.2", .port = "5433"},
	{.host = "127.0.0.1", .port = "6000"},
	{.host = "db4.example"},
	{.host = "/run/postgresql", .port = "5434"},
};

static int set_up(void **state)
{
	(void)state;
	memset(&r, 0, sizeof(r));
	memset(hosts, 0, sizeof(hosts));
	for (uint32_t i = 0; i < HOSTS; i++) {
		hosts[i].router = &r;
		hosts[i].number = i;
		hosts[i].endpoint = &endpoints[i];
		wi_store_rlx(&r.place[i], &hosts[i]);
	}
	strcpy(hosts[0].probe.peer, "10.0.0.1");
	return 0;
}

/* Which host a standby, host `me`, follows if it names this one; -1: none of ours. */
static int followed(int me, const char *sender, const char *port)
{
	struct wi_finding *f = &hosts[me].probe.found;

	f->sight.answered = true;
	snprintf(f->sender, sizeof(f->sender), "%s", sender);
	snprintf(f->sender_port, sizeof(f->sender_port), "%s", port);
	return (int)wi_identity_followed(&r, &hosts[me]) - 1;
}

static void by_name_or_address_and_port(void **state)
{
	(void)state;
	assert_int_equal(followed(3, "db1.example", "5432"), 0);
	assert_int_equal(followed(3, "DB1.Example", "5432"), 0);
	assert_int_equal(followed(3, "10.0.0.1", "5432"), 0); /* what its name came to */
	assert_int_equal(followed(3, "10.0.0.2", "5433"), 1);
	assert_int_equal(followed(3, "db2.example", "5433"), 1);
	assert_int_equal(followed(0, "db4.example", "5432"), 3); /* its port is not said */
	assert_int_equal(followed(3, "db1.example", "5433"), -1);
	assert_int_equal(followed(3, "db1", "5432"), -1);
	assert_int_equal(followed(3, "10.0.0.3", "5432"), -1);
	assert_int_equal(followed(3, "", ""), -1);
	assert_int_equal(followed(0, "db1.example", "5432"), -1); /* itself */
	hosts[3].probe.found.sight.answered = false;
	snprintf(hosts[3].probe.found.sender, 64, "db1.example");
	assert_int_equal(wi_identity_followed(&r, &hosts[3]), 0);
}

/* What is local to a server elsewhere is another machine than what is local to us. */
static void local_is_where_it_is_said(void **state)
{
	(void)state;
	assert_int_equal(followed(0, "127.0.0.1", "6000"), -1);
	assert_int_equal(followed(0, "/run/postgresql", "5434"), -1);
	assert_int_equal(followed(4, "127.0.0.1", "6000"), 2);
	assert_int_equal(followed(2, "/run/postgresql", "5434"), 4);
}

static void answer_from(uint64_t started, int64_t at_ms)
{
	hosts[0].probe.found.sight.started = started;
	wi_identity_note(&hosts[0], at_ms * WI_MS);
}

static bool is_several(int64_t at_ms)
{
	return wi_identity_is_several(&hosts[0], at_ms * WI_MS);
}

static void a_start_that_comes_back_is_another_server(void **state)
{
	(void)state;
	for (uint64_t i = 1; i < 20; i++) {
		answer_from(i, 10);
		answer_from(i, 10);
		answer_from(0, 10); /* it does not say */
		assert_false(is_several(10));
	}
	answer_from(17, 20);
	assert_true(is_several(20));
	/* Believed for five minutes. */
	assert_true(is_several(300000));
	assert_false(is_several(300020));
	answer_from(19, 300000);
	assert_true(is_several(400000));
	/* What is kept of its last answer says nothing of the five minutes after it. */
	hosts[0].probe.found.sight.answered = true;
	hosts[0].probe.found.sight.answered_ns = 300000 * WI_MS;
	assert_true(is_several(900000));
	hosts[0].probe.found.sight.answered_ns = 900000 * WI_MS;
	assert_false(is_several(900000));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup(name, set_up)
	const struct CMUnitTest tests[] = {
		TEST(by_name_or_address_and_port),
		TEST(local_is_where_it_is_said),
		TEST(a_start_that_comes_back_is_another_server),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
