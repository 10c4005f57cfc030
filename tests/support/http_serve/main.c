/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A program that uses weir and shows itself by HTTP, for tests in Python.
 *
 *	http_serve ROUTER_URL [POOL_URL]
 *
 * opens a router, shown as shop, and a pool, shown as direct, and has some threads read and write
 * now and then. It prints "listening on PORT", and ends when its input does, or after ten minutes.
 */
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <weir/http.h>
#include <weir/weir.h>

#include "support/watchdog.h"

#define THREADS 6

static weir_router *router;
static weir_pool *pool;
static atomic_bool ending;

static weir_status insert(weir_tx *tx, void *arg, weir_error *error)
{
	(void)arg;
	return weir_exec(weir_tx_conn(tx), "INSERT INTO seen DEFAULT VALUES", 5000, error);
}

static void read_some(weir_conn *conn, unsigned turn)
{
	char sql[64];
	weir_status st;

	snprintf(sql, sizeof(sql), "SELECT pg_sleep(%u * 0.0005)", turn % 7);
	st = weir_exec(conn, sql, 5000, NULL);
	(void)st; /* a failover may be under way: the next one will do */
}

static void *use(void *arg)
{
	unsigned number = (unsigned)(uintptr_t)arg;

	for (unsigned turn = number; !atomic_load(&ending); turn++) {
		weir_conn *conn = NULL;
		weir_status st;

		if (turn % 10 == 0)
			st = weir_run(router, NULL, insert, NULL, NULL);
		else if (pool && turn % 10 == 1)
			st = weir_pool_checkout(pool, 1000, &conn, NULL);
		else
			st = weir_checkout(router, WEIR_READ, &conn, NULL);
		if (st == WEIR_OK && conn)
			read_some(conn, turn);
		weir_checkin(&conn);
		usleep(20000);
	}
	return NULL;
}

static bool make_table(void)
{
	weir_conn *conn = NULL;
	weir_status st = weir_checkout(router, WEIR_WRITE, &conn, NULL);

	if (st == WEIR_OK)
		st = weir_exec(conn,
		               "CREATE TABLE IF NOT EXISTS seen (at timestamptz DEFAULT now())",
		               10000, NULL);
	weir_checkin(&conn);
	return st == WEIR_OK;
}

static void serve(weir_http *http)
{
	pthread_t thread[THREADS];
	int byte;

	for (uintptr_t i = 0; i < THREADS; i++)
		if (pthread_create(&thread[i], NULL, use, (void *)i) != 0)
			exit(1);
	printf("listening on %u\n", (unsigned)weir_http_port(http));
	fflush(stdout);
	while ((byte = getchar()) != EOF)
		continue;
	atomic_store(&ending, true);
	for (int i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
}

int main(int argc, char **argv)
{
	weir_http_source sources[] = {{.name = "shop"}, {.name = "direct"}};
	weir_http_settings settings = {.size = sizeof(settings), .sources = sources};
	weir_http *http = NULL;
	weir_options options;
	weir_error error;

	if (argc < 2) {
		fprintf(stderr, "usage: http_serve ROUTER_URL [POOL_URL]\n");
		return 2;
	}
	test_watchdog(600, "the end of the input");
	weir_options_init(&options);
	options.pool_max = 4;
	options.probe_interval_ms = 100;
	options.metrics_interval_ms = 500;
	if (weir_router_open(argv[1], &options, &router, &error) != WEIR_OK ||
	    (argc > 2 && weir_pool_open(argv[2], &options, &pool, &error) != WEIR_OK)) {
		fprintf(stderr, "http_serve: %s\n", error.text);
		return 1;
	}
	sources[0].router = router;
	sources[1].pool = pool;
	settings.n_sources = pool ? 2 : 1;
	settings.health_good_for_ms = 200;
	if (!make_table() || weir_http_start(&settings, &http, &error) != WEIR_OK) {
		fprintf(stderr, "http_serve: %s\n", error.text);
		return 1;
	}
	serve(http);
	weir_http_stop(&http);
	weir_pool_close(&pool, 5000);
	weir_router_close(&router, 5000);
	return 0;
}
