/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One baton goes round: whoever has it runs. A user that sleeps hands it back to the director, who
 * hands it to the next one that can run. All state below is touched only by who has the baton.
 */
#include "support/sim.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/atomic.h"
#include "base/clock.h"
#include "base/world.h"
#include "config/dsn.h"
#include "core/desk.h"
#include "pool/chore.h"
#include "pool/pool.h"

#define USERS 256
#define ROUNDS 6          /* of the keeper, until what was begun at one moment has come to rest */
#define MAX_STEPS 1000000 /* of the world in one call: more is a world that does not come to rest */

struct user {
	void (*body)(void *arg);
	void *arg;
	pthread_t thread;
	bool ended;
	/* sleeps while it is `expected` and the time is not over; NULL: can run */
	_Atomic uint32_t *word;
	uint32_t expected;
	int64_t deadline_ns;
};

static struct {
	int64_t now_ns;
	struct wi_fake_server server;
	struct wi_keeper *keeper;
	struct weir_pool *pool;
	struct wi_dsn dsn;
	weir_pool_stats stats;
	size_t bytes_before;
	struct user users[USERS];
	int n_users;
	int told[WEIR_EVENT_KINDS];
	char text[WEIR_EVENT_KINDS][512];
} the;

/* The baton: 0 with the director, else the user's number from 1. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
/* One a taker: of many users, only the one that is meant wakes. */
static pthread_cond_t passed[USERS + 1] = {[0 ... USERS] = PTHREAD_COND_INITIALIZER};
static int baton;
static _Thread_local int me;

static void pass_baton(int to)
{
	pthread_mutex_lock(&lock);
	baton = to;
	pthread_cond_signal(&passed[to]);
	while (baton != me)
		pthread_cond_wait(&passed[me], &lock);
	pthread_mutex_unlock(&lock);
}

/* ---- the world ---- */

static int64_t now(void)
{
	return the.now_ns;
}

static bool can_run(const struct user *u)
{
	return !u->ended &&
	       (!u->word || wi_load_rlx(u->word) != u->expected || the.now_ns >= u->deadline_ns);
}

static bool run_a_user(void)
{
	for (int i = 0; i < the.n_users; i++) {
		struct user *u = &the.users[i];

		if (!can_run(u))
			continue;
		u->word = NULL;
		pass_baton(i + 1);
		if (u->ended)
			pthread_join(u->thread, NULL);
		return true;
	}
	return false;
}

static int64_t earlier(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/*
 * Cancel requests are dealt with on threads outside this world: their end is awaited, unless the
 * test holds them up. Whether there were any.
 */
static bool await_cancels(void)
{
	bool any = false;

	while (wi_load_rlx(&the.server.obeys_cancel) && !wi_load_rlx(&the.server.holds_cancel) &&
	       wi_chores_under_way() > 0) {
		nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
		any = true;
	}
	return any;
}

/* Everything that can happen now; returns when the next thing is due. */
static int64_t happen(void)
{
	int64_t due = WI_FOREVER;
	int rested = 0;

	for (int steps = 0; rested < ROUNDS; steps++) {
		if (steps > MAX_STEPS) {
			fprintf(stderr, "sim: the world does not come to rest\n");
			abort();
		}
		rested = run_a_user() ? 0 : rested + 1;
		wi_fake_settle(&the.server);
		if (the.keeper)
			due = wi_keeper_round(the.keeper, false);
		if (due <= the.now_ns || await_cancels())
			rested = 0;
	}
	due = earlier(due, wi_fake_settle(&the.server));
	for (int i = 0; i < the.n_users; i++)
		if (!the.users[i].ended && the.users[i].word)
			due = earlier(due, the.users[i].deadline_ns);
	return due;
}

/* The director sleeps: the world goes on. */
static void go_on_while(_Atomic uint32_t *word, uint32_t expected, int64_t deadline_ns)
{
	while (the.now_ns < deadline_ns) {
		int64_t due = happen();

		if (word && wi_load_rlx(word) != expected)
			return;
		due = earlier(due, deadline_ns);
		if (due == WI_FOREVER) {
			fprintf(stderr, "sim: everybody waits for ever\n");
			abort();
		}
		if (due > the.now_ns)
			the.now_ns = due;
	}
	happen();
}

static void park(_Atomic uint32_t *word, uint32_t expected, int64_t deadline_ns)
{
	struct user *u;

	if (!me) {
		go_on_while(word, expected, deadline_ns);
		return;
	}
	u = &the.users[me - 1];
	u->word = word;
	u->expected = expected;
	u->deadline_ns = deadline_ns;
	pass_baton(0);
}

static void wake(_Atomic uint32_t *word)
{
	(void)word; /* the director looks at every word */
}

static bool fence(void)
{
	return wi_world_linux.fence_heavy();
}

static const struct wi_world world = {.park = park, .wake = wake, .fence_heavy = fence, .now = now};

void sim_settle(void)
{
	happen();
}

void sim_run(int64_t ms)
{
	go_on_while(NULL, 0, the.now_ns + ms * WI_MS);
}

int64_t sim_now(void)
{
	return the.now_ns;
}

/* ---- users ---- */

static void *user_main(void *arg)
{
	struct user *u = arg;

	me = (int)(u - the.users) + 1;
	pthread_mutex_lock(&lock);
	while (baton != me)
		pthread_cond_wait(&passed[me], &lock);
	pthread_mutex_unlock(&lock);
	u->body(u->arg);
	u->ended = true;
	/*
	 * The thread's own end, which gives back what it kept, comes before the director goes on:
	 * it joins.
	 */
	pthread_mutex_lock(&lock);
	baton = 0;
	pthread_cond_signal(&passed[0]);
	pthread_mutex_unlock(&lock);
	return NULL;
}

void sim_spawn(void (*body)(void *arg), void *arg)
{
	struct user *u = &the.users[the.n_users];

	*u = (struct user){.body = body, .arg = arg};
	if (the.n_users == USERS || pthread_create(&u->thread, NULL, user_main, u) != 0) {
		fprintf(stderr, "sim: cannot start another user\n");
		abort();
	}
	the.n_users++;
}

void sim_sleep(int64_t ms)
{
	_Atomic uint32_t never = 0;

	park(&never, 0, the.now_ns + ms * WI_MS);
}

static bool all_ended(void)
{
	for (int i = 0; i < the.n_users; i++)
		if (!the.users[i].ended)
			return false;
	return true;
}

void sim_join(void)
{
	while (happen(), !all_ended()) {
		int64_t due = happen();

		if (due == WI_FOREVER) {
			fprintf(stderr, "sim: everybody waits for ever\n");
			abort();
		}
		if (due > the.now_ns)
			the.now_ns = due;
	}
	the.n_users = 0;
}

/* ---- the pool ---- */

static void hear(void *arg, const weir_event *event)
{
	(void)arg;
	the.told[event->kind]++;
	snprintf(the.text[event->kind], sizeof(the.text[0]), "%s", event->text);
}

void sim_options(weir_options *options)
{
	weir_options_init(options);
	options->pool_min = 0;
}

static weir_status create(const weir_options *options, const char *conninfo)
{
	weir_options o = *options;
	struct wi_pool_config config = {.driver = &wi_driver_fake,
	                                .world = &world,
	                                .dsn = &the.dsn,
	                                .options = &o,
	                                .script = &the.server};
	struct wi_sources sources = {{NULL}};
	weir_status st;

	if (!o.on_event)
		o.on_event = hear;
	st = wi_dsn_read(&the.dsn, conninfo, &o, &sources, NULL);
	if (st != WEIR_OK)
		return st;
	config.endpoint = &the.dsn.hosts[0];
	st = wi_keeper_create(&world, &the.keeper, NULL);
	if (st == WEIR_OK)
		st = wi_pool_create(&config, the.keeper, &the.pool, NULL);
	if (st == WEIR_OK)
		wi_fixed_by(&the.pool->fixed, &sources);
	return st;
}

/* The director's own desk in the core outlives every pool: it is made before bytes are counted. */
static void make_desk(void)
{
	static struct wi_core core;
	static bool made;

	if (made)
		return;
	made = true;
	if (wi_core_init(&core, (struct wi_table){.stride = sizeof(struct wi_slot)}, &world)) {
		(void)wi_desk_seat(&core);
		wi_core_fini(&core);
	}
}

static void free_all(void)
{
	wi_pool_free(the.pool);
	wi_keeper_free(the.keeper);
	the.pool = NULL;
	the.keeper = NULL;
	wi_dsn_fini(&the.dsn);
	wi_fake_server_fini(&the.server);
}

weir_status sim_open_at(const char *conninfo, const weir_options *options)
{
	weir_status st;

	memset(&the, 0, sizeof(the));
	the.now_ns = 1000 * WI_SEC;
	wi_fake_server_init(&the.server);
	the.server.now = now;
	make_desk();
	the.bytes_before = wi_alloc_bytes();
	st = create(options, conninfo);
	if (st != WEIR_OK)
		free_all();
	return st;
}

weir_status sim_open(const weir_options *options)
{
	return sim_open_at("host=127.0.0.1 dbname=shop password=s3cret", options);
}

static bool nothing_is_left(void)
{
	return the.pool->job.is_finished(&the.pool->job);
}

long sim_close(void)
{
	int64_t limit_ns = the.now_ns + 3600 * WI_SEC;
	long left;

	wi_pool_shut(the.pool);
	while (happen(), !nothing_is_left() || !all_ended()) {
		int64_t due = happen();

		if (due == WI_FOREVER || the.now_ns > limit_ns)
			return -1;
		if (due > the.now_ns)
			the.now_ns = due;
	}
	free_all();
	left = (long)(wi_alloc_bytes() - the.bytes_before);
	/* A thread that brought a cancel lets go of the last of it a moment after it is over. */
	for (int i = 0; i < 10000 && left > 0; i++) {
		nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
		left = (long)(wi_alloc_bytes() - the.bytes_before);
	}
	return left;
}

void sim_begin(const weir_options *options)
{
	assert_int_equal(sim_open(options), WEIR_OK);
}

void sim_end(void)
{
	assert_int_equal(sim_close(), 0);
}

weir_pool *sim_pool(void)
{
	return the.pool;
}

struct wi_fake_server *sim_server(void)
{
	return &the.server;
}

const weir_pool_stats *sim_stats(void)
{
	wi_pool_read(the.pool, &the.stats);
	return &the.stats;
}

weir_conn *sim_checkout(int64_t timeout_ms)
{
	weir_conn *conn = NULL;

	return weir_pool_checkout(the.pool, timeout_ms, &conn, NULL) == WEIR_OK ? conn : NULL;
}

static void get_one(void *arg)
{
	weir_conn *conn = sim_checkout(-1);

	(void)arg;
	assert_non_null(conn);
	weir_checkin(&conn);
}

void sim_keep_waiting(int n, int64_t ms)
{
	weir_conn *conn[8] = {NULL};
	uint32_t max = sim_stats()->max;

	assert_in_range(max, 1, 8);
	for (uint32_t i = 0; i < max; i++)
		conn[i] = sim_checkout(1000);
	for (int i = 0; i < n; i++)
		sim_spawn(get_one, NULL);
	sim_run(ms);
	for (uint32_t i = 0; i < max; i++)
		weir_checkin(&conn[i]);
	sim_join();
}

void sim_leave(weir_conn *conn, enum wi_look look)
{
	wi_fake_leave(wi_conn_of(conn)->link, look);
}

uint64_t sim_serial(const weir_conn *conn)
{
	return wi_fake_serial(wi_conn_of(conn)->link);
}

int sim_told(weir_event_kind kind)
{
	return the.told[kind];
}

const char *sim_text(weir_event_kind kind)
{
	return the.text[kind];
}
