/* SPDX-License-Identifier: BSD-2-Clause */
/* A soak's round on a router over three hosts, whose primary changes and whose hosts go down. */
#include <stdio.h>
#include <string.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "driver/fake.h"
#include "support/fake_cluster.h"
#include "support/shapes.h"
#include "support/soak.h"

#define HOSTS 3

struct plan {
	int threads;
	bool churn;
	uint32_t pause_one_in;
	uint32_t trouble_every_us;
	weir_options options;
};

static struct plan plan;
static struct fake_cluster cluster;
static weir_router *router;
static _Atomic uint64_t connected, closed, roles_changed;

static void note_event(void *arg, const weir_event *event)
{
	(void)arg;
	switch (event->kind) {
	case WEIR_EVENT_CONNECTED:
		wi_add_rlx(&connected, 1);
		break;
	case WEIR_EVENT_CLOSED:
		wi_add_rlx(&closed, 1);
		break;
	case WEIR_EVENT_ROLE_CHANGED:
		wi_add_rlx(&roles_changed, 1);
		break;
	default:
		break;
	}
}

static void draw(struct wi_rng *rng, struct plan *p)
{
	weir_options *o = &p->options;

	weir_options_init(o);
	o->pool_max = SOAK_ONE_OF(rng, 1, 2, 4, 8);
	o->pool_min = wi_rng_below(rng, (uint32_t)o->pool_max + 1);
	o->connect_timeout_ms = 100;
	o->max_lifetime_ms = SOAK_ONE_OF(rng, 0, 50, 200);
	o->idle_timeout_ms = SOAK_ONE_OF(rng, 0, 20);
	o->validate_after_ms = SOAK_ONE_OF(rng, 0, 5);
	o->breaker_open_ms = 5;
	o->probe_interval_ms = 10;
	o->balance = SOAK_ONE_OF(rng, 0, 1, 2, 3, 4);
	o->read_fallback = SOAK_ONE_OF(rng, 0, 1, 2);
	o->on_event = note_event;
	p->threads = (int)SOAK_ONE_OF(rng, 2, 8, 24, 48);
	p->churn = wi_rng_below(rng, 3) == 0;
	p->pause_one_in = (uint32_t)SOAK_ONE_OF(rng, 0, 32);
	p->trouble_every_us = (uint32_t)SOAK_ONE_OF(rng, 1000, 5000, 20000);
}

/* ---- trouble ---- */

/* The old primary is a standby from then on, so that there is one primary again. */
static void promote(int host)
{
	fake_cluster_promote(&cluster, host);
	for (int i = 0; i < HOSTS; i++) {
		struct wi_fake_server *s = &cluster.host[i].server;

		wi_store_rlx(&s->in_recovery, i != host);
		wi_store_rlx(&s->timeline, wi_load_rlx(&cluster.host[host].server.timeline));
	}
}

static void make_trouble(struct test_thread *self)
{
	while (!wi_load_rlx(self->stop)) {
		int host = (int)wi_rng_below(&self->rng, HOSTS);

		test_nap(1000 * (int64_t)plan.trouble_every_us);
		switch (wi_rng_below(&self->rng, 6)) {
		case 0:
			promote(host);
			break;
		case 1:
			fake_host_down(&cluster, host, true);
			test_nap(wi_rng_below(&self->rng, 20000000));
			fake_host_down(&cluster, host, false);
			break;
		case 2:
			fake_cluster_write(&cluster, host, 1000);
			break;
		case 3:
			self->count[SOAK_KILLED] +=
				(uint64_t)wi_fake_kill(&cluster.host[host].server);
			break;
		default:
			self->count[SOAK_KILLED] +=
				wi_fake_kill_one(&cluster.host[host].server,
			                         wi_load_rlx(&cluster.host[host].server.connects) -
			                                 wi_rng_below(&self->rng, 4));
		}
	}
}

/* ---- use ---- */

static void step(struct test_thread *self)
{
	struct soak_begun begun = soak_begin(self);
	const weir_request request =
		WEIR_REQUEST(.intent = wi_rng_below(&self->rng, 3) ? WEIR_READ : WEIR_WRITE,
	                     .timeout_ms = begun.timeout_ms ? begun.timeout_ms : WEIR_NO_WAIT);
	weir_conn *conn = NULL;
	weir_error error;
	weir_status st = weir_checkout_with(router, &request, &conn, &error);

	soak_count(self, st, &begun, &error);
	if (st == WEIR_OK)
		soak_use(self, conn);
	if (st == WEIR_CONNECT || st == WEIR_UNAVAILABLE)
		test_nap(100000);
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

/* One session more than the pool has is the router's own, which asks for the host's role. */
static bool is_host_at_rest(const weir_pool_stats *s, const struct wi_fake_server *server)
{
	int others = wi_load_rlx(&server->sessions) - (int)s->idle;

	return !s->kept && !s->closing && !s->opening && !s->busy && !s->waiting &&
	       s->idle == s->total && s->opened - closed_in_all(s) == s->idle && others >= 0 &&
	       others <= 1;
}

static bool is_at_rest(weir_host_stats *h)
{
	uint64_t opened = 0, ended = 0;

	weir_router_stats_get(router, h, HOSTS);
	for (int i = 0; i < HOSTS; i++) {
		if (!is_host_at_rest(&h[i].pool, &cluster.host[i].server))
			return false;
		opened += h[i].pool.opened;
		ended += closed_in_all(&h[i].pool);
	}
	return wi_load_rlx(&connected) == opened && wi_load_rlx(&closed) == ended;
}

static void check_counts(struct soak_round *r, const weir_host_stats *h,
                         const struct test_thread *users)
{
	uint64_t checkouts = 0, checkins = 0, served = 0;

	for (int i = 0; i < HOSTS; i++) {
		checkouts += h[i].pool.checkouts;
		checkins += h[i].pool.checkins;
		served += h[i].reads + h[i].writes;
		(void)soak_agree(r, "misuse", h[i].pool.misuse, 0);
		if (wi_load_rlx(&cluster.host[i].server.sessions_peak) >
		    (int)plan.options.pool_max + 1)
			soak_wrong(r, "host %d saw %d sessions", i,
			           wi_load_rlx(&cluster.host[i].server.sessions_peak));
	}
	(void)soak_agree(r, "checkouts", served, test_sum(users, plan.threads, SOAK_GOT));
	(void)soak_agree(r, "checkins", checkins, checkouts);
}

static void describe(struct soak_round *r, const struct test_thread *reports)
{
	snprintf(
		r->line, sizeof(r->line),
		"router: %d threads%s on %d times %lld: %llu checkouts, %llu timed out, %llu refused, "
		"%llu opened, %llu killed, %llu changes of role",
		plan.threads, plan.churn ? " that come and go" : "", HOSTS,
		(long long)plan.options.pool_max,
		(unsigned long long)test_sum(reports, plan.threads, SOAK_GOT),
		(unsigned long long)test_sum(reports, plan.threads, SOAK_TIMED_OUT),
		(unsigned long long)test_sum(reports, plan.threads, SOAK_REFUSED),
		(unsigned long long)wi_load_rlx(&connected),
		(unsigned long long)reports[plan.threads].count[SOAK_KILLED],
		(unsigned long long)wi_load_rlx(&roles_changed));
}

/* ---- a round ---- */

static void use_and_count(struct soak_round *r)
{
	static struct test_thread reports[SOAK_THREADS_MAX + 1];
	static weir_host_stats hosts[HOSTS];

	test_yields(plan.pause_one_in);
	test_measure_lag(true);
	test_threads_run(plan.threads + 1, user_or_trouble, NULL, r->seconds, reports);
	test_measure_lag(false);
	test_yields(0);
	(void)soak_clear_board(&reports[0]);
	if (test_first_wrong(reports, plan.threads + 1))
		soak_wrong(r, "%s", test_first_wrong(reports, plan.threads + 1));
	for (int i = 0; i < plan.threads; i++)
		if ((int64_t)reports[i].count[SOAK_LATEST_NS] > test_slack_ns())
			soak_wrong(r, "%.1f ms after a deadline",
			           (double)reports[i].count[SOAK_LATEST_NS] / 1e6);
	while (!is_at_rest(hosts)) /* the watchdog ends a router that never is */
		test_nap(WI_MS / 2);
	check_counts(r, hosts, reports);
	describe(r, reports);
}

void soak_router_round(struct soak_round *r)
{
	weir_status st;

	draw(&r->rng, &plan);
	fake_cluster_init(&cluster, HOSTS);
	wi_store_rlx(&connected, 0);
	wi_store_rlx(&closed, 0);
	wi_store_rlx(&roles_changed, 0);
	soak_begin_sessions(fake_host_of, plan.options.pool_max);
	if (fake_cluster_open(&cluster, &plan.options, &router, NULL) != WEIR_OK) {
		soak_wrong(r, "it does not open");
		return;
	}
	use_and_count(r);
	st = weir_router_close(&router, 60000);
	if (st != WEIR_OK)
		soak_wrong(r, "close says %s", weir_status_name(st));
	(void)soak_agree(r, "closed in the end", wi_load_rlx(&closed), wi_load_rlx(&connected));
	for (int i = 0; i < HOSTS; i++)
		(void)soak_agree(r, "sessions in the end",
		                 (uint64_t)wi_load_rlx(&cluster.host[i].server.sessions), 0);
	fake_cluster_fini(&cluster);
}
