/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A pool that is drawn and looked at while many threads take and wait, come and go: what is shown
 * is possible at every moment, and exact when all is quiet.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <weir/weir.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "base/world.h"
#include "driver/fake.h"
#include "pool/pool.h"
#include "support/threads.h"
#include "support/watchdog.h"

#define USERS 8
#define SLOTS 3

static struct wi_fake_server server;
static weir_pool *pool;
static char directory[64];

static void use(struct test_thread *self)
{
	weir_conn *conn;
	weir_error error;

	do { /* once at least, however late the thread begins */
		if (weir_pool_checkout(pool, 10000, &conn, &error) != WEIR_OK) {
			test_wrong(self, "%s", error.text);
			return;
		}
		if (wi_rng_next(&self->rng) % 8 == 0)
			usleep((useconds_t)(wi_rng_next(&self->rng) % 2000));
		weir_checkin(&conn);
		self->count[0]++;
	} while (!wi_load_rlx(self->stop));
}

/* The last thread looks. */
static void look(struct test_thread *self, weir_view *view)
{
	weir_view_picture p;

	while (!wi_load_rlx(self->stop)) {
		if (weir_view_read(view, &p, NULL) != WEIR_OK) {
			test_wrong(self, "a picture that is not whole");
			return;
		}
		if (p.n_holders > SLOTS || p.n_waiters > USERS || p.n_hosts > 1)
			test_wrong(self, "%zu hold, %zu wait", p.n_holders, p.n_waiters);
		for (size_t i = 0; i < p.n_waiters; i++)
			if (p.waiters[i].waited_ns > 60 * WI_SEC + p.age_ns)
				test_wrong(self, "one has waited for a minute");
		self->count[1] += p.n_holders > 0;
		self->count[2] = p.number;
		usleep(5000);
	}
}

static void body(struct test_thread *self)
{
	weir_view *view = self->arg;

	if (self->number == USERS)
		look(self, view);
	else
		use(self);
}

static void what_is_shown_is_possible(void **state)
{
	struct test_thread report[USERS + 1];
	weir_view_picture p;
	weir_view_entry entry;
	weir_options o;
	weir_error error;
	weir_view *view;
	uint64_t taken;

	(void)state;
	test_watchdog(120, "a pool that is drawn under load");
	snprintf(directory, sizeof(directory), "/dev/shm/weir-stress-%d", (int)getpid());
	wi_fake_server_init(&server);
	weir_options_init(&o);
	o.pool_max = SLOTS;
	snprintf(o.view, sizeof(o.view), "%s", directory);
	assert_int_equal(wi_pool_open_with(&wi_driver_fake, &wi_world_linux, &server,
	                                   "postgresql://app@127.0.0.1:6000/shop", &o, &pool,
	                                   &error),
	                 WEIR_OK);
	assert_int_equal(weir_view_list(directory, &entry, 1), 1);
	assert_int_equal(weir_view_open(directory, entry.name, &view, NULL), WEIR_OK);
	test_threads_run(USERS + 1, body, view, test_seconds(1.5), report);
	assert_null(test_first_wrong(report, USERS + 1));
	taken = test_sum(report, USERS + 1, 0);
	print_message("%llu checkouts, %llu pictures\n", (unsigned long long)taken,
	              (unsigned long long)report[USERS].count[2]);
	assert_true(taken > 0);
	do {
		usleep(5000);
		assert_int_equal(weir_view_read(view, &p, NULL), WEIR_OK);
	} while (p.n_hosts != 1 || p.hosts[0].pool.checkins != taken);
	assert_int_equal(p.hosts[0].pool.checkouts, taken);
	assert_int_equal(p.n_holders, 0);
	assert_int_equal(p.n_waiters, 0);
	assert_int_equal(weir_pool_close(&pool, 5000), WEIR_OK);
	assert_int_equal(weir_view_read(view, &p, NULL), WEIR_OK);
	assert_int_equal(p.state, WEIR_VIEW_CLOSED);
	weir_view_close(&view);
	wi_fake_server_fini(&server);
	assert_int_equal(rmdir(directory), 0); /* nothing is left in it */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_shown_is_possible),
	};

	if (access("/dev/shm", W_OK)) {
		puts("skipped: there is no /dev/shm to draw into");
		return 77;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
