/* SPDX-License-Identifier: BSD-2-Clause */
#include "p38_calls.h"

#include <stdlib.h>
#include <string.h>

#include <libpq-fe.h>

#define HOST "127.0.0.1:1"
#define SQL "SELECT '" OF_A_CHILD "'"

static const weir_statement statement = {.size = sizeof(statement), .sql = SQL};
static const weir_run_settings settings = {.size = sizeof(settings), .timeout_ms = 1000};

static weir_status never(weir_tx *tx, void *arg, weir_error *error)
{
	(void)tx;
	(void)arg;
	(void)error;
	MUST(!"a run of a child's");
	return WEIR_OK;
}

/* ---- what is read ---- */

/* What a child is told of the parent's is of before the fork, or nothing. */
static void read_pool(weir_pool *pool)
{
	weir_event_record records[4];
	weir_pool_stats stats;
	weir_in_force in_force;
	weir_alert alerts[2];
	weir_held out[4];
	uint64_t lost;
	char *text = NULL;

	weir_pool_stats_get(pool, &stats);
	(void)weir_pool_in_force_get(pool, &in_force);
	MUST(weir_pool_held_get(pool, out, 4) == 0);
	(void)weir_pool_events_get(pool, 0, records, 4, &lost);
	(void)weir_pool_events_count(pool, WEIR_EVENT_CONNECTED);
	(void)weir_pool_alerts_get(pool, alerts, 2);
	MUST(weir_pool_metrics(pool, WEIR_METRICS_PROMETHEUS, &text, NULL, NULL) == WEIR_OK);
	weir_text_free(text);
}

static void read_router(weir_router *router)
{
	weir_event_record records[4];
	weir_host_stats hosts[1];
	weir_stats stats;
	weir_alert alerts[2];
	weir_held out[4];
	uint64_t lost;
	char *text = NULL;

	MUST(weir_router_stats_get(router, hosts, 1) == 0);
	weir_stats_get(router, &stats);
	MUST(weir_router_held_get(router, out, 4) == 0);
	(void)weir_router_events_get(router, 0, records, 4, &lost);
	(void)weir_router_events_count(router, WEIR_EVENT_CONNECTED);
	MUST(weir_router_alerts_get(router, alerts, 2) == 0);
	MUST(weir_router_metrics(router, WEIR_METRICS_PROMETHEUS, &text, NULL, NULL) == WEIR_OK);
	weir_text_free(text);
}

/* ---- what is asked for ---- */

static void manage_pool(weir_pool *pool)
{
	weir_options options;
	weir_error error;

	weir_options_init(&options);
	MUST(weir_pool_resize(pool, 1, 6, &error) == WEIR_FORKED);
	MUST(weir_pool_evict(pool) == WEIR_FORKED);
	MUST(weir_pool_reload(pool, &options, &error) == WEIR_FORKED);
	MUST(weir_pool_suspend(pool, WEIR_SUSPEND_FAIL) == WEIR_FORKED);
	MUST(weir_pool_resume(pool) == WEIR_FORKED);
}

void call_pool(weir_pool *pool)
{
	weir_conn *conn = NULL;
	PGresult *result = NULL;
	weir_health health = {.size = sizeof(health)};
	weir_error error;

	for (int64_t ms = -1; ms <= 1; ms++) {
		MUST(weir_pool_checkout(pool, ms, &conn, &error) == WEIR_FORKED);
		MUST(!conn && error.status == WEIR_FORKED && error.text[0]);
	}
	MUST(weir_pool_query(pool, SQL, 0, NULL, &result, &error) == WEIR_FORKED && !result);
	MUST(weir_pool_query_with(pool, &statement, &result, &error) == WEIR_FORKED && !result);
	MUST(weir_pool_run(pool, &settings, never, NULL, &error) == WEIR_FORKED);
	MUST(weir_pool_health(pool, 1000, &health, &error) == WEIR_FORKED);
	manage_pool(pool);
	read_pool(pool);
}

static void manage_hosts(weir_router *router)
{
	const weir_advice advice = {.size = sizeof(advice), .primary = HOST, .good_for_ms = 1};
	weir_host_settings host;
	weir_error error;

	weir_host_settings_init(&host);
	MUST(weir_router_host_add(router, HOST, &host, &error) == WEIR_FORKED);
	MUST(weir_router_host_set(router, HOST, &host, &error) == WEIR_FORKED);
	MUST(weir_router_host_drain(router, HOST, true, &error) == WEIR_FORKED);
	MUST(weir_router_host_remove(router, HOST, &error) == WEIR_FORKED);
	MUST(weir_router_advise(router, &advice, &error) == WEIR_FORKED);
}

static void manage_router(weir_router *router)
{
	weir_options options;
	weir_error error;
	uint32_t seen = 0;

	weir_options_init(&options);
	MUST(weir_router_resize(router, 1, 6, &error) == WEIR_FORKED);
	MUST(weir_router_evict(router, NULL) == WEIR_FORKED);
	MUST(weir_router_reload(router, &options, &error) == WEIR_FORKED);
	MUST(weir_router_suspend(router, WEIR_SUSPEND_WAIT) == WEIR_FORKED);
	MUST(weir_router_resume(router) == WEIR_FORKED);
	MUST(weir_router_probe(router, 1000) == WEIR_FORKED);
	MUST(weir_router_await(router, &seen, 1000) == WEIR_FORKED);
	manage_hosts(router);
}

void call_router(weir_router *router)
{
	const weir_request q = WEIR_REQUEST(.intent = WEIR_READ, .tag = "of a child");
	weir_conn *conn = NULL;
	PGresult *result = NULL;
	weir_health health = {.size = sizeof(health)};
	weir_error error;

	MUST(weir_checkout(router, WEIR_WRITE, &conn, &error) == WEIR_FORKED);
	MUST(weir_checkout(router, WEIR_READ, &conn, &error) == WEIR_FORKED);
	MUST(weir_checkout_with(router, &q, &conn, &error) == WEIR_FORKED && !conn);
	MUST(weir_query(router, WEIR_READ, SQL, 0, NULL, &result, &error) == WEIR_FORKED);
	MUST(weir_query_with(router, &q, &statement, &result, &error) == WEIR_FORKED && !result);
	MUST(weir_run(router, &settings, never, NULL, &error) == WEIR_FORKED);
	MUST(weir_router_health(router, 1000, &health, &error) == WEIR_FORKED);
	manage_router(router);
	read_router(router);
}

/* ---- what is held ---- */

void call_connection(weir_conn *conn)
{
	weir_session session = WEIR_SESSION();
	weir_tx tx = WEIR_TX();
	PGresult *result = NULL;
	weir_conn_info info;
	weir_token token;
	weir_error error;

	MUST(weir_pg(conn) == NULL);
	MUST(weir_conn_info_get(conn, &info) == WEIR_FORKED);
	MUST(weir_exec(conn, SQL, 1000, &error) == WEIR_FORKED);
	MUST(weir_conn_query(conn, &statement, &result, &error) == WEIR_FORKED && !result);
	MUST(weir_batch(conn, &statement, 1, &result, 1000, &error) == WEIR_FORKED && !result);
	MUST(weir_token_take(conn, 1000, &token, &error) == WEIR_FORKED);
	MUST(weir_token_commit(conn, 1000, &token, &error) == WEIR_FORKED);
	MUST(weir_session_take(&session, conn, 1000, &error) == WEIR_FORKED);
	MUST(weir_tx_begin(conn, NULL, &tx, &error) == WEIR_FORKED);
}

void call_transaction(weir_tx *tx)
{
	weir_tx nested = WEIR_TX(), again;
	weir_error error;

	again = *tx;
	MUST(weir_tx_nest(&again, &nested, &error) == WEIR_FORKED);
	again = *tx;
	MUST(weir_tx_commit(&again, &error) == WEIR_FORKED);
	again = *tx;
	MUST(weir_tx_rollback(&again, &error) == WEIR_FORKED);
	weir_tx_end(tx);
	MUST(weir_tx_conn(tx) == NULL);
	MUST(weir_tx_left_ms(tx) == 0);
}
