/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Promise 40 with libpq and a real server: new connections, hundreds of them, dirty ones that are
 * put right, and statements that fail: resident memory, descriptors and threads are as they were,
 * and the sums are exact.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <libpq-fe.h>

#include "base/atomic.h"
#include "p40_flat.h"
#include "support/cluster.h"
#include "support/threads.h"
#include "support/watchdog.h"

#define CONNECTIONS 4
#define USERS 6
#define SECONDS 6
#define NOTES 12

static weir_pool *pool;
static struct flat flat;

enum { GOT, DISCARDED };

static void leave_somehow(struct wi_rng *rng, weir_conn **conn, uint64_t *discarded)
{
	PGconn *pg = weir_pg(*conn);

	switch (wi_rng_below(rng, 4)) {
	case 0:
		PQclear(PQexec(pg, "SET search_path = pg_catalog"));
		break;
	case 1:
		PQclear(PQexec(pg, "BEGIN; SELECT nothing FROM nowhere"));
		break;
	case 2:
		PQclear(PQexec(pg, "SELECT generate_series(1, 100)"));
		break;
	default:
		++*discarded;
		weir_discard(conn);
		return;
	}
	weir_checkin(conn);
}

static void user(struct test_thread *self)
{
	weir_conn *conn;

	while (!wi_load_rlx(self->stop)) {
		weir_error error;

		if (weir_pool_checkout(pool, 30000, &conn, &error) != WEIR_OK) {
			test_wrong(self, "a checkout failed: %s", error.text);
			return;
		}
		self->count[GOT]++;
		leave_somehow(&self->rng, &conn, &self->count[DISCARDED]);
	}
}

static bool churn(void)
{
	struct test_thread reports[USERS];
	double seconds = test_seconds(SECONDS) / NOTES;
	uint64_t checkouts = 0, reconnects = 0;
	const char *wrong = NULL;

	for (int i = 0; !wrong && i < NOTES; i++) {
		test_threads_run(USERS, user, NULL, seconds, reports);
		checkouts += test_sum(reports, USERS, GOT);
		reconnects += test_sum(reports, USERS, DISCARDED);
		wrong = test_first_wrong(reports, USERS);
		if (!wrong && !flat_note(&flat, pool, CONNECTIONS, checkouts))
			wrong = flat.wrong;
	}
	printf("%llu checkouts, %llu new connections\n", (unsigned long long)checkouts,
	       (unsigned long long)reconnects);
	if (!wrong && !flat_judge(&flat))
		wrong = flat.wrong;
	if (wrong)
		printf("WRONG: %s\n", wrong);
	return !wrong;
}

int main(void)
{
	const struct test_cluster_options options = {.standbys = -1};
	struct test_cluster *cluster;
	weir_error error;
	weir_options o;
	bool ok;

	test_watchdog(200 + (int)test_seconds(SECONDS), "promise.40_churn_at_a_server");
	cluster = test_cluster_start_or_exit(&options);
	weir_options_init(&o);
	o.pool_min = o.pool_max = CONNECTIONS;
	if (weir_pool_open(test_cluster_url(cluster), &o, &pool, &error) != WEIR_OK) {
		printf("WRONG: %s\n", error.text);
		return EXIT_FAILURE;
	}
	ok = churn();
	ok = weir_pool_close(&pool, 30000) == WEIR_OK && ok;
	ok = test_cluster_stop(&cluster) && ok;
	return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}
