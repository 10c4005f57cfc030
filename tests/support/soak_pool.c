/* SPDX-License-Identifier: BSD-2-Clause */
/* A soak's round on one pool. */
#include <stdio.h>
#include <string.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "driver/fake.h"
#include "pool/pool.h"
#include "support/shapes.h"
#include "support/soak.h"

/* What a round is drawn to be. */
struct plan {
	int threads;
	bool churn;
	uint32_t pause_one_in;
	uint32_t kill_every_us; /* 0: none is killed */
	bool has_faults;        /* connects fail, the server falls silent or is full, for a while */
	enum { AT_REST, UNDER_LOAD, WITH_SOME_OUT } close;
	weir_options options;
};

static struct plan plan;
static struct wi_fake_server server;
static weir_pool *pool;
static weir_pool *in_use; /* the same, for users: close sets the other to NULL when it begins */
static _Atomic uint64_t told[WEIR_EVENT_KINDS];
static _Atomic int users_told; /* that the pool is closed */
static _Atomic bool is_last_back;

static void note_event(void *arg, const weir_event *event)
{
	(void)arg;
	wi_add_rlx(&told[event->kind], 1);
}

/* ---- drawing ---- */

/* Every option that moves connections is set so that it does within milliseconds. */
static void draw_options(struct wi_rng *rng, weir_options *o)
{
	static const char *const resets[] = {"tracked", "tracked", "always", "none"};

	weir_options_init(o);
	o->pool_max = SOAK_ONE_OF(rng, 1, 2, 3, 5, 8, 12, 24);
	o->pool_min = wi_rng_below(rng, (uint32_t)o->pool_max + 1);
	o->pool_overflow = SOAK_ONE_OF(rng, 0, 0, 0, 2);
	o->max_waiters = SOAK_ONE_OF(rng, 0, 0, 0, 8);
	o->connect_parallel = SOAK_ONE_OF(rng, 1, 4);
	o->connect_timeout_ms = 100;
	o->max_lifetime_ms = SOAK_ONE_OF(rng, 0, 20, 60, 200);
	o->idle_timeout_ms = SOAK_ONE_OF(rng, 0, 5, 20, 50);
	o->keepalive_ms = SOAK_ONE_OF(rng, 0, 10, 30);
	o->validate_after_ms = SOAK_ONE_OF(rng, 0, 2, 10);
	o->breaker_failures = SOAK_ONE_OF(rng, 0, 3);
	o->breaker_open_ms = 5;
	o->leak_after_ms = SOAK_ONE_OF(rng, 0, 0, 15);
	o->leak_action = WEIR_LEAK_RECLAIM;
	snprintf(o->reset, sizeof(o->reset), "%s", resets[wi_rng_below(rng, 4)]);
	o->on_event = note_event;
}

static void draw(struct wi_rng *rng, struct plan *p)
{
	draw_options(rng, &p->options);
	p->threads = (int)SOAK_ONE_OF(rng, 2, 4, 8, 16, 32, 64);
	p->churn = wi_rng_below(rng, 3) == 0;
	p->pause_one_in = (uint32_t)SOAK_ONE_OF(rng, 0, 16, 64);
	p->kill_every_us = (uint32_t)SOAK_ONE_OF(rng, 0, 200, 2000);
	p->has_faults = wi_rng_below(rng, 3) == 0;
	p->close = (int)wi_rng_below(rng, 3);
}

static void draw_server(struct wi_rng *rng)
{
	wi_fake_server_init(&server);
	wi_store_rlx(&server.connect_ns, SOAK_ONE_OF(rng, 0, 100000, 1000000, 3000000));
	wi_store_rlx(&server.answer_ns, SOAK_ONE_OF(rng, 0, 20000, 500000));
	wi_store_rlx(&server.goodbye_ns, SOAK_ONE_OF(rng, 0, 0, 200000, 2000000));
}

/* ---- trouble ---- */

static void some_fault(struct test_thread *self)
{
	switch (wi_rng_below(&self->rng, 4)) {
	case 0:
		wi_store_rlx(&server.fail_connects, (int)(1 + wi_rng_below(&self->rng, 4)));
		return;
	case 1: /* full: others have taken its places */
		wi_store_rlx(&server.max_sessions, 1);
		test_nap(wi_rng_below(&self->rng, 5000000));
		wi_store_rlx(&server.max_sessions, 0);
		return;
	case 2: /* what was asked meanwhile is never answered, so all of that ends */
		wi_store_rlx(&server.silent, true);
		test_nap(wi_rng_below(&self->rng, 5000000));
		wi_store_rlx(&server.silent, false);
		self->count[SOAK_KILLED] += (uint64_t)wi_fake_kill(&server);
		return;
	default:
		self->count[SOAK_KILLED] += (uint64_t)wi_fake_kill(&server);
	}
}

static void make_trouble(struct test_thread *self)
{
	/* Not faster than connects, or the pool never gets anywhere. */
	int64_t pause_ns = 1000 * (int64_t)(plan.kill_every_us ? plan.kill_every_us : 2000) +
	                   2 * wi_load_rlx(&server.connect_ns);

	while (!wi_load_rlx(self->stop)) {
		test_nap(pause_ns);
		if (plan.kill_every_us) {
			uint64_t last = wi_load_rlx(&server.connects);

			self->count[SOAK_KILLED] += wi_fake_kill_one(
				&server,
				last - wi_rng_below(&self->rng, (uint32_t)plan.options.pool_max));
		}
		if (plan.has_faults && wi_rng_below(&self->rng, 16) == 0)
			some_fault(self);
	}
	wi_store_rlx(&server.fail_connects, 0);
}

/* ---- use ---- */

static weir_status check_out_once(struct test_thread *self)
{
	struct soak_begun begun = soak_begin(self);
	weir_conn *conn = NULL;
	weir_error error;
	weir_status st = weir_pool_checkout(in_use, begun.timeout_ms, &conn, &error);

	soak_count(self, st, &begun, &error);
	if (st == WEIR_OK)
		soak_use(self, conn);
	/* Who is refused at once asks again at once, and that is all that it would do. */
	if (st == WEIR_CONNECT || st == WEIR_SHED)
		test_nap(50000);
	return st;
}

static void step(struct test_thread *self)
{
	if (check_out_once(self) == WEIR_CLOSED)
		test_wrong(self, "closed, and it is not");
}

static void user_or_trouble(struct test_thread *self)
{
	if (self->number == plan.threads)
		make_trouble(self);
	else
		soak_repeat(self, plan.churn, step);
}

/* ---- counting ---- */

static uint64_t closed_in_all(const weir_pool_stats *s)
{
	uint64_t n = 0;

	for (int i = 0; i < WEIR_CLOSE_REASONS; i++)
		n += s->closed[i];
	return n;
}

/*
 * Nothing is under way, and the pool's counts, the events and the server agree. The keeper goes on
 * reaping and replacing meanwhile, so this is looked at again and again.
 */
static bool is_at_rest(const weir_pool_stats *s)
{
	return !s->kept && !s->closing && !s->opening && !s->busy && !s->waiting &&
	       s->idle == s->total && s->opened - closed_in_all(s) == s->idle &&
	       wi_load_rlx(&server.sessions) == (int)s->idle &&
	       wi_load_rlx(&told[WEIR_EVENT_CONNECTED]) == s->opened &&
	       wi_load_rlx(&told[WEIR_EVENT_CLOSED]) == closed_in_all(s);
}

static void await_rest(weir_pool_stats *s)
{
	weir_pool_stats_get(pool, s);
	while (!is_at_rest(s)) { /* the watchdog ends a pool that never is */
		test_nap(WI_MS / 2);
		weir_pool_stats_get(pool, s);
	}
}

static void check_counts(struct soak_round *r, const weir_pool_stats *s,
                         const struct test_thread *users)
{
	uint64_t got = test_sum(users, plan.threads, SOAK_GOT);
	int bound = (int)(plan.options.pool_max + plan.options.pool_overflow);

	(void)soak_agree(r, "checkouts", s->checkouts, got);
	(void)soak_agree(r, "checkins", s->checkins, got);
	(void)soak_agree(r, "timeouts", s->timeouts, test_sum(users, plan.threads, SOAK_TIMED_OUT));
	(void)soak_agree(r, "refused", s->refused, test_sum(users, plan.threads, SOAK_REFUSED));
	(void)soak_agree(r, "misuse", s->misuse, 0);
	if (wi_load_rlx(&server.sessions_peak) > bound)
		soak_wrong(r, "%d sessions at once, at most %d are allowed",
		           wi_load_rlx(&server.sessions_peak), bound);
	if (wi_load_rlx(&server.connected) < s->opened)
		soak_wrong(r, "%llu opened, the server saw %llu", (unsigned long long)s->opened,
		           (unsigned long long)wi_load_rlx(&server.connected));
}

static void describe(struct soak_round *r, const weir_pool_stats *s,
                     const struct test_thread *reports)
{
	const struct test_thread *trouble = &reports[plan.threads];
	size_t n = (size_t)snprintf(
		r->line, sizeof(r->line),
		"pool: %d threads%s on %lld+%lld: %llu checkouts, %llu timed out, %llu refused, %llu passed on, "
		"%llu opened, %llu failed, %llu killed; closed",
		plan.threads, plan.churn ? " that come and go" : "",
		(long long)plan.options.pool_max, (long long)plan.options.pool_overflow,
		(unsigned long long)s->checkouts, (unsigned long long)s->timeouts,
		(unsigned long long)s->refused,
		(unsigned long long)test_sum(reports, plan.threads, SOAK_PASSED_ON),
		(unsigned long long)s->opened, (unsigned long long)s->connect_failures,
		(unsigned long long)trouble->count[SOAK_KILLED]);

	for (int i = 0; i < WEIR_CLOSE_REASONS && n < sizeof(r->line); i++)
		if (s->closed[i])
			n += (size_t)snprintf(r->line + n, sizeof(r->line) - n, " %s %llu",
			                      weir_close_name((weir_close)i),
			                      (unsigned long long)s->closed[i]);
	if (n < sizeof(r->line))
		snprintf(r->line + n, sizeof(r->line) - n, "; %u idle", s->idle);
}

/* ---- closing ---- */

static void use_until_closed(struct test_thread *self)
{
	while (check_out_once(self) != WEIR_CLOSED)
		;
	wi_add_acq_rel(&users_told, 1);
}

static void close_meanwhile(struct test_thread *self)
{
	weir_status st;

	test_nap(wi_rng_below(&self->rng, 5000000));
	st = weir_pool_close(&pool, -1);
	if (st != WEIR_OK)
		test_wrong(self, "close says %s", weir_status_name(st));
	if (!wi_load_acq(&is_last_back))
		test_wrong(self, "close returned while one was out");
}

/* So no call begins after close has returned: it waits for this one. */
static void hand_in_the_last(struct test_thread *self)
{
	while (wi_load_acq(&users_told) < plan.threads)
		test_nap(100000);
	(void)soak_clear_board(self);
	wi_store_rel(&is_last_back, true);
	weir_checkin(self->arg);
}

static void closer_or_user(struct test_thread *self)
{
	if (self->number == plan.threads)
		close_meanwhile(self);
	else if (self->number == plan.threads + 1)
		hand_in_the_last(self);
	else
		use_until_closed(self);
}

/* The server is well again, but the breaker may not know it yet. */
static weir_conn *check_out_surely(void)
{
	weir_conn *conn = NULL;

	while (weir_pool_checkout(pool, 60000, &conn, NULL) != WEIR_OK)
		test_nap(WI_MS / 2); /* the watchdog ends it */
	return conn;
}

static void close_under_load(struct soak_round *r)
{
	static struct test_thread reports[SOAK_THREADS_MAX + 2];
	weir_conn *last = check_out_surely();

	wi_store_rlx(&users_told, 0);
	wi_store_rlx(&is_last_back, false);
	test_threads_run(plan.threads + 2, closer_or_user, &last, -1, reports);
	if (test_first_wrong(reports, plan.threads + 2))
		soak_wrong(r, "closing: %s", test_first_wrong(reports, plan.threads + 2));
}

static void hand_in_one(struct test_thread *self)
{
	weir_conn **conn = self->arg;

	test_nap(wi_rng_below(&self->rng, 1000000));
	weir_checkin(&conn[self->number]);
}

/* Close gives up waiting; the last connection to come back ends the pool, whoever brings it. */
static void close_with_some_out(struct soak_round *r)
{
	struct test_thread reports[4];
	weir_conn *conn[4] = {check_out_surely()};
	int n = 1;

	while (n < 4 && weir_pool_checkout(pool, 20, &conn[n], NULL) == WEIR_OK)
		n++;
	if (weir_pool_close(&pool, wi_rng_below(&r->rng, 3)) != WEIR_TIMEOUT)
		soak_wrong(r, "closed while %d are out", n);
	test_threads_run(n, hand_in_one, conn, -1, reports);
	while (wi_load_rlx(&told[WEIR_EVENT_CLOSED]) != wi_load_rlx(&told[WEIR_EVENT_CONNECTED]))
		test_nap(WI_MS / 2);
}

static void close_at_rest(struct soak_round *r)
{
	weir_status st = weir_pool_close(&pool, 60000);

	if (st != WEIR_OK)
		soak_wrong(r, "close says %s", weir_status_name(st));
}

static void close_pool(struct soak_round *r)
{
	switch (plan.close) {
	case AT_REST:
		close_at_rest(r);
		break;
	case UNDER_LOAD:
		close_under_load(r);
		break;
	case WITH_SOME_OUT:
		close_with_some_out(r);
		break;
	}
	while (wi_load_rlx(&server.sessions)) /* of a pool that ends by itself */
		test_nap(WI_MS / 2);
	(void)soak_agree(r, "closed in the end", wi_load_rlx(&told[WEIR_EVENT_CLOSED]),
	                 wi_load_rlx(&told[WEIR_EVENT_CONNECTED]));
}

bool soak_warm_up(void)
{
	weir_conn *conn = NULL;
	bool ok;

	wi_fake_server_init(&server);
	ok = wi_pool_open_with(&wi_driver_fake, &wi_world_linux, &server, "host=127.0.0.1", NULL,
	                       &pool, NULL) == WEIR_OK &&
	     weir_pool_checkout(pool, 60000, &conn, NULL) == WEIR_OK;
	weir_checkin(&conn);
	ok = weir_pool_close(&pool, 60000) == WEIR_OK && ok;
	wi_fake_server_fini(&server);
	return ok;
}

/* ---- a round ---- */

void soak_pool_round(struct soak_round *r)
{
	static struct test_thread reports[SOAK_THREADS_MAX + 1];
	static const char *const ways[] = {"at rest", "under load", "with some out"};
	weir_pool_stats s;
	size_t n;

	draw(&r->rng, &plan);
	draw_server(&r->rng);
	for (int i = 0; i < WEIR_EVENT_KINDS; i++)
		wi_store_rlx(&told[i], 0);
	soak_begin_sessions(NULL, plan.options.pool_max);
	if (wi_pool_open_with(&wi_driver_fake, &wi_world_linux, &server, "host=127.0.0.1",
	                      &plan.options, &pool, NULL) != WEIR_OK) {
		soak_wrong(r, "it does not open");
		return;
	}
	in_use = pool;
	test_measure_lag(true);
	test_yields(plan.pause_one_in);
	test_threads_run(plan.threads + 1, user_or_trouble, NULL, r->seconds, reports);
	test_measure_lag(false);
	(void)soak_clear_board(&reports[0]);
	if (test_first_wrong(reports, plan.threads + 1))
		soak_wrong(r, "%s", test_first_wrong(reports, plan.threads + 1));
	for (int i = 0; i < plan.threads; i++)
		if ((int64_t)reports[i].count[SOAK_LATEST_NS] > test_slack_ns())
			soak_wrong(r, "%.1f ms after a deadline",
			           (double)reports[i].count[SOAK_LATEST_NS] / 1e6);
	await_rest(&s);
	check_counts(r, &s, reports);
	describe(r, &s, reports);
	close_pool(r);
	test_yields(0);
	n = strlen(r->line);
	snprintf(r->line + n, sizeof(r->line) - n, "; closed %s", ways[plan.close]);
	wi_fake_server_fini(&server);
}
