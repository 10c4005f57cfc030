/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Who holds what: what is out can be listed, leak reports say where it was taken, and what a thread
 * leaves behind when it ends is told at once and reclaimed where that is asked for.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "core/desk.h"
#include "pool/pool.h"
#include "pool/tend.h"
#include "support/sim.h"
#include "support/watchdog.h"

static weir_options o;
static weir_held held[8];

static int set_up(void **state)
{
	(void)state;
	sim_options(&o);
	memset(held, 0, sizeof(held));
	return 0;
}

static size_t list(void)
{
	return weir_pool_held_get(sim_pool(), held, 8);
}

/* ---- the list ---- */

static void what_is_out_is_listed(void **state)
{
	weir_conn *conn[2];

	(void)state;
	sim_begin(&o);
	assert_int_equal(list(), 0);
	conn[0] = sim_checkout(1000);
	conn[1] = sim_checkout(1000);
	wi_conn_mark(conn[0], &(struct wi_mark){.role = WEIR_ROLE_REPLICA, .tag = "a page"});
	sim_run(5000);
	assert_int_equal(list(), 2);
	for (int i = 0; i < 2; i++) {
		assert_string_equal(held[i].host, "127.0.0.1:5432");
		assert_int_equal(held[i].thread, gettid());
		assert_false(held[i].thread_ended || held[i].reclaimed);
		assert_true(held[i].held_ns >= 4 * WI_SEC && held[i].held_ns <= 5 * WI_SEC);
		assert_int_equal(held[i].frames, 0); /* leak_stack is off */
		assert_string_equal(held[i].stack, "");
	}
	assert_true((held[0].tag != NULL) != (held[1].tag != NULL));
	assert_string_equal(held[held[0].tag ? 0 : 1].tag, "a page");
	assert_int_equal(held[held[0].tag ? 0 : 1].role, WEIR_ROLE_REPLICA);
	assert_int_equal(weir_pool_held_get(sim_pool(), held, 1), 2);
	assert_int_equal(weir_pool_held_get(sim_pool(), NULL, 0), 2);
	assert_int_equal(weir_pool_held_get(NULL, held, 8), 0);
	weir_checkin(&conn[0]);
	assert_int_equal(list(), 1);
	weir_checkin(&conn[1]);
	assert_int_equal(list(), 0);
	sim_end();
}

static void a_new_lending_is_not_as_old_as_the_last(void **state)
{
	weir_conn *conn;

	(void)state;
	sim_begin(&o);
	conn = sim_checkout(1000);
	sim_run(5000);
	weir_checkin(&conn);
	conn = sim_checkout(1000);
	assert_int_equal(list(), 1);
	assert_int_equal(held[0].held_ns, 0);
	weir_checkin(&conn);
	sim_end();
}

/* ---- stacks ---- */

static __attribute__((noinline)) weir_conn *a_caller_to_be_found(void)
{
	weir_conn *conn = sim_checkout(1000);

	__asm__ volatile("" ::: "memory"); /* no tail call */
	return conn;
}

/* Whether a stack leads through the function above. */
static bool leads_here(const weir_held *h)
{
	uintptr_t at = (uintptr_t)a_caller_to_be_found;

	for (uint32_t i = 0; i < h->frames; i++)
		if ((uintptr_t)h->frame[i] > at && (uintptr_t)h->frame[i] < at + 200)
			return true;
	return false;
}

static void always_is_every_checkout(void **state)
{
	weir_conn *conn;

	(void)state;
	o.leak_stack = WEIR_LEAK_STACK_ALWAYS;
	o.leak_after_ms = 1000;
	o.pool_max = 1;
	sim_begin(&o);
	for (int i = 0; i < 20; i++) {
		conn = a_caller_to_be_found();
		assert_int_equal(list(), 1);
		assert_true(leads_here(&held[0]));
		assert_non_null(strchr(held[0].stack, '+'));
		weir_checkin(&conn);
	}
	conn = a_caller_to_be_found();
	sim_run(3000);
	assert_int_equal(sim_stats()->leaks, 1);
	assert_non_null(strstr(sim_text(WEIR_EVENT_LEAK), "; taken at "));
	weir_checkin(&conn);
	assert_int_equal(sim_stats()->opened, 1); /* the note is no reason to put anything right */
	sim_end();
}

static void off_is_never(void **state)
{
	weir_conn *conn;

	(void)state;
	o.leak_after_ms = 1000;
	o.pool_max = 1;
	sim_begin(&o);
	for (int i = 0; i < 3; i++) {
		conn = a_caller_to_be_found();
		sim_run(3000);
		assert_int_equal(list(), 1);
		assert_int_equal(held[0].frames, 0);
		weir_checkin(&conn);
	}
	assert_null(strstr(sim_text(WEIR_EVENT_LEAK), "taken at"));
	sim_end();
}

static int sampled_of(int checkouts, int64_t pause_ms)
{
	int n = 0;

	for (int i = 0; i < checkouts; i++) {
		weir_conn *conn = a_caller_to_be_found();

		assert_int_equal(list(), 1);
		n += leads_here(&held[0]);
		weir_checkin(&conn);
		sim_run(pause_ms);
	}
	return n;
}

static void sampled_is_one_now_and_then_and_all_after_a_leak(void **state)
{
	weir_conn *conn;
	int n;

	(void)state;
	o.leak_stack = WEIR_LEAK_STACK_SAMPLED;
	o.leak_after_ms = 20000;
	o.pool_max = 1;
	sim_begin(&o);
	n = sampled_of(200, 100);
	assert_true(n > 5 && n < 50); /* one a look of the keeper's, about once a second */
	conn = a_caller_to_be_found();
	sim_run(25000);
	assert_int_equal(sim_stats()->leaks, 1);
	weir_checkin(&conn);
	assert_int_equal(sampled_of(200, 100), 200);
	sim_run(60000);
	(void)sampled_of(5, 0); /* the notes of before */
	n = sampled_of(200, 100);
	assert_true(n > 5 && n < 50);
	sim_end();
}

/* ---- threads that end ---- */

static weir_conn *kept[2];

static void take_and_end(void *arg)
{
	weir_conn **conn = arg;

	*conn = sim_checkout(1000);
	wi_conn_mark(*conn, &(struct wi_mark){.tag = "left behind"});
}

static void take_and_give_back(void *arg)
{
	weir_conn *conn = sim_checkout(1000);

	(void)arg;
	weir_checkin(&conn);
}

static void what_a_thread_leaves_behind_is_told_at_once(void **state)
{
	(void)state;
	o.leak_after_ms = 0;
	sim_begin(&o);
	sim_spawn(take_and_end, &kept[0]);
	sim_join();
	sim_run(1500);
	assert_int_equal(sim_told(WEIR_EVENT_LEAK), 1);
	assert_non_null(strstr(sim_text(WEIR_EVENT_LEAK), "not given back by thread "));
	assert_non_null(strstr(sim_text(WEIR_EVENT_LEAK), " (left behind), which has ended"));
	assert_int_equal(sim_stats()->orphans, 1);
	assert_int_equal(sim_stats()->leaks, 0);
	assert_int_equal(list(), 1);
	assert_true(held[0].thread_ended);
	assert_int_not_equal(held[0].thread, gettid());
	sim_run(60000);
	assert_int_equal(sim_told(WEIR_EVENT_LEAK), 1); /* once */
	/* handed on: another thread gives it back, and all is as if nothing had been */
	assert_non_null(wi_conn_of(kept[0]));
	weir_checkin(&kept[0]);
	assert_int_equal(sim_stats()->misuse, 0);
	assert_int_equal(sim_stats()->idle, 1);
	assert_int_equal(sim_stats()->opened, 1);
	sim_end();
}

/* It sits where the first sat. */
static void another_that_ends_tells_nothing_of_the_first(void **state)
{
	(void)state;
	o.leak_after_ms = 0;
	sim_begin(&o);
	for (int i = 0; i < 2; i++) {
		sim_spawn(take_and_end, &kept[i]);
		sim_join();
		sim_run(1500);
		assert_int_equal(sim_told(WEIR_EVENT_LEAK), i + 1);
		assert_int_equal(sim_stats()->orphans, i + 1);
	}
	assert_int_equal(list(), 2);
	assert_true(held[0].thread_ended && held[1].thread_ended);
	assert_int_not_equal(held[0].thread, held[1].thread); /* though in one seat */
	weir_checkin(&kept[0]);
	weir_checkin(&kept[1]);
	sim_end();
}

static void the_next_in_its_seat_is_not_taken_for_it(void **state)
{
	weir_conn *conn;
	int32_t gone;

	(void)state;
	o.leak_after_ms = 1000;
	sim_begin(&o);
	sim_spawn(take_and_end, &kept[0]);
	sim_join();
	assert_int_equal(list(), 1);
	gone = held[0].thread;
	conn = sim_checkout(1000); /* sits down where that one sat */
	sim_run(3000);
	assert_int_equal(list(), 2);
	for (int i = 0; i < 2; i++)
		assert_int_equal(held[i].thread, held[i].thread_ended ? gone : gettid());
	assert_true(held[0].thread_ended != held[1].thread_ended);
	assert_int_equal(sim_stats()->orphans, 1);
	weir_checkin(&conn);
	weir_checkin(&kept[0]);
	sim_end();
}

static void who_gives_back_before_it_ends_leaves_nothing(void **state)
{
	(void)state;
	sim_begin(&o);
	for (int i = 0; i < 20; i++) {
		sim_spawn(take_and_give_back, NULL);
		sim_join();
		/* what it had in its cache is there at once */
		assert_int_equal(sim_stats()->idle, 1);
		assert_int_equal(sim_stats()->opened, 1);
	}
	sim_run(3000);
	assert_int_equal(sim_stats()->orphans, 0);
	assert_int_equal(sim_told(WEIR_EVENT_LEAK), 0);
	sim_end();
}

static void what_it_leaves_behind_is_reclaimed_if_asked_for(void **state)
{
	weir_conn *conn, *copy;

	(void)state;
	o.pool_max = 2;
	o.dead_thread_action = WEIR_DEAD_THREAD_RECLAIM;
	sim_begin(&o);
	for (int i = 0; i < 10; i++) {
		sim_spawn(take_and_end, &kept[0]);
		sim_spawn(take_and_end, &kept[1]);
		sim_join();
		conn = sim_checkout(5000); /* there is none but what they left */
		assert_non_null(conn);
		weir_checkin(&conn);
		sim_run(1500);
		assert_int_equal(sim_stats()->orphans, 2 * (i + 1));
		assert_int_equal(sim_stats()->closed[WEIR_CLOSE_RECLAIMED], 2 * (i + 1));
		assert_int_equal(sim_stats()->busy, 0);
		copy = kept[0];
		weir_checkin(&copy); /* too late: it is told, and does nothing */
		assert_int_equal(sim_stats()->misuse, i + 1);
	}
	assert_true(wi_load_rlx(&sim_server()->sessions_peak) <= 2);
	sim_end();
}

/* Until then it may still be using what it holds: in what it does last, after it left its seat. */
static void who_ends_while_the_keeper_has_its_turn_is_waited_for(void **state)
{
	weir_conn *conn;
	int64_t began_ns;

	(void)state;
	o.dead_thread_action = WEIR_DEAD_THREAD_RECLAIM;
	sim_begin(&o);
	conn = sim_checkout(1000);
	began_ns = sim_now();
	sim_run(2);
	/* as in a thread that ends, and is not gone yet: this one */
	wi_held_thread_ends(sim_pool(), wi_desk_find(&sim_pool()->core));
	wi_leak_mourn(sim_pool(), began_ns);
	assert_int_equal(sim_stats()->orphans, 0);
	assert_non_null(wi_conn_of(conn));
	sim_run(900);
	assert_int_equal(sim_stats()->orphans, 0);
	sim_run(200);
	assert_int_equal(sim_stats()->orphans, 1);
	assert_int_equal(sim_stats()->closed[WEIR_CLOSE_RECLAIMED], 1);
	sim_end();
}

static void a_drain_does_not_wait_for_the_dead(void **state)
{
	(void)state;
	o.dead_thread_action = WEIR_DEAD_THREAD_RECLAIM;
	sim_begin(&o);
	sim_spawn(take_and_end, &kept[0]);
	sim_join();
	sim_end(); /* at once: nothing may be out */
}

#define TEST(name) cmocka_unit_test_setup(name, set_up)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_is_out_is_listed),
		TEST(a_new_lending_is_not_as_old_as_the_last),
		TEST(always_is_every_checkout),
		TEST(off_is_never),
		TEST(sampled_is_one_now_and_then_and_all_after_a_leak),
		TEST(what_a_thread_leaves_behind_is_told_at_once),
		TEST(another_that_ends_tells_nothing_of_the_first),
		TEST(the_next_in_its_seat_is_not_taken_for_it),
		TEST(who_gives_back_before_it_ends_leaves_nothing),
		TEST(what_it_leaves_behind_is_reclaimed_if_asked_for),
		TEST(who_ends_while_the_keeper_has_its_turn_is_waited_for),
		TEST(a_drain_does_not_wait_for_the_dead),
	};

	test_watchdog(60, "sim.pool_held");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
