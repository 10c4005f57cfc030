/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A whole pool on the fake driver, by chance: its keeper and its users are fibres; the core, the
 * pool and the keeper run on modelled memory, time and sleep; the fake driver, and what it says on
 * real descriptors, happens at once. Users check out with and without time to wait, check in,
 * discard, find their server gone, end; a closer closes the pool among them, or at the end.
 */
#include <string.h>

#include "base/clock.h"
#include "base/fork.h"
#include "core/desk.h"
#include "driver/fake.h"
#include "pool/pool.h"
#include "sched/sched.h"
#include "sched/world.h"

#define POOL_MAX 2
#define ROUNDS 3
#define LEAK_MS 100

static struct wi_fake_server server;
static weir_pool *pool;
static bool closing;
static int users_left;
static struct weir_conn *held[SCHED_FIBRES_MAX];
static _Atomic(weir_conn *) left_for_another;

/* Named by pool.c, and not used here. */
const struct wi_driver wi_driver_libpq;
const struct wi_world wi_world_linux;

bool wi_fork_init(void)
{
	return true;
}

/* ---- what users do ---- */

static void hold(weir_conn *conn)
{
	struct weir_conn *c = wi_conn_of(conn);

	sched_check(c);
	for (int i = 0; i < SCHED_FIBRES_MAX; i++)
		if (held[i] == c)
			sched_fail("one connection is held by two");
	held[sched_self()] = c;
}

static void let(weir_conn **conn, bool discard)
{
	held[sched_self()] = NULL;
	if (discard)
		weir_discard(conn);
	else
		weir_checkin(conn);
	sched_check(!*conn);
}

static int64_t some_time(void)
{
	static const int64_t ms[] = {0, 1, 2, 1000, -1};

	return ms[sched_choose(5)];
}

static void use(weir_conn *conn)
{
	switch (sched_choose(6)) {
	case 0:
		sched_sleep_until(sched_now() + WI_MS);
		break;
	case 1:
		(void)wi_fake_kill_one(&server, wi_fake_serial(wi_conn_of(conn)->link));
		break;
	case 2:
		wi_fake_leave(wi_conn_of(conn)->link, WI_LOOK_IN_TX);
		break;
	default:
		sched_pause();
	}
}

static bool check_out(weir_conn **conn)
{
	int64_t ms = some_time();
	weir_error error;
	weir_status st;

	/*
	 * A call may begin while close waits, but not when nothing is left to wait for. It has
	 * begun when its first store is there.
	 */
	sched_undivided(3);
	if (sched_started_has_ended(0))
		return false;
	st = weir_pool_checkout(pool, ms, conn, &error);
	switch (st) {
	case WEIR_OK:
		return true;
	case WEIR_TIMEOUT:
		sched_check(ms > 0);
		return false;
	case WEIR_EXHAUSTED:
		sched_check(ms == 0);
		return false;
	case WEIR_CLOSED:
		sched_check(closing);
		return false;
	default:
		sched_fail("a checkout says: %s", weir_status_text(st));
	}
}

/* Puts a handle where another user finds it and gives it back, or finds one there. */
static weir_conn *trade(weir_conn *conn)
{
	if (conn)
		held[sched_self()] = NULL;
	conn = wi_swap_acq_rel(&left_for_another, conn);
	if (conn)
		hold(conn);
	return conn;
}

static void user(void)
{
	for (int i = 0; i < ROUNDS; i++) {
		weir_conn *conn = NULL;

		if (!check_out(&conn))
			continue;
		hold(conn);
		use(conn);
		if (sched_choose(3) == 0)
			conn = trade(conn);
		if (conn)
			let(&conn, sched_choose(8) == 0);
	}
	if (users_left == 1) {
		weir_conn *last = trade(NULL);

		if (last)
			let(&last, false);
	}
	users_left--;
	sched_thread_exit();
}

static void keeper(void)
{
	sched_run_started(0);
}

static void close_pool(void)
{
	weir_pool *p = pool;

	closing = true;
	sched_check(weir_pool_close(&p, -1) == WEIR_OK);
}

static void one_checkout(void)
{
	weir_conn *conn = NULL;

	if (check_out(&conn))
		let(&conn, false);
}

static void close_at_once(void)
{
	close_pool();
}

static bool users_are_gone(void *arg)
{
	(void)arg;
	return users_left == 0;
}

static void close_at_the_end(void)
{
	weir_pool_stats stats;

	sched_await(users_are_gone, NULL);
	sched_settle();
	wi_pool_read(pool, &stats);
	sched_check(stats.checkouts == stats.checkins);
	sched_check(stats.misuse == 0);
	close_pool();
}

static void close_among_them(void)
{
	sched_sleep_until(sched_now() + sched_choose(3) * WI_MS);
	close_pool();
}

/* ---- a leaked connection is cut while its holder gives it back ---- */

static struct wi_driver driver; /* the fake one, which tells what it cuts */
static bool was_cut[POOL_MAX * 2 + 1];

static struct weir_conn *conn_of(const void *link)
{
	for (uint32_t i = 1; i <= pool->n_conns; i++)
		if (pool->conns[i].link == link)
			return &pool->conns[i];
	sched_fail("a connection that no slot has");
}

static void tell_cut(void *link)
{
	was_cut[conn_of(link) - pool->conns] = true;
	sched_note("is cut");
	wi_driver_fake.cut(link);
}

static void check_idle(uint32_t slot)
{
	if (slot && was_cut[slot])
		sched_fail("a connection that was cut is idle, for anybody to take");
}

/* Whether the keeper has woken up to cut the connection, or has just done so. */
static bool keeper_is_about_to_cut(void *arg)
{
	const struct weir_conn *c = arg;

	if (c->seen_lend != c->slot.lend || sched_now() - c->seen_ns < LEAK_MS * WI_MS ||
	    (sched_now() < pool->next_tend_ns && !c->leak_told))
		return false;
	sched_search(true);
	return true;
}

static void hold_until_about_to_be_cut(void)
{
	weir_conn *conn = NULL;

	sched_check(weir_pool_checkout(pool, -1, &conn, NULL) == WEIR_OK);
	sched_await(keeper_is_about_to_cut, wi_conn_of(conn));
	weir_checkin(&conn);
	sched_search(false);
	check_idle(wi_desk_find(&pool->core)->cached);
}

static void hold_for_long(void)
{
	/* Until the caches are biased again after the first, which had to wait. */
	for (int i = 0; i < 3; i++) {
		weir_conn *conn = NULL;

		sched_check(weir_pool_checkout(pool, -1, &conn, NULL) == WEIR_OK);
		weir_checkin(&conn);
	}
	hold_until_about_to_be_cut();
	users_left--;
	sched_thread_exit();
}

/* ---- the pool ---- */

static void open_with(weir_options *o)
{
	wi_fake_server_init(&server);
	server.now = sched_now;
	driver = wi_driver_fake;
	driver.cut = tell_cut;
	o->pool_max = POOL_MAX;
	o->pool_min = 0;
	sched_check(wi_pool_open_with(&driver, &sched_world, &server, "host=127.0.0.1 dbname=shop",
	                              o, &pool, NULL) == WEIR_OK);
}

static void open_pool(void)
{
	weir_options o;

	weir_options_init(&o);
	open_with(&o);
	users_left = 4;
}

static void open_pool_that_reclaims(void)
{
	weir_options o;

	weir_options_init(&o);
	o.leak_after_ms = LEAK_MS;
	o.leak_action = WEIR_LEAK_RECLAIM;
	open_with(&o);
	users_left = 1;
}

static void all_is_gone(void)
{
	sched_check(server.sessions_peak <= POOL_MAX);
	sched_check(server.sessions == 0);
	wi_fake_server_fini(&server);
}

static const struct sched_scenario scenarios[] = {
	{
		.name = "users_then_close",
		.set_up = open_pool,
		.thread = {{"keeper", keeper},
                           {"A", user},
                           {"B", user},
                           {"C", user},
                           {"D", user},
                           {"closer", close_at_the_end}},
		.at_end = all_is_gone,
		.only_by_chance = true,
		.longest = 200000,
		.random = 1000,
	},
	{
		.name = "users_and_close",
		.set_up = open_pool,
		.thread = {{"keeper", keeper},
                           {"A", user},
                           {"B", user},
                           {"C", user},
                           {"D", user},
                           {"closer", close_among_them}},
		.at_end = all_is_gone,
		.only_by_chance = true,
		.longest = 200000,
		.random = 3000,
	},
	{
		.name = "checkout_against_close",
		.set_up = open_pool,
		.thread = {{"keeper", keeper}, {"A", one_checkout}, {"closer", close_at_once}},
		.at_end = all_is_gone,
		.bounds = {.switches = 2, .total = 2},
		.longest = 200000,
		.most = 15000,
		.random = 3000,
	},
	{
		.name = "reclaim_against_checkin",
		.set_up = open_pool_that_reclaims,
		.thread = {{"keeper", keeper}, {"A", hold_for_long}, {"closer", close_at_the_end}},
		.waits_to_search = true,
		.bounds = {.switches = 2, .looks = 1, .total = 3},
		.longest = 200000,
		.random = 2000,
	},
	{.name = NULL},
};

int main(int argc, char **argv)
{
	return sched_main(argc, argv, scenarios);
}
