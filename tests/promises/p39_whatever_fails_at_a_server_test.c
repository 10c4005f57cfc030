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

#include "base/assert.h"
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
static weir_pool *pool;
static weir_router *router;

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

/* That a size cannot be had is well said. */
static bool is_well_said(weir_status st)
{
	return st == WEIR_OK || st == WEIR_NO_MEMORY || st == WEIR_SYSTEM;
}

/* ---- a pool ---- */

static void pool_manage(void)
{
	wi_check(is_well_said(weir_pool_resize(pool, 1, 1, NULL)));
	wi_check(weir_pool_evict(pool) == WEIR_OK);
	wi_check(is_well_said(weir_pool_resize(pool, 1, SCENE_MAX, NULL)));
}

static weir_status pool_open(weir_error *error)
{
	return weir_pool_open(pool_url, &o, &pool, error);
}

static weir_status pool_checkout(bool write, int64_t timeout_ms, weir_conn **conn,
                                 weir_error *error)
{
	(void)write;
	return weir_pool_checkout(pool, timeout_ms, conn, error);
}

static bool pool_rests(char *wrong, size_t room)
{
	weir_pool_stats s;

	weir_pool_stats_get(pool, &s);
	return scene_pool_rests(&s, wrong, room) && server_agrees(SCENE_MAX, wrong, room);
}

static weir_status pool_close(int64_t drain_ms)
{
	return weir_pool_close(&pool, drain_ms);
}

static const struct lender a_pool = {.name = "pool",
                                     .open = pool_open,
                                     .checkout = pool_checkout,
                                     .soil = soil,
                                     .id = backend,
                                     .trouble = trouble,
                                     .manage = pool_manage,
                                     .is_alive = is_alive,
                                     .is_at_rest = pool_rests,
                                     .close = pool_close};

/* ---- a router ---- */

static void router_manage(void)
{
	wi_check(is_well_said(weir_router_resize(router, 1, 1, NULL)));
	wi_check(weir_router_evict(router, NULL) == WEIR_OK);
	wi_check(is_well_said(weir_router_resize(router, 1, SCENE_MAX, NULL)));
}

static weir_status router_open(weir_error *error)
{
	return weir_router_open(router_url, &o, &router, error);
}

static weir_status router_checkout(bool write, int64_t timeout_ms, weir_conn **conn,
                                   weir_error *error)
{
	const weir_request request =
		WEIR_REQUEST(.intent = write ? WEIR_WRITE : WEIR_READ, .timeout_ms = timeout_ms);

	return weir_checkout_with(router, &request, conn, error);
}

static bool router_rests(char *wrong, size_t room)
{
	weir_host_stats s[4];
	size_t n = weir_router_stats_get(router, s, 4);

	for (size_t i = 0; i < n; i++)
		if (!scene_pool_rests(&s[i].pool, wrong, room))
			return false;
	return server_agrees(SCENE_MAX + 1, wrong, room);
}

static weir_status router_close(int64_t drain_ms)
{
	return weir_router_close(&router, drain_ms);
}

static const struct lender a_router = {.name = "router",
                                       .open = router_open,
                                       .checkout = router_checkout,
                                       .soil = soil,
                                       .id = backend,
                                       .trouble = trouble,
                                       .manage = router_manage,
                                       .is_alive = is_alive,
                                       .is_at_rest = router_rests,
                                       .close = router_close};

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
