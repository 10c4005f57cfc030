/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The environment blocks of services that had other pools before, as they stand in compose files:
 * five services, each in development, in production and under high load. Each loads as it stands,
 * and says what it has always said.
 */
#include "config/dsn.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/line.h"
#include "config/options.h"

#define LINES 40
#define WANTS 20

struct block {
	const char *name;
	const char *lines[LINES];
	const char *host, *user, *database, *password;
	struct {
		const char *option, *value;
	} want[WANTS];
};

static const struct block blocks[] = {
	/* 1: one URL for SQLAlchemy, and its pool's settings */
	{"sqlalchemy, development",
         {"DATABASE_URL=postgresql+psycopg2://app:app@localhost:5432/app_dev",
          "POSTGRES_POOL_SIZE=5", "POSTGRES_MAX_OVERFLOW=5", "POSTGRES_POOL_TIMEOUT=30",
          "POSTGRES_POOL_RECYCLE=-1", "POSTGRES_POOL_PRE_PING=false", "POSTGRES_USER=app",
          "POSTGRES_PASSWORD=app", "POSTGRES_DB=app_dev", "LOG_LEVEL=DEBUG"},
         "localhost:5432",
         "app",
         "app_dev",
         "app",
         {{"pool_max", "5"},
          {"pool_overflow", "5"},
          {"checkout_timeout_ms", "30000"},
          {"max_lifetime_ms", "0"},
          {"pre_ping", "off"},
          {"pool_min", "2"}}},
	{"sqlalchemy, production",
         {"DATABASE_URL=postgresql+psycopg2://app:p%40ss@pg.prod.internal/app?sslmode=verify-full",
          "POSTGRES_POOL_SIZE=10", "POSTGRES_MAX_OVERFLOW=20", "POSTGRES_POOL_TIMEOUT=30",
          "POSTGRES_POOL_RECYCLE=3600", "POSTGRES_POOL_PRE_PING=True", "POD_COUNT=4"},
         "pg.prod.internal:5432",
         "app",
         "app",
         "p@ss",
         {{"pool_max", "10"},
          {"pool_overflow", "20"},
          {"max_lifetime_ms", "3600000"},
          {"pre_ping", "ping"},
          {"pod_count", "4"},
          {"sslmode", "verify-full"}}},
	{"sqlalchemy, high load",
         {"DATABASE_URL=postgresql+asyncpg://app:x@10.2.0.7:6432/app?ssl=require",
          "POSTGRES_POOL_SIZE=20", "POSTGRES_MAX_OVERFLOW=40", "POSTGRES_POOL_TIMEOUT=10",
          "POSTGRES_POOL_RECYCLE=1800", "POSTGRES_POOL_PRE_PING=1", "POD_COUNT=12"},
         "10.2.0.7:6432",
         "app",
         "app",
         "x",
         {{"pool_max", "20"},
          {"pool_overflow", "40"},
          {"checkout_timeout_ms", "10000"},
          {"max_lifetime_ms", "1800000"},
          {"pre_ping", "ping"},
          {"pod_count", "12"},
          {"sslmode", "require"}}},

	/* 2: psycopg2 with a threaded pool, the server's limits handed on in its own unit */
	{"threaded, development",
         {"DB_HOST=localhost", "DB_PORT=5432", "DB_NAME=orders", "DB_USER=orders",
          "DB_PASSWORD=orders", "DB_SSLMODE=disable", "DB_POOL_MIN=1", "DB_POOL_MAX=5",
          "DB_CONNECT_TIMEOUT=10", "DB_STATEMENT_TIMEOUT=30000", "DB_IDLE_TIMEOUT=60000",
          "DB_SSLROOTCERT=", "DB_SSLCERT=", "DB_SSLKEY="},
         "localhost:5432",
         "orders",
         "orders",
         "orders",
         {{"pool_min", "1"},
          {"pool_max", "5"},
          {"connect_timeout_ms", "10000"},
          {"statement_timeout_ms", "30000"},
          {"idle_in_transaction_timeout_ms", "60000"},
          {"sslmode", "disable"},
          {"sslcert", ""}}},
	{"threaded, production",
         {"DB_HOST=orders-db.prod", "DB_PORT=5432", "DB_NAME=orders", "DB_USER=orders_rw",
          "DB_PASSWORD=a=b&c@d/e", "DB_SSLMODE=verify-full", "DB_SSLROOTCERT=/etc/tls/ca.pem",
          "DB_SSLCERT=/etc/tls/client.pem", "DB_SSLKEY=/etc/tls/client.key", "DB_POOL_MIN=5",
          "DB_POOL_MAX=20", "DB_CONNECT_TIMEOUT=5", "DB_STATEMENT_TIMEOUT=15000",
          "DB_IDLE_TIMEOUT=30000"},
         "orders-db.prod:5432",
         "orders_rw",
         "orders",
         "a=b&c@d/e",
         {{"pool_min", "5"},
          {"pool_max", "20"},
          {"sslmode", "verify-full"},
          {"sslrootcert", "/etc/tls/ca.pem"},
          {"sslcert", "/etc/tls/client.pem"},
          {"sslkey", "/etc/tls/client.key"},
          {"statement_timeout_ms", "15000"}}},
	{"threaded, high load",
         {"DB_HOST=10.1.0.1,10.1.0.2", "DB_PORT=5432", "DB_NAME=orders", "DB_USER=orders_rw",
          "DB_PASSWORD=secret", "DB_SSLMODE=require", "DB_POOL_MIN=20", "DB_POOL_MAX=100",
          "DB_CONNECT_TIMEOUT=3", "DB_STATEMENT_TIMEOUT=5000", "DB_IDLE_TIMEOUT=10000"},
         "10.1.0.1:5432",
         "orders_rw",
         "orders",
         "secret",
         {{"pool_min", "20"},
          {"pool_max", "100"},
          {"connect_timeout_ms", "3000"},
          {"idle_in_transaction_timeout_ms", "10000"}}},

	/* 3: asyncpg: sizes and timeouts by its names */
	{"asyncpg, development",
         {"DATABASE_URL=postgresql://dev:dev@db:5432/events", "DB_MIN_POOL_SIZE=1",
          "DB_MAX_POOL_SIZE=5", "DB_TIMEOUT=30", "DB_COMMAND_TIMEOUT=60"},
         "db:5432",
         "dev",
         "events",
         "dev",
         {{"pool_min", "1"}, {"pool_max", "5"}, {"checkout_timeout_ms", "30000"}}},
	{"asyncpg, production",
         {"DATABASE_URL=postgres://events:pw@events-db:5432/events?sslmode=require",
          "DB_MIN_POOL_SIZE=10", "DB_MAX_POOL_SIZE=20", "DB_TIMEOUT=10.0",
          "DB_COMMAND_TIMEOUT=30.0"},
         "events-db:5432",
         "events",
         "events",
         "pw",
         {{"pool_min", "10"}, {"pool_max", "20"}, {"checkout_timeout_ms", "10000"}}},
	{"asyncpg, high load",
         {"DATABASE_URL=postgres://events:pw@e1,e2,e3/events?sslmode=require",
          "DB_MIN_POOL_SIZE=20", "DB_MAX_POOL_SIZE=50", "DB_TIMEOUT=0.5", "DB_COMMAND_TIMEOUT=2.5",
          "DB_POOL_MAX=50"},
         "e1:5432",
         "events",
         "events",
         "pw",
         {{"pool_min", "20"}, {"pool_max", "50"}, {"checkout_timeout_ms", "500"}}},

	/* 4: the one that watches itself: monitoring, circuit breaker, limits of alerts */
	{"monitored, development",
         {"DB_HOST=postgres", "DB_NAME=billing", "DB_USER=billing", "DB_PASSWORD=billing",
          "DB_SSLMODE=prefer", "DB_POOL_MIN=2", "DB_POOL_MAX=10", "DB_MAX_OVERFLOW=5",
          "DB_CHECKOUT_TIMEOUT=30", "DB_ENABLE_MONITORING=false", "DB_HEALTH_CHECK_INTERVAL=60",
          "DB_METRICS_INTERVAL=60", "DB_CIRCUIT_FAILURE_THRESHOLD=5",
          "DB_CIRCUIT_RECOVERY_TIMEOUT=60", "DB_MAX_CHECKOUT_TIME=10", "DB_MAX_QUERY_TIME=30",
          "DB_CONNECTION_FAILURE_THRESHOLD=0.5"},
         "postgres:5432",
         "billing",
         "billing",
         "billing",
         {{"pool_overflow", "5"},
          {"monitoring", "off"},
          {"keepalive_ms", "60000"},
          {"metrics_interval_ms", "60000"},
          {"breaker_failures", "5"},
          {"breaker_open_ms", "60000"},
          {"slow_checkout_ms", "10000"},
          {"slow_query_ms", "30000"},
          {"alert_failure_pct", "50"}}},
	{"monitored, production",
         {"DB_HOST=billing-pg",
          "DB_PORT=5433",
          "DB_NAME=billing",
          "DB_USER=billing",
          "DB_PASSWORD=x",
          "DB_SSLMODE=verify-ca",
          "DB_SSLROOTCERT=/run/secrets/ca.crt",
          "DB_POOL_MIN=5",
          "DB_POOL_MAX=20",
          "DB_MAX_OVERFLOW=10",
          "DB_CHECKOUT_TIMEOUT=5",
          "DB_CONNECT_TIMEOUT=10",
          "DB_STATEMENT_TIMEOUT=30000",
          "DB_IDLE_TIMEOUT=300000",
          "DB_ENABLE_MONITORING=true",
          "DB_HEALTH_CHECK_INTERVAL=30",
          "DB_METRICS_INTERVAL=30",
          "DB_CIRCUIT_FAILURE_THRESHOLD=5",
          "DB_CIRCUIT_RECOVERY_TIMEOUT=30",
          "DB_MAX_CHECKOUT_TIME=5.0",
          "DB_MAX_QUERY_TIME=5.0",
          "DB_CONNECTION_FAILURE_THRESHOLD=0.1",
          "DB_BACKUP_BUCKET=s3://billing"},
         "billing-pg:5433",
         "billing",
         "billing",
         "x",
         {{"sslmode", "verify-ca"},
          {"sslrootcert", "/run/secrets/ca.crt"},
          {"checkout_timeout_ms", "5000"},
          {"monitoring", "on"},
          {"keepalive_ms", "30000"},
          {"breaker_open_ms", "30000"},
          {"slow_checkout_ms", "5000"},
          {"slow_query_ms", "5000"},
          {"alert_failure_pct", "10"},
          {"idle_in_transaction_timeout_ms", "300000"}}},
	{"monitored, high load",
         {"DB_HOST=billing-pg",
          "DB_PORT=5433",
          "DB_NAME=billing",
          "DB_USER=billing",
          "DB_PASSWORD=x",
          "DB_SSLMODE=require",
          "DB_POOL_MIN=20",
          "DB_POOL_MAX=50",
          "DB_MAX_OVERFLOW=30",
          "DB_CHECKOUT_TIMEOUT=2.5",
          "DB_CONNECT_TIMEOUT=3",
          "DB_STATEMENT_TIMEOUT=5000",
          "DB_IDLE_TIMEOUT=60000",
          "DB_ENABLE_MONITORING=1",
          "DB_HEALTH_CHECK_INTERVAL=10",
          "DB_METRICS_INTERVAL=10",
          "DB_CIRCUIT_FAILURE_THRESHOLD=10",
          "DB_CIRCUIT_RECOVERY_TIMEOUT=15",
          "DB_MAX_CHECKOUT_TIME=0.5",
          "DB_MAX_QUERY_TIME=1",
          "DB_CONNECTION_FAILURE_THRESHOLD=0.05"},
         "billing-pg:5433",
         "billing",
         "billing",
         "x",
         {{"pool_overflow", "30"},
          {"checkout_timeout_ms", "2500"},
          {"keepalive_ms", "10000"},
          {"metrics_interval_ms", "10000"},
          {"breaker_failures", "10"},
          {"slow_checkout_ms", "500"},
          {"alert_failure_pct", "5"}}},

	/* 5: parts, and a URL made of the same parts; replicas of it in a cluster */
	{"both, development",
         {"DB_HOST=db", "DB_PORT=5432", "DB_NAME=users", "DB_USER=users", "DB_PASSWORD=users",
          "DATABASE_URL=postgresql://users:users@db:5432/users", "DB_MAX_POOL_SIZE=10"},
         "db:5432",
         "users",
         "users",
         "users",
         {{"pool_max", "10"}}},
	{"both, production",
         {"DB_HOST=users-pg", "DB_PORT=5432", "DB_NAME=users", "DB_USER=users", "DB_PASSWORD=p/w",
          "DATABASE_URL=postgresql://users:p%2Fw@users-pg:5432/users", "DB_POOL_MIN=4",
          "DB_MIN_POOL_SIZE=4", "DB_POOL_MAX=16", "DB_MAX_POOL_SIZE=16", "DB_TIMEOUT=30",
          "DB_CHECKOUT_TIMEOUT=30.0", "POD_COUNT=3", "DB_SERVICE_HOST=10.96.3.1",
          "DB_SERVICE_PORT=5432", "DB_PORT_5432_TCP_PORT=5432"},
         "users-pg:5432",
         "users",
         "users",
         "p/w",
         {{"pool_min", "4"},
          {"pool_max", "16"},
          {"checkout_timeout_ms", "30000"},
          {"pod_count", "3"}}},
	{"both, high load",
         {"DATABASE_URL=postgresql://users@users-pg/users", "DB_PASSWORD=from a secret",
          "DB_POOL_MIN=16", "DB_POOL_MAX=64", "DB_MAX_OVERFLOW=64", "DB_TIMEOUT=1",
          "DB_COMMAND_TIMEOUT=5", "POSTGRES_POOL_RECYCLE=900", "POSTGRES_POOL_PRE_PING=yes",
          "POD_COUNT=24", "WEIR_SERVER_BUDGET=2400", "WEIR_BALANCE=p2c"},
         "users-pg:5432",
         "users",
         "users",
         "from a secret",
         {{"pool_min", "16"},
          {"pool_max", "64"},
          {"pool_overflow", "64"},
          {"checkout_timeout_ms", "1000"},
          {"max_lifetime_ms", "900000"},
          {"pre_ping", "ping"},
          {"server_budget", "2400"}}},
};

static void expect_options(const struct block *b, const weir_options *o)
{
	char text[600];

	for (size_t i = 0; i < WANTS && b->want[i].option; i++) {
		assert_int_equal(weir_options_get(o, b->want[i].option, text, sizeof(text)),
		                 WEIR_OK);
		if (strcmp(text, b->want[i].value) != 0)
			fail_msg("%s: %s is %s", b->name, b->want[i].option, text);
	}
}

static void load(const struct block *b)
{
	char room[LINES][256], *entries[LINES + 1] = {NULL}, **own = environ;
	weir_options o;
	weir_error error = {0};
	struct wi_dsn dsn = {0};
	weir_status st;

	for (size_t i = 0; i < LINES && b->lines[i]; i++) {
		snprintf(room[i], sizeof(room[i]), "%s", b->lines[i]);
		entries[i] = room[i];
	}
	weir_options_init(&o);
	environ = entries;
	st = weir_options_from_env(&o, &error);
	if (st == WEIR_OK && *error.text)
		st = WEIR_INVALID;
	if (st == WEIR_OK)
		st = wi_dsn_parse(&dsn, NULL, &o, &error);
	if (st == WEIR_OK)
		st = wi_options_agree(&o, &error);
	environ = own;
	if (st != WEIR_OK)
		fail_msg("%s: %s", b->name, error.text);
	expect_options(b, &o);
	assert_string_equal(dsn.hosts[0].name, b->host);
	assert_string_equal(wi_dsn_param(&dsn, "user"), b->user);
	assert_string_equal(wi_dsn_param(&dsn, "dbname"), b->database);
	assert_string_equal(wi_dsn_param(&dsn, "password"), b->password);
	wi_dsn_fini(&dsn);
}

static void each_block_loads_as_it_stands(void **state)
{
	(void)state;
	for (size_t i = 0; i < WI_ARRAY_LEN(blocks); i++)
		load(&blocks[i]);
	assert_int_equal(WI_ARRAY_LEN(blocks), 15);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_block_loads_as_it_stands),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
