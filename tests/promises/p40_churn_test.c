/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Promise 40: a day's work in seconds, 10^8 checkouts and 10^5 new connections on one pool, by
 * threads that come and go: resident memory, descriptors and threads are as they were, no count
 * goes backwards, and whenever nobody is about the sums are exact. On a server in the process; at a
 * real one it is promise.40_churn_at_a_server. `./dev soak` goes on for longer.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "driver/fake.h"
#include "p40_flat.h"
#include "pool/pool.h"
#include "support/threads.h"
#include "support/watchdog.h"

#define CONNECTIONS 4
#define USERS 6 /* more than there are connections, so that some wait */
#define SECONDS 8
#define NOTES 16
#define CHECKOUTS 100000000 /* if there is time; with TEST_STRESS_SECONDS it goes on */
#define RECONNECTS 100000

static struct wi_fake_server server;
static weir_pool *pool;
static struct flat flat;

enum { GOT, DISCARDED };

/* Mostly warm, two threads beside it; every so often a discard, which has the keeper open anew. */
static void user(struct test_thread *self)
{
	uint32_t until_discard = 0;
	weir_conn *conn;

	while (!wi_load_rlx(self->stop)) {
		if (weir_pool_checkout(pool, 30000, &conn, NULL) != WEIR_OK) {
			test_wrong(self, "a checkout failed");
			return;
		}
		self->count[GOT]++;
		if (until_discard-- == 0) {
			until_discard = 500 + wi_rng_below(&self->rng, 1000);
			self->count[DISCARDED]++;
			weir_discard(&conn);
		} else {
			weir_checkin(&conn);
		}
	}
}

/* Two thirds of the time few threads, for the warm path, one third all of them. */
static bool use_it_for(int phase, double seconds, uint64_t *checkouts, uint64_t *reconnects)
{
	struct test_thread reports[USERS];
	int n = phase % 3 == 2 ? USERS : CONNECTIONS / 2;

	test_threads_run(n, user, NULL, seconds, reports);
	*checkouts += test_sum(reports, n, GOT);
	*reconnects += test_sum(reports, n, DISCARDED);
	if (test_first_wrong(reports, n)) {
		printf("WRONG: %s\n", test_first_wrong(reports, n));
		return false;
	}
	return true;
}

static bool churn(void)
{
	double seconds = test_seconds(SECONDS) / NOTES;
	bool for_long = getenv("TEST_STRESS_SECONDS") != NULL;
	uint64_t checkouts = 0, reconnects = 0;
	bool ok = true;

	for (int i = 0; ok && i < NOTES; i++) {
		if (i < 6 || for_long || checkouts < CHECKOUTS || reconnects < RECONNECTS)
			ok = use_it_for(i, seconds, &checkouts, &reconnects);
		if (ok && !flat_note(&flat, pool, CONNECTIONS, checkouts)) {
			printf("WRONG: %s\n", flat.wrong);
			ok = false;
		}
	}
	printf("%llu checkouts, %llu new connections\n", (unsigned long long)checkouts,
	       (unsigned long long)reconnects);
	if (ok && !flat_judge(&flat)) {
		printf("WRONG: %s\n", flat.wrong);
		ok = false;
	}
	/* What is closed is counted a moment before the server sees it go. */
	for (int i = 0; i < 10000 && wi_load_rlx(&server.sessions) != CONNECTIONS; i++)
		nanosleep(&(struct timespec){.tv_nsec = WI_MS}, NULL);
	return ok && wi_load_rlx(&server.sessions) == CONNECTIONS;
}

int main(void)
{
	weir_options o;
	bool ok;

	test_watchdog(100 + (int)test_seconds(SECONDS), "promise.40_churn");
	wi_fake_server_init(&server);
	weir_options_init(&o);
	o.pool_min = o.pool_max = CONNECTIONS;
	if (wi_pool_open_with(&wi_driver_fake, &wi_world_linux, &server, "host=127.0.0.1", &o,
	                      &pool, NULL) != WEIR_OK)
		return EXIT_FAILURE;
	ok = churn();
	ok = weir_pool_close(&pool, 30000) == WEIR_OK && ok;
	wi_fake_server_fini(&server);
	return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}
