/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Promise 39 with libpq and real servers: whatever call of weir's or of libpq's fails, the caller
 * is told, no connection is lost or lent twice, nothing leaks, and when calls succeed again all is
 * as before.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <libpq-fe.h>

#include "p39_lent.h"
#include "p39_scene.h"
#include "support/cluster.h"
#include "support/threads.h"
#include "support/watchdog.h"

/* libgssapi itself crashes where it has no memory */
#define NO_GSS "?gssencmode=disable"
#define MOST 30 /* calls of a kind that are tried, of thousands in libpq */

static struct test_cluster *cluster;
static PGconn *admin; /* at the primary */
static char pool_url[512], router_url[512];
static weir_options o;

static uint32_t backend(const weir_conn *conn)
{
	return (uint32_t)PQbackendPID(weir_pg(conn));
}

/* Any answer will do, also none. */
static void soil(weir_conn *conn)
{
	PQclear(PQexec(weir_pg(conn), "BEGIN"));
	PQclear(PQexec(weir_pg(conn), "SET search_path = pg_catalog"));
}

static void trouble(void)
{
	PQclear(PQexec(admin, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
	                      "WHERE usename = 'app'"));
}

/* What the primary counts, a probe among them. */
static bool server_agrees(int most, char *wrong, size_t room)
{
	PGresult *r = PQexec(admin, "SELECT count(*) FROM pg_stat_activity WHERE usename = 'app'");
	int n = PQntuples(r) == 1 ? atoi(PQgetvalue(r, 0, 0)) : -1;

	PQclear(r);
	if (n >= 0 && n <= most)
		return true;
	snprintf(wrong, room, "the server counts %d connections: %s", n, PQerrorMessage(admin));
	return false;
}

static bool is_alive(weir_conn *conn)
{
	PGresult *r = PQexec(weir_pg(conn), "SELECT 1");
	bool alive = PQresultStatus(r) == PGRES_TUPLES_OK;

	PQclear(r);
	return alive;
}

/* ---- a pool ---- */

static weir_status pool_open(weir_error *error)
{
	return weir_pool_open(pool_url, &o, &lent_pool, error);
}

static bool pool_rests(char *wrong, size_t room)
{
	weir_pool_stats s;

	weir_pool_stats_get(lent_pool, &s);
	return scene_pool_rests(&s, wrong, room) && server_agrees(SCENE_MAX, wrong, room);
}

static const struct lender a_pool = {.name = "pool",
                                     .open = pool_open,
                                     .checkout = lent_pool_checkout,
                                     .soil = soil,
                                     .id = backend,
                                     .trouble = trouble,
                                     .manage = lent_pool_manage,
                                     .is_alive = is_alive,
                                     .is_at_rest = pool_rests,
                                     .close = lent_pool_close};

/* ---- a router ---- */

static weir_status router_open(weir_error *error)
{
	return weir_router_open(router_url, &o, &lent_router, error);
}

static bool router_rests(char *wrong, size_t room)
{
	weir_host_stats s[4];
	size_t n = weir_router_stats_get(lent_router, s, 4);

	for (size_t i = 0; i < n; i++)
		if (!scene_pool_rests(&s[i].pool, wrong, room))
			return false;
	return server_agrees(SCENE_MAX + 1, wrong, room);
}

static const struct lender a_router = {.name = "router",
                                       .open = router_open,
                                       .checkout = lent_router_checkout,
                                       .soil = soil,
                                       .id = backend,
                                       .trouble = trouble,
                                       .manage = lent_router_manage,
                                       .is_alive = is_alive,
                                       .is_at_rest = router_rests,
                                       .close = lent_router_close};

/* ---- tests ---- */

static void a_pool_survives_whatever_fails(void **state)
{
	(void)state;
	for (int kind = 0; kind < INJECT_KINDS; kind++)
		scene_play_all(&a_pool, (enum inject)kind, MOST / test_slowness());
}

static void a_router_survives_whatever_fails(void **state)
{
	(void)state;
	for (int kind = 0; kind < INJECT_KINDS; kind++)
		scene_play_all(&a_router, (enum inject)kind, MOST / test_slowness());
}

/* The pool's by name, so that there is something to look up. */
static void name_hosts(const char *url)
{
	const char *host = strchr(url, '@');

	assert_non_null(host);
	snprintf(pool_url, sizeof(pool_url), "%.*s@localhost:%d/shop%s", (int)(host - url), url,
	         test_cluster_port(cluster, 0), NO_GSS);
	snprintf(router_url, sizeof(router_url), "%s%s", url, NO_GSS);
}

static int set_up(void **state)
{
	const struct test_cluster_options options = {.standbys = 1};

	(void)state;
	inject_init();
	cluster = test_cluster_start_or_exit(&options);
	name_hosts(test_cluster_url(cluster));
	admin = PQconnectdb(test_cluster_superuser_url(cluster));
	assert_int_equal(PQstatus(admin), CONNECTION_OK);
	scene_options(&o);
	o.max_lifetime_ms = 100;
	o.probe_interval_ms = 50;
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	PQfinish(admin);
	return test_cluster_stop(&cluster) ? 0 : -1;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_pool_survives_whatever_fails),
		cmocka_unit_test(a_router_survives_whatever_fails),
	};

	test_watchdog(280, "promise.39_whatever_fails_at_a_server");
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
