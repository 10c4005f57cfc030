/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A process that forks with a live pool: the child may not use its parent's connections, the parent
 * does not notice, and with fork=reopen the child has connections of its own.
 *
 * The fake server lives in this process and is copied by a fork, so a child has to say itself what
 * it saw: by its exit status, the line of what was wrong.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/atomic.h"
#include "base/clock.h"
#include "base/fork.h"
#include "base/rcu.h"
#include "core/desk.h"
#include "driver/fake.h"
#include "pool/pool.h"
#include "pool/size.h"
#include "support/threads.h"
#include "support/watchdog.h"

#define PATIENCE_MS 60000

static struct wi_fake_server server;
static weir_options o;
static weir_pool *pool;
static weir_conn *held;
static struct wi_driver driver; /* the fake one, with an ear at looks */
static _Atomic uint32_t looks;

#define MUST(x)                                                                                    \
	do {                                                                                       \
		if (!(x)) {                                                                        \
			fprintf(stderr, "child: line %d: %s\n", __LINE__, #x);                     \
			_exit(1);                                                                  \
		}                                                                                  \
	} while (0)

/* libpq's look may flush what is left to send: to a child it is as forbidden as a query. */
static enum wi_look heard_look(void *conn)
{
	wi_add_rlx(&looks, 1);
	return wi_driver_fake.tidy_and_look(conn);
}

static int set_up(void **state)
{
	(void)state;
	driver = wi_driver_fake;
	driver.tidy_and_look = heard_look;
	weir_options_init(&o);
	o.pool_min = 3;
	o.pool_max = 4;
	wi_fake_server_init(&server);
	return 0;
}

static void await_idle(uint32_t n)
{
	weir_pool_stats s;

	do {
		nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
		weir_pool_stats_get(pool, &s);
	} while (s.idle < n);
}

static void open_pool(weir_fork_action fork_action)
{
	o.fork = fork_action;
	assert_int_equal(wi_pool_open_with(&driver, &wi_world_linux, &server, "host=127.0.0.1", &o,
	                                   &pool, NULL),
	                 WEIR_OK);
	assert_int_equal(weir_pool_checkout(pool, PATIENCE_MS, &held, NULL), WEIR_OK);
	await_idle(2);
}

static void in_child(void (*body)(void))
{
	int status;
	pid_t child;

	fflush(NULL);
	child = wi_fake_fork(&server);
	assert_true(child >= 0);
	if (child == 0) {
		body();
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

/* The parent's sessions are those of before, it serves, and closes without a rest. */
static void assert_parent_unharmed(void)
{
	weir_conn *conn = NULL;
	weir_pool_stats s;

	assert_int_equal(wi_load_rlx(&server.sessions), 3);
	assert_int_equal(wi_load_rlx(&server.connects), 3);
	assert_true(wi_driver_fake.peek(wi_conn_of(held)->link, &(struct wi_failure){0}));
	assert_int_equal(weir_pool_checkout(pool, 0, &conn, NULL), WEIR_OK);
	assert_true(wi_driver_fake.peek(wi_conn_of(conn)->link, &(struct wi_failure){0}));
	weir_checkin(&conn);
	weir_checkin(&held);
	weir_pool_stats_get(pool, &s);
	assert_int_equal(s.misuse, 0);
	assert_int_equal(s.closed[WEIR_CLOSE_BROKEN], 0);
	assert_int_equal(weir_pool_close(&pool, PATIENCE_MS), WEIR_OK);
	assert_int_equal(wi_load_rlx(&server.sessions), 0);
	wi_fake_server_fini(&server);
}

static void use_refused(void)
{
	weir_conn *conn = NULL;
	weir_conn_info info;
	weir_error error;

	MUST(weir_pool_checkout(pool, 1000, &conn, &error) == WEIR_FORKED);
	MUST(!conn);
	MUST(strcmp(error.text,
	            "the pool for 127.0.0.1:5432 was opened before this process was forked") == 0);
	MUST(weir_pg(held) == NULL);
	MUST(weir_conn_info_get(held, &info) == WEIR_FORKED);
	wi_store_rlx(&looks, 0);
	weir_checkin(&held); /* leaves the parent's connection alone */
	MUST(!held);
	MUST(wi_load_rlx(&looks) == 0);
	MUST(wi_load_rlx(&server.closes) == 0);
	MUST(wi_load_rlx(&server.queries) == 3); /* one to verify each */
}

static void a_child_is_refused(void **state)
{
	(void)state;
	open_pool(WEIR_FORK_REFUSE);
	in_child(use_refused);
	assert_parent_unharmed();
}

static void close_in_child(void)
{
	weir_checkin(&held);
	MUST(weir_pool_close(&pool, PATIENCE_MS) == WEIR_OK);
	MUST(!pool);
	MUST(wi_load_rlx(&server.closes) == 0); /* no goodbye on the parent's sockets */
}

static void a_child_may_close(void **state)
{
	(void)state;
	open_pool(WEIR_FORK_REFUSE);
	in_child(close_in_child);
	assert_parent_unharmed();
}

static void use_at_once(struct test_thread *self)
{
	for (int i = 0; i < 100; i++) {
		weir_conn *conn = NULL;
		weir_status st = weir_pool_checkout(pool, PATIENCE_MS, &conn, NULL);

		if (st != WEIR_OK)
			test_wrong(self, "%s", weir_status_name(st));
		weir_checkin(&conn);
	}
}

/* The thread sanitizer ends a forked child that starts a thread. */
#ifndef WI_TSAN

static void open_another(void)
{
	struct wi_fake_server mine;
	weir_pool *other = NULL;
	weir_conn *conn = NULL;

	wi_fake_server_init(&mine);
	MUST(wi_pool_open_with(&wi_driver_fake, &wi_world_linux, &mine, "host=127.0.0.1", &o,
	                       &other, NULL) == WEIR_OK);
	MUST(weir_pool_checkout(other, PATIENCE_MS, &conn, NULL) == WEIR_OK);
	weir_checkin(&conn);
	MUST(weir_pool_close(&other, PATIENCE_MS) == WEIR_OK);
	wi_fake_server_fini(&mine);
}

static void a_child_may_open_a_pool_of_its_own(void **state)
{
	(void)state;
	open_pool(WEIR_FORK_REFUSE);
	in_child(open_another);
	assert_parent_unharmed();
}

static void use_reopened(void)
{
	weir_conn *conn[4] = {NULL}, *theirs = held;
	weir_error error = {0};
	weir_pool_stats s;

	for (int i = 0; i < 4; i++) {
		weir_status st = weir_pool_checkout(pool, PATIENCE_MS, &conn[i], &error);

		if (st != WEIR_OK)
			fprintf(stderr, "%s\n", error.text);
		MUST(st == WEIR_OK);
		MUST(wi_fake_serial(wi_conn_of(conn[i])->link) > 3); /* none of the parent's */
	}
	MUST(weir_pool_checkout(pool, 0, &theirs, NULL) == WEIR_EXHAUSTED);
	MUST(wi_conn_of(held) == NULL); /* stale here */
	for (int i = 0; i < 4; i++)
		weir_checkin(&conn[i]);
	weir_pool_stats_get(pool, &s);
	MUST(s.checkouts == 4 && s.checkins == 4 && s.opened == 4); /* none of the parent's */
	MUST(weir_pool_close(&pool, PATIENCE_MS) == WEIR_OK);
}

static void with_reopen_a_child_has_its_own(void **state)
{
	(void)state;
	open_pool(WEIR_FORK_REOPEN);
	in_child(use_reopened);
	assert_parent_unharmed();
}

static void use_reopened_by_many(void)
{
	struct test_thread reports[8];

	test_threads_run(8, use_at_once, NULL, -1, reports);
	MUST(!test_first_wrong(reports, 8));
	MUST(weir_pool_close(&pool, PATIENCE_MS) == WEIR_OK);
}

static void many_threads_of_a_child_reopen_once(void **state)
{
	(void)state;
	open_pool(WEIR_FORK_REOPEN);
	in_child(use_reopened_by_many);
	assert_parent_unharmed();
}

static int seats_taken(void)
{
	struct wi_segment *g;
	int n = 0;

	for (uint32_t i = 0; (g = wi_segment_at(&pool->core.seats, i)); i++)
		n += __builtin_popcountll(wi_load_seq(&g->taken));
	return n;
}

static void *use_once(void *arg)
{
	weir_conn *conn = NULL;

	(void)arg;
	MUST(weir_pool_checkout(pool, PATIENCE_MS, &conn, NULL) == WEIR_OK);
	weir_checkin(&conn);
	return NULL;
}

/*
 * As if another thread were making the pool anew just now: a seat that is taken meanwhile could be
 * one of the parent's, under the new core's name.
 */
static void come_while_it_is_made_anew(void)
{
	int taken = seats_taken();
	pthread_t t;

	MUST(!wi_desk_find(&pool->core)); /* nor does this thread know its seat any more */
	wi_store_rel(&pool->reopening, wi_load_rlx(&wi_fork_epoch));
	MUST(pthread_create(&t, NULL, use_once, NULL) == 0);
	for (int i = 0; i < 50; i++) {
		nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
		MUST(seats_taken() == taken);
	}
	wi_store_rel(&pool->reopening, 0);
	wi_world_linux.wake(&pool->reopening);
	MUST(pthread_join(t, NULL) == 0);
	use_once(NULL);
	MUST(weir_pool_close(&pool, PATIENCE_MS) == WEIR_OK);
}

static void nobody_sits_down_while_it_is_made_anew(void **state)
{
	(void)state;
	open_pool(WEIR_FORK_REOPEN);
	in_child(come_while_it_is_made_anew);
	assert_parent_unharmed();
}

/* As if the parent's keeper had read the new sizes, and not added the slots yet. */
static void use_as_many_as_asked_for(void)
{
	weir_conn *conn[8] = {NULL};
	uint64_t sizes;

	MUST(wi_resize_prepare(pool, 3, 8, &sizes, NULL) == WEIR_OK);
	wi_store_rel(&pool->sizes, sizes);
	pool->sized = sizes;
	for (int i = 0; i < 8; i++)
		MUST(weir_pool_checkout(pool, 5000, &conn[i], NULL) == WEIR_OK);
	for (int i = 0; i < 8; i++)
		weir_checkin(&conn[i]);
	MUST(weir_pool_close(&pool, PATIENCE_MS) == WEIR_OK);
}

static void a_resize_that_was_under_way_is_finished(void **state)
{
	(void)state;
	open_pool(WEIR_FORK_REOPEN);
	in_child(use_as_many_as_asked_for);
	assert_parent_unharmed();
}

/* ---- a fork in the middle of a reload ---- */

static _Atomic uint32_t at_point; /* 1: the keeper has come there; 2: it goes on */

static void stop_there(const char *point)
{
	if (strcmp(point, "reload.written") != 0 || wi_load_seq(&at_point) == 2)
		return;
	wi_store_seq(&at_point, 1);
	while (wi_load_seq(&at_point) == 1)
		nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
}

static void use_as_many_as_are_reloaded(void)
{
	weir_conn *conn[8] = {NULL};

	wi_store_seq(&wi_yield_hook, NULL);
	for (int i = 0; i < 8; i++)
		MUST(weir_pool_checkout(pool, 5000, &conn[i], NULL) == WEIR_OK);
	MUST(!wi_load_seq(&pool->reloading));
	MUST(strstr(pool->settings.startup, "statement_timeout=7777"));
	MUST(wi_load_rlx(&pool->standing) == WI_NOTE_CHECK);
	for (int i = 0; i < 8; i++)
		weir_checkin(&conn[i]);
	MUST(weir_pool_close(&pool, PATIENCE_MS) == WEIR_OK);
}

static void a_reload_that_was_under_way_is_finished(void **state)
{
	(void)state;
	open_pool(WEIR_FORK_REOPEN);
	wi_store_seq(&at_point, 0);
	wi_store_seq(&wi_yield_hook, stop_there);
	o.pool_max = 8;
	o.statement_timeout_ms = 7777;
	o.pre_ping = WEIR_PRE_PING_PING;
	assert_int_equal(weir_pool_reload(pool, &o, NULL), WEIR_OK);
	while (!wi_load_seq(&at_point))
		nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
	in_child(use_as_many_as_are_reloaded);
	wi_store_seq(&at_point, 2);
	wi_store_seq(&wi_yield_hook, NULL);
	weir_checkin(&held);
	assert_int_equal(weir_pool_close(&pool, PATIENCE_MS), WEIR_OK);
	wi_fake_server_fini(&server);
}

static void use_in_a_grandchild(void)
{
	pid_t child;
	int status;
	weir_conn *conn = NULL;

	MUST(weir_pool_checkout(pool, PATIENCE_MS, &conn, NULL) == WEIR_OK);
	weir_checkin(&conn);
	child = wi_fake_fork(&server);
	if (child == 0) {
		use_reopened();
		_exit(0);
	}
	MUST(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0);
	MUST(weir_pool_checkout(pool, PATIENCE_MS, &conn, NULL) == WEIR_OK);
	weir_checkin(&conn);
	MUST(weir_pool_close(&pool, PATIENCE_MS) == WEIR_OK);
}

static void so_has_a_grandchild(void **state)
{
	(void)state;
	open_pool(WEIR_FORK_REOPEN);
	in_child(use_in_a_grandchild);
	assert_parent_unharmed();
}

#endif

static void busy(struct test_thread *self)
{
	if (self->number > 0) {
		while (!wi_load_rlx(self->stop))
			use_at_once(self);
		return;
	}
	for (int i = 0; i < 20; i++) {
		int status;
		pid_t child = wi_fake_fork(&server);

		if (child == 0) {
			weir_conn *conn = NULL;

			MUST(weir_pool_checkout(pool, 1000, &conn, NULL) == WEIR_FORKED);
			_exit(0);
		}
		if (waitpid(child, &status, 0) != child || !WIFEXITED(status) ||
		    WEXITSTATUS(status) != 0)
			test_wrong(self, "a child did not end well: %x", (unsigned)status);
	}
}

static void forking_under_load_harms_nobody(void **state)
{
	struct test_thread reports[4];

	(void)state;
	open_pool(WEIR_FORK_REFUSE);
	test_threads_run(4, busy, NULL, 0.5, reports);
	assert_null(test_first_wrong(reports, 4));
	weir_checkin(&held);
	assert_int_equal(weir_pool_close(&pool, PATIENCE_MS), WEIR_OK);
	wi_fake_server_fini(&server);
}

#define TEST(name) cmocka_unit_test_setup(name, set_up)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_child_is_refused),
		TEST(a_child_may_close),
		TEST(forking_under_load_harms_nobody),
#ifndef WI_TSAN
		TEST(a_child_may_open_a_pool_of_its_own),
		TEST(with_reopen_a_child_has_its_own),
		TEST(many_threads_of_a_child_reopen_once),
		TEST(nobody_sits_down_while_it_is_made_anew),
		TEST(a_resize_that_was_under_way_is_finished),
		TEST(a_reload_that_was_under_way_is_finished),
		TEST(so_has_a_grandchild),
#endif
	};

	test_watchdog(100, "sim.pool_fork");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
