/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A worker on a queue in a table: takes a job, does it, and marks it done in one transaction.
 *
 *     worker [URL] [--threads N] [--enqueue N] [--until-empty]
 *
 * A job moves an amount to an account. Each thread takes the oldest job that nobody has (FOR UPDATE
 * SKIP LOCKED), so none is done twice at once; that both happen or neither is the transaction's
 * affair. Two that move to the same account may fail to serialize (REPEATABLE READ): weir_run does
 * them again. When the outcome of a COMMIT is unknown, nothing has to be found out: the job is
 * done, or it is still there for the next.
 *
 * SIGTERM and Ctrl-C: each thread finishes its job. The totals come last.
 */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <libpq-fe.h>

#include <weir/weir.h>

#define MOST_THREADS 64

static weir_router *router;
static atomic_bool over;
static bool until_empty;

/* What one thread has done; its own until it ends. */
struct worker {
	pthread_t thread;
	long done, again, unknown, failed;
};

/* ---- one job ---- */

/* Runs a statement of the transaction; its result is the caller's if there is one. */
static weir_status ask(weir_tx *tx, const char *sql, int n, const char *const *values,
                       PGresult **result, weir_error *error)
{
	const weir_statement statement =
		WEIR_STATEMENT(.sql = sql, .n_params = n, .values = values,
	                       .timeout_ms = weir_tx_left_ms(tx), .tag = "worker");

	if (statement.timeout_ms == 0) /* which would be the usual time, and not none */
		return WEIR_TIMEOUT;
	return weir_conn_query(weir_tx_conn(tx), &statement, result, error);
}

static weir_status tell(weir_tx *tx, const char *sql, int n, const char *const *values,
                        weir_error *error)
{
	PGresult *result = NULL;
	weir_status status = ask(tx, sql, n, values, &result, error);

	PQclear(result);
	return status;
}

/* May run more than once: what it learned before is forgotten at its beginning. */
static weir_status do_job(weir_tx *tx, void *arg, weir_error *error)
{
	bool *none = arg;
	const char *id, *move[2];
	PGresult *job = NULL;
	weir_status status;

	*none = false;
	status = ask(tx,
	             "SELECT id, account, amount FROM worker_job WHERE done_at IS NULL "
	             "ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED",
	             0, NULL, &job, error);
	if (status == WEIR_OK && PQntuples(job) == 0) {
		*none = true;
		status = weir_tx_rollback(tx, error);
	} else if (status == WEIR_OK) {
		id = PQgetvalue(job, 0, 0);
		move[0] = PQgetvalue(job, 0, 1);
		move[1] = PQgetvalue(job, 0, 2);
		status = tell(
			tx, "UPDATE worker_account SET total = total + $2::bigint WHERE name = $1",
			2, move, error);
		if (status == WEIR_OK)
			status = tell(tx, "UPDATE worker_job SET done_at = now() WHERE id = $1", 1,
			              &id, error);
	}
	PQclear(job);
	return status;
}

static void *work(void *arg)
{
	struct worker *me = arg;
	const weir_tx_settings tx = WEIR_TX_SETTINGS(.isolation = WEIR_ISOLATION_REPEATABLE_READ);

	while (!atomic_load(&over)) {
		weir_run_result how = {.size = sizeof(how)};
		weir_error error = {0};
		bool none = false;
		weir_status status = weir_run(
			router, &WEIR_RUN_SETTINGS(.tx = &tx, .timeout_ms = 30000, .result = &how),
			do_job, &none, &error);

		me->again += how.attempts > 1;
		if (status == WEIR_OUTCOME_UNKNOWN) {
			me->unknown++;
		} else if (status != WEIR_OK) {
			me->failed++;
			fprintf(stderr, "worker: %s\n", error.text);
		} else if (!none) {
			me->done++;
		} else if (until_empty) {
			break;
		} else {
			nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
		}
	}
	return NULL;
}

/* ---- the program ---- */

static bool prepare(long jobs, weir_error *error)
{
	WEIR_SCOPED weir_conn *c = NULL;
	char enqueue[400];

	snprintf(enqueue, sizeof(enqueue),
	         "INSERT INTO worker_job (account, amount) "
	         "SELECT 'account ' || i %% 3, i FROM generate_series(1, %ld) i",
	         jobs);
	return weir_checkout(router, WEIR_WRITE, &c, error) == WEIR_OK &&
	       weir_exec(c,
	                 "CREATE TABLE IF NOT EXISTS worker_job (id bigserial PRIMARY KEY,"
	                 " account text NOT NULL, amount bigint NOT NULL, done_at timestamptz);"
	                 "CREATE TABLE IF NOT EXISTS worker_account"
	                 " (name text PRIMARY KEY, total bigint NOT NULL);"
	                 "INSERT INTO worker_account SELECT 'account ' || i, 0 FROM"
	                 " generate_series(0, 2) i ON CONFLICT DO NOTHING",
	                 10000, error) == WEIR_OK &&
	       weir_exec(c, enqueue, 10000, error) == WEIR_OK;
}

/* Ends the threads by a signal, or sees them end by themselves. */
static void *await_signal(void *arg)
{
	int number;

	sigwait(arg, &number);
	atomic_store(&over, true);
	return NULL;
}

static void run_all(int threads, sigset_t *ends)
{
	struct worker worker[MOST_THREADS] = {0};
	struct worker sum = {0};
	pthread_t waits;

	pthread_create(&waits, NULL, await_signal, ends);
	for (int i = 0; i < threads; i++)
		pthread_create(&worker[i].thread, NULL, work, &worker[i]);
	for (int i = 0; i < threads; i++) {
		pthread_join(worker[i].thread, NULL);
		sum.done += worker[i].done;
		sum.again += worker[i].again;
		sum.unknown += worker[i].unknown;
		sum.failed += worker[i].failed;
	}
	pthread_kill(waits, SIGTERM);
	pthread_join(waits, NULL);
	printf("done %ld, again %ld, unknown %ld, failed %ld\n", sum.done, sum.again, sum.unknown,
	       sum.failed);
}

int main(int argc, char **argv)
{
	const char *url = NULL; /* the environment: DATABASE_URL, DB_HOST, ... */
	weir_options options;
	weir_error error;
	long jobs = 0;
	int threads = 4;
	sigset_t ends;
	bool ok;

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--threads") == 0 && i + 1 < argc)
			threads = atoi(argv[++i]);
		else if (strcmp(argv[i], "--enqueue") == 0 && i + 1 < argc)
			jobs = atol(argv[++i]);
		else if (strcmp(argv[i], "--until-empty") == 0)
			until_empty = true;
		else
			url = argv[i];
	}
	if (threads < 1 || threads > MOST_THREADS) {
		fprintf(stderr, "worker: --threads: 1 to %d\n", MOST_THREADS);
		return 64;
	}
	sigemptyset(&ends);
	sigaddset(&ends, SIGTERM);
	sigaddset(&ends, SIGINT);
	pthread_sigmask(SIG_BLOCK, &ends, NULL);
	weir_options_init(&options);
	ok = weir_options_from_env(&options, &error) == WEIR_OK &&
	     weir_router_open(url, &options, &router, &error) == WEIR_OK && prepare(jobs, &error);
	if (ok)
		run_all(threads, &ends);
	else
		fprintf(stderr, "worker: %s\n", error.text);
	return weir_router_close(&router, 5000) == WEIR_OK && ok ? 0 : 1;
}
