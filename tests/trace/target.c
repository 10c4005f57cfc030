/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A program to be traced: checkouts of every kind of a pool and of a router over fake servers, one
 * that runs out of time, a connection that is discarded, a statement. It prints how many of each.
 */
#include <stdio.h>
#include <stdlib.h>

#include <weir/weir.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "base/world.h"
#include "driver/fake.h"
#include "pool/pool.h"
#include "support/fake_cluster.h"
#include "support/watchdog.h"

#define PAIRS 10

static int checkouts, checkins;

static void must(bool well, const char *what)
{
	if (well)
		return;
	fprintf(stderr, "target: %s\n", what);
	exit(1);
}

static weir_conn *take(weir_pool *pool)
{
	weir_conn *conn = NULL;

	must(weir_pool_checkout(pool, 60000, &conn, NULL) == WEIR_OK, "checkout");
	checkouts++;
	return conn;
}

static void give(weir_conn **conn)
{
	checkins++;
	weir_checkin(conn);
}

static void with_a_pool(void)
{
	struct wi_fake_server server;
	weir_pool *pool = NULL;
	weir_conn *conn, *none = NULL;
	weir_options o;
	int64_t now_ns = wi_now_ns();

	wi_fake_server_init(&server);
	weir_options_init(&o);
	o.pool_min = 0;
	o.pool_max = 1;
	must(wi_pool_open_with(&wi_driver_fake, &wi_world_linux, &server, "host=127.0.0.1", &o,
	                       &pool, NULL) == WEIR_OK,
	     "open");
	for (int i = 0; i < PAIRS; i++) {
		conn = take(pool);
		give(&conn);
	}
	conn = take(pool);
	wi_tally_query(wi_conn_of(conn), now_ns - 5 * WI_MS, now_ns, WEIR_OK, "a report");
	must(weir_pool_checkout(pool, 20, &none, NULL) == WEIR_TIMEOUT, "there was another one");
	checkins++;
	weir_discard(&conn);
	conn = take(pool);
	give(&conn);
	must(weir_pool_close(&pool, 60000) == WEIR_OK, "close");
	wi_fake_server_fini(&server);
}

static void with_a_router(void)
{
	static struct fake_cluster cluster;
	weir_router *router = NULL;

	fake_cluster_init(&cluster, 2);
	must(fake_cluster_open(&cluster, NULL, &router, NULL) == WEIR_OK, "open");
	for (int i = 0; i < 2 * PAIRS; i++) {
		weir_request q = {.size = sizeof(q), .intent = WEIR_READ, .timeout_ms = 60000};
		weir_conn *conn = NULL;

		must(weir_checkout(router, i % 2 ? WEIR_READ : WEIR_WRITE, &conn, NULL) == WEIR_OK,
		     "checkout of the router");
		checkouts++;
		give(&conn);
		must(weir_checkout_with(router, &q, &conn, NULL) == WEIR_OK, "checkout with");
		checkouts++;
		give(&conn);
	}
	must(weir_router_close(&router, 60000) == WEIR_OK, "close of the router");
	fake_cluster_fini(&cluster);
}

int main(void)
{
	test_watchdog(100, "trace.target");
	with_a_pool();
	with_a_router();
	printf("checkout=%d checkin=%d timeout=1 query=1\n", checkouts, checkins);
	return 0;
}
