/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A load generator: requests at a fixed rate, whatever the answers take.
 *
 *     load [URL] [--rate N] [--seconds S] [--threads N] [--reads PCT] [--http PORT]
 *
 * Each request has a time at which it should begin, and its latency counts from there: one that
 * found no free thread has waited as a user would have ("coordinated omission" is what is left out
 * otherwise). Reads look up a row on a replica, writes count it up on the primary. With --http the
 * page of libweir-http shows it live.
 */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <libpq-fe.h>

#include <weir/http.h>
#include <weir/weir.h>

#define ROWS 1000
#define MOST_THREADS 256
#define MOST_REQUESTS 5000000

static weir_router *router;
static weir_token made; /* where the primary was when the rows were there */
static atomic_long next, failures;
static atomic_bool over;
static long requests, reads_pct = 80;
static double rate = 500;
static int64_t began_ns;
static float *latency_ms; /* of each request by number; -1: it failed, or was not made */

static int64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

static void sleep_until(int64_t at_ns)
{
	const struct timespec t = {.tv_sec = at_ns / 1000000000, .tv_nsec = at_ns % 1000000000};

	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL))
		;
}

/* ---- requests ---- */

static bool request(long number)
{
	static const char *const sql[] = {
		[WEIR_READ] = "SELECT n FROM load_row WHERE id = $1::int",
		[WEIR_WRITE] = "UPDATE load_row SET n = n + 1 WHERE id = $1::int",
	};
	weir_intent intent = number * 37 % 100 < reads_pct ? WEIR_READ : WEIR_WRITE;
	char id[24];
	const char *values[] = {id};
	/* A replica that has not come to the table yet is not asked for a row of it. */
	const weir_request where = WEIR_REQUEST(.intent = intent, .at_least = made);
	const weir_statement what =
		WEIR_STATEMENT(.sql = sql[intent], .n_params = 1, .values = values);
	PGresult *result = NULL;
	weir_error error;
	weir_status status;

	snprintf(id, sizeof(id), "%ld", number * 7919 % ROWS);
	status = weir_query_with(router, &where, &what, &result, &error);
	PQclear(result);
	if (status != WEIR_OK && atomic_fetch_add(&failures, 1) < 5)
		fprintf(stderr, "load: %s\n", error.text);
	return status == WEIR_OK;
}

static void *work(void *arg)
{
	(void)arg;
	for (;;) {
		long number = atomic_fetch_add(&next, 1);
		int64_t due_ns = began_ns + (int64_t)((double)number * 1e9 / rate);

		if (number >= requests || atomic_load(&over))
			return NULL;
		sleep_until(due_ns);
		if (request(number))
			latency_ms[number] = (float)((double)(now_ns() - due_ns) / 1e6);
	}
}

static void *await_signal(void *arg)
{
	int number;

	sigwait(arg, &number);
	atomic_store(&over, true);
	return NULL;
}

/* ---- what came of it ---- */

static int ascending(const void *a, const void *b)
{
	float x = *(const float *)a, y = *(const float *)b;

	return (x > y) - (x < y);
}

static void report(double seconds)
{
	long n = 0;

	for (long i = 0; i < requests; i++)
		if (latency_ms[i] >= 0)
			latency_ms[n++] = latency_ms[i];
	qsort(latency_ms, (size_t)n, sizeof(*latency_ms), ascending);
	printf("answered %ld, failed %ld, %.0f a second", n, atomic_load(&failures),
	       (double)n / seconds);
	if (n > 0)
		printf("; ms: p50 %.2f, p99 %.2f, p99.9 %.2f, max %.2f", latency_ms[n / 2],
		       latency_ms[n * 99 / 100], latency_ms[n * 999 / 1000], latency_ms[n - 1]);
	printf("\n");
}

/* ---- the program ---- */

static bool prepare(weir_error *error)
{
	WEIR_SCOPED weir_conn *c = NULL;

	return weir_checkout(router, WEIR_WRITE, &c, error) == WEIR_OK &&
	       weir_exec(c,
	                 "CREATE TABLE IF NOT EXISTS load_row (id int PRIMARY KEY, n bigint);"
	                 "INSERT INTO load_row SELECT i, 0 FROM generate_series(0, 999) i"
	                 " ON CONFLICT DO NOTHING",
	                 10000, error) == WEIR_OK &&
	       weir_token_take(c, 10000, &made, error) == WEIR_OK;
}

static bool show(int port, weir_http **http, weir_error *error)
{
	const weir_http_source source = {.name = "load", .router = router};
	const weir_http_settings settings = {.size = sizeof(settings),
	                                     .sources = &source,
	                                     .n_sources = 1,
	                                     .port = (uint16_t)port};

	if (port < 0)
		return true;
	if (weir_http_start(&settings, http, error) != WEIR_OK)
		return false;
	printf("the page: http://127.0.0.1:%d/\n", (int)weir_http_port(*http));
	fflush(stdout);
	return true;
}

static void run(int threads, sigset_t *ends)
{
	pthread_t thread[MOST_THREADS], waits;

	for (long i = 0; i < requests; i++)
		latency_ms[i] = -1;
	pthread_create(&waits, NULL, await_signal, ends);
	began_ns = now_ns();
	for (int i = 0; i < threads; i++)
		pthread_create(&thread[i], NULL, work, NULL);
	for (int i = 0; i < threads; i++)
		pthread_join(thread[i], NULL);
	report((double)(now_ns() - began_ns) / 1e9);
	pthread_kill(waits, SIGTERM);
	pthread_join(waits, NULL);
}

int main(int argc, char **argv)
{
	const char *url = NULL; /* the environment: DATABASE_URL, DB_HOST, ... */
	double seconds = 10;
	int threads = 32, port = -1;
	weir_http *http = NULL;
	weir_error error;
	sigset_t ends;
	bool ok;

	for (int i = 1; i < argc; i++) {
		const char *word = argv[i], *value = i + 1 < argc ? argv[i + 1] : "";

		if (strncmp(word, "--", 2) != 0) {
			url = word;
			continue;
		}
		i++;
		if (strcmp(word, "--rate") == 0)
			rate = atof(value);
		else if (strcmp(word, "--seconds") == 0)
			seconds = atof(value);
		else if (strcmp(word, "--threads") == 0)
			threads = atoi(value);
		else if (strcmp(word, "--reads") == 0)
			reads_pct = atol(value);
		else if (strcmp(word, "--http") == 0)
			port = atoi(value);
		else
			rate = 0;
	}
	requests = rate > 0 && rate * seconds <= MOST_REQUESTS ? (long)(rate * seconds) : 0;
	latency_ms = malloc((size_t)(requests + 1) * sizeof(*latency_ms));
	if (requests < 1 || threads < 1 || threads > MOST_THREADS || !latency_ms) {
		fprintf(stderr,
		        "load [URL] [--rate N] [--seconds S] [--threads 1..%d] [--reads PCT]"
		        " [--http PORT]; %d requests at most\n",
		        MOST_THREADS, MOST_REQUESTS);
		return 64;
	}
	sigemptyset(&ends);
	sigaddset(&ends, SIGTERM);
	sigaddset(&ends, SIGINT);
	pthread_sigmask(SIG_BLOCK, &ends, NULL);
	ok = weir_router_open(url, NULL, &router, &error) == WEIR_OK && prepare(&error) &&
	     show(port, &http, &error);
	if (ok)
		run(threads, &ends);
	else
		fprintf(stderr, "load: %s\n", error.text);
	weir_http_stop(&http);
	free(latency_ms);
	return weir_router_close(&router, 5000) == WEIR_OK && ok && !atomic_load(&failures) ? 0 : 1;
}
