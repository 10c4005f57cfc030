/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Question: what is lost between a raw libpq connection and one out of the pool, on a real server,
 * for the shortest query there is (a prepared SELECT 1)?
 *
 *	baseline.libpq/query        a connection of its own for each thread, no pool
 *	baseline.mutex_pool/query   the plain twin: libpq connections behind a mutex and a condition variable
 *	pool/query                  weir: checkout, query, checkin
 *	pool/alternating            weir, on the same connection in turn: 32 queries while holding it, which
 *	                            is raw libpq, and 32 with a checkout and a checkin each
 *
 * Matrix: 1, 2, 8 and 32 threads with as many connections; 8 threads on 2. Divide by the same
 * threads' baseline.libpq; 8 on 2 by the 2 threads of baseline.libpq. A slice of time each; the
 * server is the one that DATABASE_URL names. Counters: harness/crowd.h; of alternating, ns a query
 * (`held`, `pooled`) and `over`, how many pooled ones fit in the time of one held.
 *
 * What a query takes depends on which cores the scheduler has put its two ends, by a factor of
 * three where nothing else runs. alternating sees the difference that the pool makes, because its
 * two halves share their fate.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include <libpq-fe.h>
#include <weir/weir.h>

#include "base/clock.h"
#include "harness/bench.h"
#include "harness/crowd.h"
#include "harness/kind.h"
#include "harness/mutex_pool.h"

#define PREPARE "PREPARE one AS SELECT 1"

static const char *url;

static void query(PGconn *pg)
{
	PGresult *r = PQexecPrepared(pg, "one", 0, NULL, NULL, NULL, 0);

	if (PQresultStatus(r) != PGRES_TUPLES_OK) {
		fprintf(stderr, "%s", PQerrorMessage(pg));
		abort();
	}
	PQclear(r);
}

/* ---- raw connections, by thread or behind a mutex ---- */

struct raw {
	unsigned n;
	struct mutex_pool mutex;
	PGconn *pg[MUTEX_POOL_MAX];
};

static void raw_close(void *pool)
{
	struct raw *raw = pool;

	for (unsigned i = 0; i < raw->n; i++)
		PQfinish(raw->pg[i]);
	mutex_pool_fini(&raw->mutex);
	free(raw);
}

static void *raw_open(unsigned connections)
{
	struct raw *raw = calloc(1, sizeof(*raw));

	if (!raw)
		return NULL;
	mutex_pool_init(&raw->mutex, connections);
	for (; raw->n < connections; raw->n++) {
		PGconn *pg = raw->pg[raw->n] = PQconnectdb(url);
		PGresult *r = PQexec(pg, PREPARE);
		bool prepared = PQresultStatus(r) == PGRES_COMMAND_OK;

		PQclear(r);
		if (!prepared) {
			fprintf(stderr, "%s", PQerrorMessage(pg));
			raw->n++;
			raw_close(raw);
			return NULL;
		}
	}
	return raw;
}

static void *own_take(void *pool, int thread)
{
	return ((struct raw *)pool)->pg[thread];
}

static void own_put(void *pool, void *item)
{
	(void)pool;
	(void)item;
}

/* The place of a connection in raw->pg tells its number. */
static void *mutex_take(void *pool, int thread)
{
	struct raw *raw = pool;

	(void)thread;
	return &raw->pg[mutex_pool_take(&raw->mutex) - 1];
}

static void mutex_put(void *pool, void *item)
{
	struct raw *raw = pool;

	mutex_pool_put(&raw->mutex, (unsigned)((PGconn **)item - raw->pg) + 1);
}

static void own_work(void *item)
{
	query(item);
}

static void mutex_work(void *item)
{
	query(*(PGconn **)item);
}

/* ---- weir ---- */

static void *pool_open(unsigned connections)
{
	int64_t end = wi_now_ns() + 30 * WI_SEC;
	weir_pool_stats stats = {0};
	weir_pool *pool;
	weir_options o;
	weir_error e;

	weir_options_init(&o);
	o.pool_min = o.pool_max = connections;
	o.connect_parallel = connections;
	if (weir_options_set(&o, "on_connect_sql", PREPARE, &e) != WEIR_OK ||
	    weir_pool_open(url, &o, &pool, &e) != WEIR_OK) {
		fprintf(stderr, "%s\n", e.text);
		return NULL;
	}
	while (stats.idle < connections && wi_now_ns() < end)
		weir_pool_stats_get(pool, &stats);
	return pool;
}

static void pool_close(void *pool)
{
	weir_pool *p = pool;

	weir_pool_close(&p, 5000);
}

static void *pool_take(void *pool, int thread)
{
	weir_error e;
	weir_conn *c;

	(void)thread;
	if (weir_pool_checkout(pool, -1, &c, &e) != WEIR_OK) {
		fprintf(stderr, "%s\n", e.text);
		abort();
	}
	return c;
}

static void pool_put(void *pool, void *item)
{
	weir_conn *c = item;

	(void)pool;
	weir_checkin(&c);
}

static void pool_work(void *item)
{
	query(weir_pg(item));
}

/* ---- held and pooled in turn ---- */

#define BATCH 32

struct alternating {
	weir_pool *pool;
	pthread_barrier_t start;
	_Atomic int64_t held_ns, pooled_ns, batches;
	_Atomic int left;
};

static void alternate(struct alternating *a)
{
	int64_t begin = wi_now_ns(), middle;
	weir_conn *c = pool_take(a->pool, 0);

	for (int i = 0; i < BATCH; i++)
		pool_work(c);
	pool_put(a->pool, c);
	middle = wi_now_ns();
	for (int i = 0; i < BATCH; i++) {
		c = pool_take(a->pool, 0);
		pool_work(c);
		pool_put(a->pool, c);
	}
	atomic_fetch_add(&a->held_ns, middle - begin);
	atomic_fetch_add(&a->pooled_ns, wi_now_ns() - middle);
	atomic_fetch_add(&a->batches, 1);
}

static void alternating(struct bench *b)
{
	struct alternating *a = bench_shared(b);
	double queries;

	while (bench_keep_running(b)) {
		int64_t end;

		pthread_barrier_wait(&a->start);
		for (end = wi_now_ns() + bench_slice_ns(); wi_now_ns() < end;)
			alternate(a);
	}
	if (atomic_fetch_sub(&a->left, 1) != 1)
		return;
	queries = (double)atomic_load(&a->batches) * BATCH;
	bench_sum(b, "held", (double)atomic_load(&a->held_ns) / queries);
	bench_sum(b, "pooled", (double)atomic_load(&a->pooled_ns) / queries);
	bench_sum(b, "over", (double)atomic_load(&a->held_ns) / (double)atomic_load(&a->pooled_ns));
}

static void alternating_before(struct bench *b)
{
	struct alternating *a = calloc(1, sizeof(*a));

	if (!a || !(a->pool = pool_open((unsigned)b->arg[0]))) {
		bench_skip(b, "no pool");
		free(a);
		return;
	}
	pthread_barrier_init(&a->start, NULL, (unsigned)b->threads);
	atomic_store(&a->left, b->threads);
	bench_share(b, a);
}

static void alternating_after(struct bench *b)
{
	struct alternating *a = bench_shared(b);

	if (!a)
		return;
	pool_close(a->pool);
	pthread_barrier_destroy(&a->start);
	free(a);
}

/* ---- cases ---- */

static const struct bench_kind kind_own = {"baseline.libpq", raw_open, raw_close, own_take,
                                           own_put};
static const struct bench_kind kind_raw_mutex = {"baseline.mutex_pool", raw_open, raw_close,
                                                 mutex_take, mutex_put};
static const struct bench_kind kind_pool = {"pool", pool_open, pool_close, pool_take, pool_put};

static void before(struct bench *b, const struct bench_kind *kind, void (*work)(void *))
{
	crowd_before(b, kind,
	             (struct crowd_shape){.connections = (unsigned)b->arg[0], .work = work});
}

static void own_before(struct bench *b)
{
	before(b, &kind_own, own_work);
}

static void mutex_before(struct bench *b)
{
	before(b, &kind_raw_mutex, mutex_work);
}

static void pool_before(struct bench *b)
{
	before(b, &kind_pool, pool_work);
}

static void add(const struct bench_case *kind, int threads, int connections)
{
	struct bench_case c = *kind;

	c.threads[0] = threads;
	c.arg_name[0] = "connections";
	c.row[0][0] = connections;
	c.rows = 1;
	c.iterations = 1;
	bench_register(&c);
}

void bench_cases(void)
{
	static const struct bench_case libpq = {.name = "baseline.libpq/query",
	                                        .body = crowd_body,
	                                        .before = own_before,
	                                        .after = crowd_after};
	static const struct bench_case mutex = {.name = "baseline.mutex_pool/query",
	                                        .body = crowd_body,
	                                        .before = mutex_before,
	                                        .after = crowd_after};
	static const struct bench_case pool = {.name = "pool/query",
	                                       .body = crowd_body,
	                                       .before = pool_before,
	                                       .after = crowd_after};
	static const struct bench_case turns = {.name = "pool/alternating",
	                                        .body = alternating,
	                                        .before = alternating_before,
	                                        .after = alternating_after};
	static const int even[] = {1, 2, 8, 32};

	url = getenv("DATABASE_URL");
	if (!url) {
		puts("skipped: DATABASE_URL names no server");
		exit(77);
	}
	for (int i = 0; i < 4; i++) {
		add(&mutex, even[i], even[i]);
		add(&libpq, even[i], even[i]);
		add(&pool, even[i], even[i]);
		add(&turns, even[i], even[i]);
		if (even[i] != 2)
			continue;
		/* Beside what they are divided by. */
		add(&pool, 8, 2);
		add(&mutex, 8, 2);
	}
}
