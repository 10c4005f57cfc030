/* SPDX-License-Identifier: BSD-2-Clause */
/* Bad input and misuse: each has its own answer, and the pool is none the worse for it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/world.h"
#include "pool/pool.h"
#include "support/sim.h"
#include "support/watchdog.h"

static weir_options o;
static weir_error error;

static int set_up(void **state)
{
	(void)state;
	sim_options(&o);
	o.pool_max = 2;
	memset(&error, 0, sizeof(error));
	return 0;
}

/* The pool serves as if nothing had happened, and all of it is given back. */
static void assert_unharmed(uint64_t misuse)
{
	weir_conn *a = sim_checkout(1000), *b = sim_checkout(1000);

	assert_non_null(a);
	assert_non_null(b);
	assert_ptr_not_equal(wi_conn_of(a), wi_conn_of(b));
	assert_null(sim_checkout(0));
	weir_checkin(&a);
	weir_checkin(&b);
	sim_settle();
	assert_int_equal(sim_stats()->misuse, misuse);
	assert_int_equal(sim_told(WEIR_EVENT_MISUSE), (int)misuse);
	assert_int_equal(sim_stats()->checkouts, sim_stats()->checkins);
	assert_int_equal(sim_stats()->idle, 2);
	sim_end();
}

static void giving_back_nulls_and_null_is_nothing(void **state)
{
	weir_conn *conn, *none = NULL;

	(void)state;
	sim_begin(&o);
	conn = sim_checkout(1000);
	weir_checkin(&conn);
	assert_null(conn);
	weir_checkin(&conn);
	weir_discard(&conn);
	weir_checkin(&none);
	weir_checkin(NULL);
	weir_discard(NULL);
	assert_unharmed(0);
}

static void giving_back_twice_is_noticed(void **state)
{
	weir_conn *conn, *copy;

	(void)state;
	sim_begin(&o);
	copy = conn = sim_checkout(1000);
	weir_checkin(&conn);
	weir_checkin(&copy);
	assert_null(copy);
	assert_unharmed(1);
}

static void discarding_twice_is_noticed(void **state)
{
	weir_conn *conn, *copy, *late;

	(void)state;
	sim_begin(&o);
	late = copy = conn = sim_checkout(1000);
	weir_discard(&conn);
	weir_discard(&copy);
	sim_settle();
	weir_checkin(&late); /* the slot is empty by now */
	assert_int_equal(sim_stats()->closed[WEIR_CLOSE_DISCARDED], 1);
	assert_unharmed(2);
}

static void a_stale_copy_does_not_touch_the_next_holder(void **state)
{
	weir_conn *conn, *next, *copy;

	(void)state;
	o.pool_max = 2;
	sim_begin(&o);
	for (int i = 0; i < 255; i++) {
		conn = sim_checkout(1000);
		copy = conn;
		weir_checkin(&conn);
		next = sim_checkout(1000); /* the same connection, for another loan */
		assert_ptr_not_equal(next, copy);
		weir_checkin(&copy);
		assert_non_null(wi_conn_of(next));
		weir_checkin(&next);
	}
	assert_unharmed(255);
}

static void a_copy_is_known_as_stale_through_255_loans(void **state)
{
	weir_conn *conn, *copy;

	(void)state;
	sim_begin(&o);
	copy = conn = sim_checkout(1000);
	weir_checkin(&conn);
	for (int i = 0; i < 255; i++) {
		conn = sim_checkout(1000);
		assert_null(wi_conn_of(copy));
		weir_checkin(&conn);
	}
	assert_unharmed(0);
}

static void a_stale_handle_leads_nowhere(void **state)
{
	weir_conn *conn, *copy;
	weir_conn_info info;

	(void)state;
	sim_begin(&o);
	copy = conn = sim_checkout(1000);
	assert_int_equal(weir_conn_info_get(conn, &info), WEIR_OK);
	assert_string_equal(info.host, "127.0.0.1:5432");
	assert_int_equal(info.backend_pid, 1);
	assert_int_equal(info.role, WEIR_ROLE_UNKNOWN);
	assert_int_equal(info.reason, WEIR_REASON_NONE);
	assert_null(info.tag);
	assert_int_equal(weir_conn_info_get(conn, NULL), WEIR_INVALID);
	weir_checkin(&conn);
	assert_int_equal(weir_conn_info_get(copy, &info), WEIR_STALE);
	assert_string_equal(info.host, "");
	assert_int_equal(weir_conn_info_get(NULL, &info), WEIR_STALE);
	assert_null(weir_pg(copy));
	assert_null(weir_pg(NULL));
	assert_unharmed(0);
}

/* What is no handle at all is told from one in builds with checks, as this one is. */
static void a_foreign_pointer_is_not_followed(void **state)
{
	_Alignas(256) char memory[512] = {0};
	char *page = malloc(4096);
	weir_conn *foreign = (weir_conn *)(void *)memory;

	(void)state;
	assert_non_null(page);
	sim_begin(&o);
	memory[4] = 1; /* as if lent */
	weir_checkin(&foreign);
	assert_null(foreign);
	foreign = (weir_conn *)(void *)page;
	weir_discard(&foreign);
	foreign = (weir_conn *)8;
	weir_checkin(&foreign);
	assert_null(weir_pg((weir_conn *)8));
	free(page);
	assert_unharmed(0);
}

static void checkout_wants_a_pool_and_a_place(void **state)
{
	weir_conn *conn = (weir_conn *)8;

	(void)state;
	sim_begin(&o);
	assert_int_equal(weir_pool_checkout(NULL, 0, &conn, &error), WEIR_INVALID);
	assert_string_equal(error.text, "weir_pool_checkout: pool is NULL");
	assert_int_equal(weir_pool_checkout(sim_pool(), 0, NULL, &error), WEIR_INVALID);
	assert_string_equal(error.text, "weir_pool_checkout: conn is NULL");
	assert_int_equal(weir_pool_checkout(NULL, 0, NULL, NULL), WEIR_INVALID);
	assert_unharmed(0);
}

static void stats_take_null(void **state)
{
	weir_pool_stats stats;

	(void)state;
	memset(&stats, 0xff, sizeof(stats));
	weir_pool_stats_get(NULL, &stats);
	assert_int_equal(stats.total, 0);
	weir_pool_stats_get(NULL, NULL);
}

static void closing_nothing_is_fine(void **state)
{
	weir_pool *none = NULL;

	(void)state;
	assert_int_equal(weir_pool_close(NULL, 0), WEIR_OK);
	assert_int_equal(weir_pool_close(&none, 0), WEIR_OK);
}

/* ---- configuration ---- */

static void refuse(const char *conninfo, const char *must_say)
{
	weir_pool *pool = (weir_pool *)8;
	size_t before = wi_alloc_bytes();

	assert_int_equal(weir_pool_open(conninfo, &o, &pool, &error), WEIR_INVALID);
	assert_null(pool);
	assert_int_equal(error.status, WEIR_INVALID);
	if (!strstr(error.text, must_say))
		fail_msg("\"%s\" does not say \"%s\"", error.text, must_say);
	assert_null(strstr(error.text, "s3cret"));
	assert_int_equal(weir_pool_open(conninfo, &o, &pool, NULL), WEIR_INVALID);
	assert_int_equal(wi_alloc_bytes(), before);
}

static void what_cannot_be_meant_is_refused_by_name(void **state)
{
	(void)state;
	refuse("postgresql://app:s3cret@db/shop?pool_maxx=3", "pool_max");
	refuse("postgresql://app:s3cret@db/shop?pool_max=0", "pool_max");
	refuse("postgresql://app:s3cret@db/shop?pool_max=many", "pool_max");
	refuse("postgresql://app:s3cret@db/shop?aplication_name=x", "application_name");
	refuse("postgresql://app:s3cret@db/shop?sslmode=maybe", "sslmode");
	refuse("postgresql://app:s3cret@[::1/shop", "");
	refuse("postgresql://app:s3cret@db:port/shop", "");
	refuse("postgresql://app:s3cret%zz@db/shop", "");
	refuse("host=db user", "");
	refuse("host=db password='s3cret", "");
	refuse("postgresql://app:s3cret@db1,db2/shop", "open a router");
}

static void options_out_of_range_are_refused(void **state)
{
	(void)state;
	o.pool_max = 0;
	refuse("host=db", "pool_max");
	sim_options(&o);
	o.connect_parallel = 100000;
	refuse("host=db", "connect_parallel");
	sim_options(&o);
	o.size = 3;
	refuse("host=db", "");
}

static void options_in_the_url_win(void **state)
{
	(void)state;
	o.pool_max = 7;
	assert_int_equal(sim_open_at("postgresql://app:s3cret@127.0.0.1/shop?pool_max=3", &o),
	                 WEIR_OK);
	assert_int_equal(sim_stats()->max, 3);
	assert_string_equal(sim_stats()->host, "127.0.0.1:5432");
	sim_end();
}

static void open_wants_a_place(void **state)
{
	(void)state;
	assert_int_equal(weir_pool_open("host=db", NULL, NULL, &error), WEIR_INVALID);
	assert_non_null(strstr(error.text, "pool is NULL"));
}

#define TEST(name) cmocka_unit_test_setup(name, set_up)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(giving_back_nulls_and_null_is_nothing),
		TEST(giving_back_twice_is_noticed),
		TEST(discarding_twice_is_noticed),
		TEST(a_stale_copy_does_not_touch_the_next_holder),
		TEST(a_copy_is_known_as_stale_through_255_loans),
		TEST(a_stale_handle_leads_nowhere),
		TEST(a_foreign_pointer_is_not_followed),
		TEST(checkout_wants_a_pool_and_a_place),
		TEST(stats_take_null),
		TEST(closing_nothing_is_fine),
		TEST(what_cannot_be_meant_is_refused_by_name),
		TEST(options_out_of_range_are_refused),
		TEST(options_in_the_url_win),
		TEST(open_wants_a_place),
	};

	test_watchdog(60, "sim.pool_misuse");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
