/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * weir_run where everything goes wrong at once: transfers in a bank by many threads, serializable
 * and otherwise, that deadlock and fail to be serialized, while sessions are terminated (most of
 * all those that have committed and wait for a standby), and the primary is killed and another
 * promoted, with synchronous replication.
 *
 * Every attempt inserts a row of its own, a marker, in its transaction. So the markers in the
 * database tell in the end what became of each run:
 *
 *	ONCE           a run that said OK has exactly one
 *	AT_MOST_ONCE   a run that said OUTCOME_UNKNOWN has one or none
 *	NEVER          any other has none; nor has what was rolled back, or nested and taken back
 *	TOTAL          the bank has what it had, in the end and whenever somebody looked
 *
 * TEST_STRESS_SECONDS: how long; then with a failover every 20 s. TEST_STRESS_SEED: its choices.
 */
#include <inttypes.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <libpq-fe.h>

#include <weir/weir.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "base/rng.h"
#include "support/cluster.h"
#include "support/threads.h"
#include "support/trouble.h"
#include "support/watchdog.h"

#define CLERKS 8
#define ACCOUNTS 10
#define BALANCE 1000
#define NESTED 1000000 /* numbers of markers that must not be there begin here */

static struct test_cluster *cluster;
static struct test_trouble trouble = {.gone = -1};
static weir_router *router;
static _Atomic bool ending, some_are_unknown;

/* ---- what was found ---- */

enum rule { ONCE, AT_MOST_ONCE, NEVER, TOTAL, RULES };
static const char *const rule_names[] = {"ONCE", "AT_MOST_ONCE", "NEVER", "TOTAL"};
static _Atomic uint64_t judged[RULES], broken[RULES];

static void found(enum rule rule, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void found(enum rule rule, const char *format, ...)
{
	va_list args;

	if (wi_add_seq(&broken[rule], 1) >= 3)
		return;
	va_start(args, format);
	printf("BROKEN %s: ", rule_names[rule]);
	vprintf(format, args);
	printf("\n");
	va_end(args);
}

/* The servers did not do as they were told: nothing here says anything about weir. */
static void must(bool ok)
{
	if (ok)
		return;
	fprintf(stderr, "the cluster does not obey: %s\n", test_cluster_error(cluster));
	_exit(1); /* the threads go on to the end */
}

/* ---- clerks ---- */

/* What became of a run, as it said. */
struct verdict {
	int16_t status;
	bool committed;
	uint8_t markers, nested; /* found in the end */
};

/* What a run does in the end. */
enum manner { COMMITS, NESTS, GIVES_UP, ROLLS_BACK, MANNERS };

/*
 * Access key: (o) its own thread's, until that has ended.
 */
struct clerk {
	pthread_t thread;                    /* main's */
	int number;                          /* constant */
	struct wi_rng rng;                   /* (o) */
	struct verdict *verdict;             /* (o) of each run */
	uint32_t n, room;                    /* (o) */
	uint64_t why[WEIR_AGAINS], attempts; /* (o) */
	uint64_t statuses[64]; /* (o) how many runs had each status of weir's, and 63: others */
	/* (o) the run that goes on */
	enum manner manner;
	bool raw;   /* libpq by itself, and errors told as who knows nothing of weir would */
	bool hides; /* it does not look whether its statements succeeded */
	int attempt, from, to;
};
static struct clerk clerks[CLERKS];

static weir_status say_raw(weir_conn *c, const char *sql)
{
	PGresult *result = PQexec(weir_pg(c), sql);
	ExecStatusType status = PQresultStatus(result);

	PQclear(result);
	return status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK ? WEIR_OK : WEIR_QUERY;
}

static weir_status say(const struct clerk *k, const weir_tx *tx, weir_error *e, const char *format,
                       ...) __attribute__((format(printf, 4, 5)));

static weir_status say(const struct clerk *k, const weir_tx *tx, weir_error *e, const char *format,
                       ...)
{
	weir_status st;
	char sql[160];
	va_list args;

	va_start(args, format);
	vsnprintf(sql, sizeof(sql), format, args);
	va_end(args);
	st = k->raw ? say_raw(weir_tx_conn(tx), sql)
	            : weir_exec(weir_tx_conn(tx), sql, weir_tx_left_ms(tx), e);
	return k->hides ? WEIR_OK : st;
}

static weir_status mark(const struct clerk *k, const weir_tx *tx, int number, weir_error *e)
{
	return say(k, tx, e, "INSERT INTO marker VALUES (%d, %" PRIu32 ", %d)", k->number, k->n,
	           number);
}

static weir_status nest(const struct clerk *k, weir_tx *tx, weir_error *e)
{
	WEIR_SCOPED_TX weir_tx inner = WEIR_TX();
	weir_status st = weir_tx_nest(tx, &inner, e);

	if (st == WEIR_OK)
		st = mark(k, &inner, NESTED + k->attempt, e);
	if (st == WEIR_OK)
		st = say(k, &inner, e, "UPDATE account SET balance = 0 WHERE id = %d", k->from);
	return st;
}

static weir_status end(const struct clerk *k, weir_tx *tx, weir_error *e)
{
	switch (k->manner) {
	case COMMITS:
	case MANNERS:
		break;
	case NESTS:
		return nest(k, tx, e);
	case GIVES_UP:
		return (weir_status)1000;
	case ROLLS_BACK:
		(void)weir_tx_rollback(tx, e);
		break;
	}
	return WEIR_OK;
}

static weir_status transfer(weir_tx *tx, void *arg, weir_error *e)
{
	struct clerk *k = arg;
	weir_status st = say(k, tx, e, "SELECT balance FROM account WHERE id IN (%d, %d)", k->from,
	                     (k->to + 1) % ACCOUNTS);

	k->attempt++;
	if (st == WEIR_OK)
		st = say(k, tx, e, "UPDATE account SET balance = balance - 1 WHERE id = %d",
		         k->from);
	if (st == WEIR_OK)
		st = mark(k, tx, k->attempt, e);
	if (st == WEIR_OK)
		st = say(k, tx, e, "UPDATE account SET balance = balance + 1 WHERE id = %d", k->to);
	return st == WEIR_OK ? end(k, tx, e) : st;
}

static bool by_chance(struct clerk *k, uint32_t in)
{
	return wi_rng_below(&k->rng, in) == 0;
}

static void note(struct clerk *k, weir_status st, const weir_run_result *result)
{
	if (k->n == k->room) {
		k->room = k->room ? 2 * k->room : 4096;
		k->verdict = realloc(k->verdict, k->room * sizeof(k->verdict[0]));
		if (!k->verdict)
			abort();
	}
	k->verdict[k->n++] =
		(struct verdict){.status = (int16_t)st, .committed = result->committed};
	k->statuses[(unsigned)st < 63 ? st : 63]++;
	if (st == WEIR_OUTCOME_UNKNOWN)
		wi_store_rlx(&some_are_unknown, true);
	k->why[result->why]++;
	k->attempts += result->attempts;
}

static void run_once(struct clerk *k)
{
	weir_token token;
	weir_tx_settings tx = WEIR_TX_SETTINGS(.isolation = WEIR_ISOLATION_SERIALIZABLE);
	weir_run_result result = {0};
	weir_run_settings settings = WEIR_RUN_SETTINGS(.tx = &tx, .timeout_ms = 20000,
	                                               .max_pause_ms = 200, .result = &result);

	if (by_chance(k, 4))
		tx.isolation = WEIR_ISOLATION_READ_COMMITTED;
	if (by_chance(k, 4))
		tx.token = &token;
	if (by_chance(k, 20))
		settings.timeout_ms = 1 + wi_rng_below(&k->rng, 100);
	if (by_chance(k, 20))
		tx.lock_timeout_ms = 20;
	k->manner = by_chance(k, 4) ? (enum manner)wi_rng_below(&k->rng, MANNERS) : COMMITS;
	k->raw = by_chance(k, 3);
	k->hides = by_chance(k, 10);
	k->attempt = 0;
	k->from = (int)wi_rng_below(&k->rng, ACCOUNTS);
	k->to = (k->from + 1 + (int)wi_rng_below(&k->rng, ACCOUNTS - 1)) % ACCOUNTS;
	note(k, weir_run(router, &settings, transfer, k, NULL), &result);
}

static void *work(void *arg)
{
	while (!wi_load_rlx(&ending))
		run_once(arg);
	return NULL;
}

/* ---- who looks ---- */

static weir_status sum_up(weir_tx *tx, void *arg, weir_error *e)
{
	PGresult *result = PQexec(weir_pg(weir_tx_conn(tx)), "SELECT sum(balance) FROM account");
	bool answered = PQresultStatus(result) == PGRES_TUPLES_OK;

	(void)e;
	if (answered)
		*(int64_t *)arg = atoll(PQgetvalue(result, 0, 0));
	PQclear(result);
	return answered ? WEIR_OK : WEIR_QUERY;
}

static _Atomic uint64_t reads, reads_again;

static void *look(void *arg)
{
	const weir_request read = WEIR_REQUEST(.intent = WEIR_READ);
	weir_run_result result = {0};
	const weir_run_settings settings =
		WEIR_RUN_SETTINGS(.request = &read, .timeout_ms = 20000, .result = &result);
	int64_t total;

	(void)arg;
	while (!wi_load_rlx(&ending)) {
		if (weir_run(router, &settings, sum_up, &total, NULL) == WEIR_OK) {
			wi_add_rlx(&judged[TOTAL], 1);
			if (total != ACCOUNTS * BALANCE)
				found(TOTAL, "somebody saw %" PRId64, total);
		}
		wi_add_rlx(&reads, 1);
		wi_add_rlx(&reads_again, result.attempts > 1);
		usleep(1000);
	}
	return NULL;
}

/* ---- the end ---- */

static PGconn *connect_to_primary(void)
{
	const char *all = test_cluster_url(cluster);
	char url[512];
	PGconn *pg;

	snprintf(url, sizeof(url), "%.*s127.0.0.1:%d%s", (int)(strchr(all, '@') + 1 - all), all,
	         test_cluster_port(cluster, trouble.primary), strrchr(all, '/'));
	pg = PQconnectdb(url);
	if (PQstatus(pg) != CONNECTION_OK) {
		fprintf(stderr, "%s", PQerrorMessage(pg));
		exit(1);
	}
	return pg;
}

static void take_markers(PGconn *pg)
{
	PGresult *rows = PQexec(pg, "SELECT clerk, run, number FROM marker");

	if (PQresultStatus(rows) != PGRES_TUPLES_OK) {
		fprintf(stderr, "%s", PQerrorMessage(pg));
		exit(1);
	}
	for (int i = 0; i < PQntuples(rows); i++) {
		struct clerk *k = &clerks[atoi(PQgetvalue(rows, i, 0))];
		struct verdict *v = &k->verdict[strtoul(PQgetvalue(rows, i, 1), NULL, 10)];

		if (atoi(PQgetvalue(rows, i, 2)) > NESTED)
			v->nested++;
		else
			v->markers++;
	}
	PQclear(rows);
}

static uint64_t unknown_done;

static void judge(int clerk, uint32_t run, const struct verdict *v)
{
	bool unknown = v->status == WEIR_OUTCOME_UNKNOWN;
	enum rule rule = v->committed ? ONCE : unknown ? AT_MOST_ONCE : NEVER;
	int most = rule != NEVER, least = rule == ONCE;

	wi_add_rlx(&judged[rule], 1);
	unknown_done += unknown && v->markers;
	if (v->markers < least || v->markers > most)
		found(rule, "run %" PRIu32 " of clerk %d said %s and has %d markers", run, clerk,
		      weir_status_name((weir_status)v->status), v->markers);
	if (v->nested)
		found(NEVER, "run %" PRIu32 " of clerk %d has %d nested markers", run, clerk,
		      v->nested);
}

static void judge_all(void)
{
	PGconn *pg = connect_to_primary();
	PGresult *total = PQexec(pg, "SELECT sum(balance) FROM account");

	wi_add_rlx(&judged[TOTAL], 1);
	if (PQntuples(total) != 1 || atoll(PQgetvalue(total, 0, 0)) != ACCOUNTS * BALANCE)
		found(TOTAL, "in the end there is %s", PQgetvalue(total, 0, 0));
	PQclear(total);
	take_markers(pg);
	PQfinish(pg);
	for (int i = 0; i < CLERKS; i++)
		for (uint32_t n = 0; n < clerks[i].n; n++)
			judge(i, n, &clerks[i].verdict[n]);
}

static uint64_t sum(size_t offset)
{
	uint64_t n = 0;

	for (int i = 0; i < CLERKS; i++)
		n += *(const uint64_t *)((const char *)&clerks[i] + offset);
	return n;
}

static void print(void)
{
	printf("%" PRIu64 " sessions terminated, %" PRIu64 " failovers; %" PRIu64
	       " attempts; %" PRIu64 " reads, %" PRIu64 " of them more than once; of the unknown "
	       "outcomes %" PRIu64 " were commits\n",
	       trouble.terminated, trouble.failovers, sum(offsetof(struct clerk, attempts)), reads,
	       reads_again, unknown_done);
	for (int i = 0; i < 64; i++) {
		uint64_t n = sum(offsetof(struct clerk, statuses) + (size_t)i * sizeof(uint64_t));

		if (n)
			printf("  %" PRIu64 " runs said %s\n", n,
			       i < 63 ? weir_status_name((weir_status)i) : "what the callback did");
	}
	for (int i = 0; i < WEIR_AGAINS; i++)
		printf("  %" PRIu64 " runs were last tried again because: %s\n",
		       sum(offsetof(struct clerk, why) + (size_t)i * sizeof(uint64_t)),
		       weir_again_text((weir_again)i));
	for (int i = 0; i < RULES; i++)
		printf("%-12s judged %" PRIu64 ", broken %" PRIu64 "\n", rule_names[i], judged[i],
		       broken[i]);
}

/* ---- the beginning ---- */

static void start(double seconds)
{
	static const char *const settings[] = {"synchronous_standby_names=ANY 1 (*)",
	                                       "deadlock_timeout=20ms", NULL};
	weir_options options;
	weir_error error;
	char sql[512], *made;

	cluster = test_cluster_start_or_exit(&(struct test_cluster_options){
		.max_seconds = (int)seconds + 600, .settings = settings});
	snprintf(sql, sizeof(sql),
	         "CREATE TABLE account (id int PRIMARY KEY, balance bigint NOT NULL);"
	         "INSERT INTO account SELECT i, %d FROM generate_series(0, %d) AS i;"
	         "CREATE TABLE marker (clerk int, run bigint, number int,"
	         " PRIMARY KEY (clerk, run, number)); GRANT ALL ON account, marker TO app",
	         BALANCE, ACCOUNTS - 1);
	made = test_cluster_sql(cluster, 0, sql);
	must(made != NULL);
	free(made);
	must(test_cluster_sync(cluster));
	trouble.cluster = cluster;
	weir_options_init(&options);
	options.probe_interval_ms = 100;
	options.hold_down_ms = 0;
	/*
	 * A commit whose wait for a standby the server gives up is acknowledged: docs/contracts.md.
	 */
	options.statement_timeout_ms = 0;
	if (weir_router_open(test_cluster_url(cluster), &options, &router, &error) != WEIR_OK) {
		fprintf(stderr, "%s\n", error.text);
		exit(1);
	}
}

int main(void)
{
	double seconds = test_seconds(4);
	pthread_t looker;
	bool well = true;

	test_watchdog((int)seconds + 300, "runs");
	start(seconds);
	for (int i = 0; i < CLERKS; i++) {
		clerks[i].number = i;
		wi_rng_seed(&clerks[i].rng, test_seed() + (uint64_t)i + 1);
		must(pthread_create(&clerks[i].thread, NULL, work, &clerks[i]) == 0);
	}
	must(pthread_create(&looker, NULL, look, NULL) == 0);
	test_trouble_make(&trouble, seconds);
	while (!wi_load_rlx(&some_are_unknown)) /* on a machine too slow for it to have come up */
		test_trouble_in_commit(&trouble);
	wi_store_rlx(&ending, true);
	for (int i = 0; i < CLERKS; i++)
		pthread_join(clerks[i].thread, NULL);
	pthread_join(looker, NULL);
	well = weir_router_close(&router, 20000) == WEIR_OK;
	judge_all();
	print();
	for (int i = 0; i < RULES; i++)
		well = well && !broken[i] && judged[i];
	for (int i = 0; i < CLERKS; i++)
		free(clerks[i].verdict);
	return test_cluster_stop(&cluster) && well ? 0 : 1;
}
