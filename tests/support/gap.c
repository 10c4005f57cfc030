/* SPDX-License-Identifier: BSD-2-Clause */
#include "support/gap.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <libpq-fe.h>

#include "base/atomic.h"
#include "base/clock.h"

#define WITNESSES 8
#define DEADLINE_MS 60000

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_t threads[2 * GAP_THREADS + WITNESSES];
static int n_threads;
static _Atomic bool ending;

static void keep_words(struct test_gap *g, const char *what, const char *words)
{
	pthread_mutex_lock(&lock);
	if (!g->words[0])
		snprintf(g->words, sizeof(g->words), "%s: %s", what, words);
	pthread_mutex_unlock(&lock);
}

/* ---- one statement ---- */

/* One host after the other has the writes; who has them first is the old one. */
static void note_host(struct test_gap *g, const char *host, int64_t now_ns)
{
	if (!g->old[0])
		snprintf(g->old, sizeof(g->old), "%s", host);
	if (strcmp(host, g->old) == 0)
		wi_store_rlx(&g->last_old_ns, now_ns);
	else if (!wi_load_rlx(&g->first_new_ns))
		wi_store_rlx(&g->first_new_ns, now_ns);
}

static void count_good(struct test_gap *g, struct test_gap_side *side, const char *host)
{
	int64_t now_ns, last_ns;

	wi_add_rlx(&side->served, 1);
	pthread_mutex_lock(&lock);
	now_ns = wi_now_ns();
	last_ns = wi_load_rlx(&side->last_ns);
	if (now_ns - last_ns > wi_load_rlx(&side->longest_ns)) {
		wi_store_rlx(&side->longest_ns, now_ns - last_ns);
		wi_store_rlx(&side->from_ns, last_ns);
	}
	wi_store_rlx(&side->last_ns, now_ns);
	if (side == &g->writes)
		note_host(g, host, now_ns);
	pthread_mutex_unlock(&lock);
}

static void count_bad(struct test_gap *g, struct test_gap_side *side, PGconn *pg,
                      const PGresult *result)
{
	const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);

	if (state && strcmp(state, "25006") == 0)
		wi_add_rlx(&side->read_only, 1);
	else if (state && strncmp(state, "57P0", 4) == 0)
		wi_add_rlx(&side->ended, 1);
	else if (!state || PQstatus(pg) == CONNECTION_BAD)
		wi_add_rlx(&side->lost, 1);
	else {
		wi_add_rlx(&side->other, 1);
		keep_words(g, state, PQerrorMessage(pg));
	}
}

static void visit(struct test_gap *g, weir_intent intent)
{
	struct test_gap_side *side = intent == WEIR_WRITE ? &g->writes : &g->reads;
	weir_request q = WEIR_REQUEST(.intent = intent, .timeout_ms = DEADLINE_MS);
	weir_conn *c = NULL;
	weir_conn_info info = {0};
	weir_error error;
	PGresult *result;
	PGconn *pg;

	if (weir_checkout_with(g->router, &q, &c, &error) != WEIR_OK) {
		wi_add_rlx(&side->no_checkout, 1);
		keep_words(g, weir_status_name(error.status), error.text);
		return;
	}
	pg = weir_pg(c);
	if (weir_conn_info_get(c, &info) != WEIR_OK)
		info.host[0] = '\0';
	result = PQexec(pg, intent == WEIR_WRITE ? "INSERT INTO gap DEFAULT VALUES"
	                                         : "SELECT max(n) FROM gap");
	if (PQresultStatus(result) == PGRES_COMMAND_OK || PQresultStatus(result) == PGRES_TUPLES_OK)
		count_good(g, side, info.host);
	else
		count_bad(g, side, pg, result);
	PQclear(result);
	weir_checkin(&c);
}

static void *write_on(void *gap)
{
	while (!wi_load_rlx(&ending))
		visit(gap, WEIR_WRITE);
	return NULL;
}

static void *read_on(void *gap)
{
	while (!wi_load_rlx(&ending))
		visit(gap, WEIR_READ);
	return NULL;
}

/* ---- the witness ---- */

struct witness {
	struct test_gap *gap;
	char url[1024];
	bool was_primary;
};

static struct witness witnesses[WITNESSES];

/* 1: no standby; 0: a standby; -1: no answer. */
static int asked(PGconn *pg)
{
	PGresult *result = PQexec(pg, "SELECT pg_is_in_recovery()");
	int found =
		PQresultStatus(result) != PGRES_TUPLES_OK ? -1 : PQgetvalue(result, 0, 0)[0] == 'f';

	PQclear(result);
	return found;
}

static void *look_on(void *arg)
{
	struct witness *w = arg;
	PGconn *pg = PQconnectdb(w->url);

	while (!wi_load_rlx(&ending)) {
		const struct timespec pause = {.tv_nsec = 2000000};
		int found = asked(pg);
		int64_t none = 0;

		if (found < 0)
			PQreset(pg);
		if (found == 1 && !w->was_primary)
			wi_cas_rlx(&w->gap->promoted_ns, &none, wi_now_ns());
		nanosleep(&pause, NULL);
	}
	PQfinish(pg);
	return NULL;
}

static void make_witness(struct test_gap *g, int i, const char *url)
{
	struct witness *w = &witnesses[i];
	PGconn *pg;

	*w = (struct witness){.gap = g};
	snprintf(w->url, sizeof(w->url), "%s", url);
	pg = PQconnectdb(w->url);
	w->was_primary = asked(pg) == 1;
	PQfinish(pg);
}

/* ---- all together ---- */

bool test_gap_prepare(struct test_gap *g, weir_router *router)
{
	weir_conn *c = NULL;
	weir_error error;
	PGresult *result;
	bool well;

	memset(g, 0, sizeof(*g));
	g->router = router;
	if (weir_checkout(router, WEIR_WRITE, &c, &error) != WEIR_OK) {
		keep_words(g, "the table", error.text);
		return false;
	}
	result = PQexec(weir_pg(c), "CREATE TABLE IF NOT EXISTS gap (n bigserial PRIMARY KEY)");
	well = PQresultStatus(result) == PGRES_COMMAND_OK;
	if (!well)
		keep_words(g, "the table", PQresultErrorMessage(result));
	PQclear(result);
	weir_checkin(&c);
	return well;
}

static bool start(void *(*body)(void *), void *arg)
{
	return pthread_create(&threads[n_threads], NULL, body, arg) == 0 && ++n_threads;
}

bool test_gap_begin(struct test_gap *g, const char *const *urls)
{
	weir_router *router = g->router;
	bool well = true;

	memset(g, 0, sizeof(*g));
	g->router = router;
	n_threads = 0;
	wi_store_rlx(&ending, false);
	for (int i = 0; i < WITNESSES && urls[i]; i++)
		make_witness(g, i, urls[i]);
	wi_store_rlx(&g->writes.last_ns, wi_now_ns());
	wi_store_rlx(&g->reads.last_ns, wi_now_ns());
	for (int i = 0; i < WITNESSES && urls[i]; i++)
		well &= start(look_on, &witnesses[i]);
	for (int i = 0; i < GAP_THREADS; i++)
		well &= start(write_on, g) && start(read_on, g);
	return well && test_gap_await_writes(g, wi_now_ns(), DEADLINE_MS);
}

bool test_gap_await_writes(struct test_gap *g, int64_t from_ns, int64_t timeout_ms)
{
	int64_t until_ns = wi_now_ns() + timeout_ms * WI_MS;
	const struct timespec pause = {.tv_nsec = 1000000};

	while (wi_load_rlx(&g->writes.last_ns) <= from_ns ||
	       wi_load_rlx(&g->reads.last_ns) <= from_ns) {
		if (wi_now_ns() >= until_ns)
			return false;
		nanosleep(&pause, NULL);
	}
	return true;
}

void test_gap_end(struct test_gap *g)
{
	(void)g;
	wi_store_rlx(&ending, true);
	for (int i = 0; i < n_threads; i++)
		pthread_join(threads[i], NULL);
	n_threads = 0;
}

static double ms(int64_t ns)
{
	return (double)ns / 1e6;
}

int64_t test_gap_stopped_ns(const struct test_gap *g)
{
	return g->first_new_ns ? g->first_new_ns - g->last_old_ns : -1;
}

void test_gap_print(const struct test_gap *g, const char *what, int64_t order_ns)
{
	const struct test_gap_side *w = &g->writes, *r = &g->reads;

	printf("%s: writes stopped for %.0f ms: the last %.0f ms after the order, the first %.0f ms, "
	       "%.0f ms after the witness saw the new primary; reads for %.0f ms\n",
	       what, ms(test_gap_stopped_ns(g)), ms(g->last_old_ns - order_ns),
	       ms(g->first_new_ns - order_ns), ms(g->first_new_ns - g->promoted_ns),
	       ms(r->longest_ns));
	printf("  writes: %llu served, %llu lost, %llu ended, %llu with 25006, %llu other, "
	       "%llu without a connection; reads: %llu, %llu, %llu, %llu, %llu, %llu%s%s\n",
	       (unsigned long long)w->served, (unsigned long long)w->lost,
	       (unsigned long long)w->ended, (unsigned long long)w->read_only,
	       (unsigned long long)w->other, (unsigned long long)w->no_checkout,
	       (unsigned long long)r->served, (unsigned long long)r->lost,
	       (unsigned long long)r->ended, (unsigned long long)r->read_only,
	       (unsigned long long)r->other, (unsigned long long)r->no_checkout,
	       g->words[0] ? "; first: " : "", g->words);
}
