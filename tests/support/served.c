/* SPDX-License-Identifier: BSD-2-Clause */
#include "support/served.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "support/cluster.h"

struct served served;

void served_pause_ms(long ms)
{
	nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000}, NULL);
}

const char *served_ask(PGconn *pg, const char *sql)
{
	static char value[512];
	PGresult *r = PQexec(pg, sql);
	const char *state = PQresultErrorField(r, PG_DIAG_SQLSTATE);

	if (PQresultStatus(r) == PGRES_TUPLES_OK && PQntuples(r) > 0)
		snprintf(value, sizeof(value), "%s", PQgetvalue(r, 0, 0));
	else
		snprintf(value, sizeof(value), "%s",
		         state                                    ? state
		         : PQresultStatus(r) == PGRES_FATAL_ERROR ? "lost"
		                                                  : "");
	PQclear(r);
	return value;
}

int served_set_up(void **state)
{
	(void)state;
	weir_options_init(&served.o);
	served.o.pool_min = 0;
	memset(&served.error, 0, sizeof(served.error));
	return 0;
}

void served_open_at(const char *url)
{
	if (weir_pool_open(url, &served.o, &served.pool, &served.error) != WEIR_OK)
		fail_msg("%s", served.error.text);
}

void served_open(void)
{
	served_open_at(test_cluster_url(served.cluster));
}

void served_close(void)
{
	assert_int_equal(weir_pool_close(&served.pool, PATIENCE_MS), WEIR_OK);
}

weir_conn *served_checkout(void)
{
	weir_conn *conn = NULL;

	if (weir_pool_checkout(served.pool, PATIENCE_MS, &conn, &served.error) != WEIR_OK)
		fail_msg("%s", served.error.text);
	return conn;
}

weir_pool_stats served_stats(void)
{
	weir_pool_stats s;

	weir_pool_stats_get(served.pool, &s);
	return s;
}

const char *served_with(const char *parameters)
{
	static char url[2048];
	const char *plain = test_cluster_url(served.cluster);

	snprintf(url, sizeof(url), "%s%s%s", plain, strchr(plain, '?') ? "&" : "?", parameters);
	return url;
}

void served_log_in(void)
{
	PQfinish(served.admin);
	served.admin = PQconnectdb(test_cluster_superuser_url(served.cluster));
	assert_int_equal(PQstatus(served.admin), CONNECTION_OK);
}

int served_start(void **state)
{
	const struct test_cluster_options options = {.standbys = -1, .max_connections = 40};

	(void)state;
	served.cluster = test_cluster_start_or_exit(&options);
	served_log_in();
	return 0;
}

int served_finish(void **state)
{
	(void)state;
	PQfinish(served.admin);
	return test_cluster_stop(&served.cluster) ? 0 : -1;
}
