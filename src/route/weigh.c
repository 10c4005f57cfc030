/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The keeper's side of balancing: counts what is out at each host and what came back, has the gauge
 * make of it what a read costs there, and publishes the share that each host is to have of reads.
 *
 * While anything moves that is done every 10 ms; when nothing has for a while it stops, and who
 * chooses next rings. It is counted from the seats' and slots' own sums, so that a read does
 * nothing for it.
 *
 * Zones. Reads stay in the router's own zone until the quickest host there takes several times as
 * long as the quickest beyond, or, while nobody reads beyond, as any has taken of late; then all
 * are drawn among, until the own zone is nearly as quick again. Being full is another matter:
 * choose.c.
 */
#include "base/atomic.h"
#include "base/clock.h"
#include "route/balance.h"
#include "route/router.h"

/* Between two countings, while connections come and go. */
#define COUNT_NS (10 * WI_MS)
/* Nothing has moved for so long: it is worth no further counting. */
#define QUIET_NS (1000 * WI_MS)
/* A counting that is later than this says nothing of the time between. */
#define LATE_NS (10 * COUNT_NS)
/* How often it is looked for connections that are out for long. */
#define LONG_NS (1000 * WI_MS)

#define SPILL_TIMES 4 /* so many times as slow: reads leave the zone */
#define STAY_TIMES 2  /* not even so many times: they come back */

void wi_weigh_start(struct wi_host *h)
{
	h->weighed = (struct wi_load){.started = 1};
	h->stand = (struct wi_stand){.known = false};
	h->reserve = false;
	h->was_out = h->out_long = 0;
	h->returned = 0;
	atomic_init(&h->share, WI_SHARE);
	atomic_init(&h->pull, WI_SHARE);
	atomic_init(&h->slow_ns, 0);
	atomic_init(&h->held_mean_ns, 0);
	atomic_init(&h->started_pct, 100);
	atomic_init(&h->ejected_until_ns, 0);
}

/* ---- counting ---- */

/* Who holds one for seconds does not say how slow the host is for the others. */
static double out_of(const struct wi_host *h, uint32_t out)
{
	uint32_t mean = (h->was_out + out) / 2;

	return mean > h->out_long ? (double)(h->was_out + out) / 2 - h->out_long : 0;
}

/* true: something has moved. counts: the time since the last counting was watched. */
static bool count_host(struct wi_host *h, int64_t dt_ns, bool counts)
{
	uint64_t lent, returned;
	uint32_t out;
	bool moved;

	wi_core_sums(&h->pool->core, &lent, &returned);
	out = lent > returned ? (uint32_t)(lent - returned) : 0;
	moved = lent + returned != h->moves;
	wi_gauge_add(&h->weighed.gauge, counts ? out_of(h, out) : 0,
	             counts && returned > h->returned ? returned - h->returned : 0, dt_ns);
	h->moves = lent + returned;
	h->returned = returned;
	h->was_out = out;
	h->weighed.out = out + wi_load_rlx(&h->load);
	return moved;
}

static void find_long_ones(weir_router *r, int64_t now_ns)
{
	struct wi_host *h;

	if (now_ns < r->long_ns)
		return;
	r->long_ns = now_ns + LONG_NS;
	for (uint32_t i = 0; (h = wi_hosts_next(r, &i));)
		h->out_long = wi_pool_out_long(h->pool, now_ns - LONG_NS);
}

/* ---- publishing ---- */

static uint32_t replicas(weir_router *r, struct wi_load **loads)
{
	struct wi_host *h;
	uint32_t n = 0;

	for (uint32_t i = 0; (h = wi_hosts_next(r, &i));)
		if (h->opinion.role == WEIR_ROLE_REPLICA)
			loads[n++] = &h->weighed;
	return n;
}

/* Replicas among each other; anybody else, who may serve reads, too, beside them. */
static void weigh(weir_router *r, int64_t dt_ns)
{
	struct wi_load *loads[WI_HOSTS_MAX + 1];
	uint32_t n = replicas(r, loads);
	struct wi_host *h;

	r->usual_ns = wi_loads_usual_ns(loads, n, r->usual_ns, dt_ns);
	for (uint32_t i = 0; (h = wi_hosts_next(r, &i));) {
		h->weighed.weight = wi_host_terms(h)->weight;
		if (h->opinion.role == WEIR_ROLE_REPLICA)
			continue;
		loads[n] = &h->weighed;
		wi_loads_weigh(loads, n + 1, r->usual_ns);
	}
	wi_loads_weigh(loads, n, r->usual_ns);
	for (uint32_t i = 0; (h = wi_hosts_next(r, &i));) {
		const struct wi_gauge *g = &h->weighed.gauge;

		wi_store_rlx(&h->held_mean_ns,
		             wi_gauge_is_sure(g) ? (int64_t)wi_gauge_ns(g, r->usual_ns) : 0);
		wi_store_rlx(&h->slow_ns, (int64_t)h->weighed.slow_ns);
		wi_store_rlx(&h->share, h->weighed.share);
		wi_store_rlx(&h->pull, h->weighed.pull);
	}
}

static int64_t quickest_ns(struct wi_host *const *hosts, uint32_t n)
{
	int64_t least = INT64_MAX;

	for (uint32_t i = 0; i < n; i++) {
		int64_t ns = wi_load_rlx(&hosts[i]->slow_ns);

		least = ns < least ? ns : least;
	}
	return least;
}

static bool is_slower(struct wi_host *const *hosts, uint32_t n, uint32_t near, int64_t times)
{
	if (!near || near == n)
		return false;
	return quickest_ns(hosts, near) / times > quickest_ns(hosts + near, n - near);
}

uint32_t wi_weigh_width(const weir_router *r, struct wi_host *const *hosts, uint32_t n,
                        uint32_t near)
{
	return !near || (wi_weighs(r) && is_slower(hosts, n, near, SPILL_TIMES)) ? n : near;
}

void wi_weigh_publish(weir_router *r, int64_t dt_ns)
{
	const struct wi_topology *t = wi_load_rlx(&r->topology); /* this thread's own */
	int64_t times = wi_load_rlx(&r->spills) ? STAY_TIMES : SPILL_TIMES;

	weigh(r, dt_ns);
	wi_store_rlx(&r->spills,
	             wi_weighs(r) && is_slower(t->reader, t->n_regular, t->n_near, times));
}

/* ---- the turn ---- */

void wi_balance_wake(weir_router *r)
{
	wi_store_rlx(&r->dozing, 0);
	wi_keeper_ring(r->keeper);
}

int64_t wi_balance_count(weir_router *r, int64_t now_ns)
{
	int64_t dt_ns = now_ns - r->counted_ns;
	bool moved = false;
	struct wi_host *h;

	if (!wi_weighs(r) || wi_hosts_count(r) < 2)
		return WI_FOREVER;
	if (now_ns < r->count_ns)
		return r->count_ns;
	find_long_ones(r, now_ns);
	for (uint32_t i = 0; (h = wi_hosts_next(r, &i));)
		moved |= count_host(h, dt_ns, dt_ns < LATE_NS);
	wi_weigh_publish(r, dt_ns);
	r->counted_ns = now_ns;
	r->count_ns = now_ns + COUNT_NS;
	if (moved)
		r->moved_ns = now_ns;
	if (now_ns - r->moved_ns < QUIET_NS)
		return r->count_ns;
	wi_store_rlx(&r->dozing, 1);
	return WI_FOREVER;
}
