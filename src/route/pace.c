/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * When a host is probed. Every probe_interval_ms; more often where a limit of lag asks for it, as a
 * limit is worth what is known; ten times as often while something is wrong (a host has just
 * failed, there is no primary, hosts contradict each other), and every 100 ms for a while after; at
 * once where a pool met with trouble or an idle probe heard something. A host that fails is asked
 * again soon, then less and less soon, up to the interval, whatever the pace of the others. All
 * with jitter, so that many routers do not ask in step.
 */
#include "base/atomic.h"
#include "base/clock.h"
#include "route/router.h"

#define FAST_MS 100     /* pace for a while after something has changed */
#define ALARM_MS 5000   /* after each sign that something is wrong */
#define FASTER 10       /* times as fast as usual while something is wrong; FAST_MS at least */
#define LASTING_MS 5000 /* the longest pause where the credentials or the database are refused */
#define RELAX_MS 10000  /* a limit that nobody asked for so long sets no pace any more */
#define BYTES_MS 100    /* pace where a limit of bytes is asked for */
#define FLOOR_MS 10     /* no host is asked more often */
#define LEAST_LIMIT_MS 1000

static int64_t least(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

static int64_t most(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

/* The pace while something is wrong, and the first pause after a failure. */
static int64_t alarmed_ms(const weir_router *r)
{
	return most(least(r->options.probe_interval_ms / FASTER, FAST_MS), FLOOR_MS);
}

void wi_pace_alarm(weir_router *r, int64_t now_ns)
{
	r->alarmed_until_ns = most(r->alarmed_until_ns, now_ns + ALARM_MS * WI_MS);
}

/*
 * A replica that is never behind is known to hold what the primary had two probes ago: a quarter of
 * the limit leaves as much again for the way and for being a little behind.
 */
static int64_t period_ms(const weir_router *r, int64_t now_ns)
{
	int64_t period = r->options.probe_interval_ms;
	int64_t tightest = wi_load_rlx(&r->tightest_ms);

	if (tightest)
		period = least(period, tightest / 4);
	if (r->options.max_lag_bytes)
		period = least(period, BYTES_MS);
	if (now_ns < r->restless_until_ns)
		period = least(period, FAST_MS);
	if (now_ns < r->alarmed_until_ns)
		period = least(period, alarmed_ms(r));
	return most(period, FLOOR_MS);
}

static int64_t jittered_ns(weir_router *r, int64_t ms)
{
	int64_t ns = ms * WI_MS;

	return ns - (int64_t)(wi_rng_next(&r->rng) % (uint64_t)(ns / 10 + 1));
}

int64_t wi_pace_limit_ms(const weir_router *r)
{
	return least(most(wi_word_load(&r->options.probe_interval_ms), LEAST_LIMIT_MS),
	             wi_word_load(&r->options.connect_timeout_ms));
}

/* A number of bytes is as old as the primary's answer: two periods, and what one may take. */
int64_t wi_pace_bytes_good_ns(const weir_router *r)
{
	int64_t interval = wi_word_load(&r->options.probe_interval_ms);

	return (2 * least(interval, BYTES_MS) + wi_pace_limit_ms(r)) * WI_MS;
}

/* What trying again soon does not mend, and may get an account locked. */
static bool is_lasting(enum wi_fault fault)
{
	return fault == WI_FAULT_AUTH || fault == WI_FAULT_CONFIG;
}

/* Before a host that failed is asked again: doubling, whatever the pace of the others. */
static int64_t pause_ms(const struct wi_host *h)
{
	int64_t longest = h->router->options.probe_interval_ms;
	int64_t first = alarmed_ms(h->router);
	uint32_t doublings = h->failures < 10 ? h->failures - 1 : 9;

	if (is_lasting(h->probe.found.failure.fault)) {
		longest = most(longest, LASTING_MS);
		first = FAST_MS;
	}
	return most(least(longest, first << doublings), FLOOR_MS);
}

void wi_pace_plan(struct wi_host *h, int64_t now_ns)
{
	int64_t wait = h->failures ? pause_ms(h) : period_ms(h->router, now_ns);
	int64_t from = h->failures ? now_ns : h->probe.begun_ns;

	h->next_ns =
		most(from + jittered_ns(h->router, wait), h->probe.begun_ns + FLOOR_MS * WI_MS);
}

/* The limit is said again at most every so often, so that readers do not write all the time. */
static bool is_noted(weir_router *r, int64_t tightest, int64_t max_lag_ms, int64_t now_ns)
{
	if (!tightest || max_lag_ms < tightest)
		return false;
	return max_lag_ms > tightest || now_ns - wi_load_rlx(&r->tightest_ns) < WI_SEC;
}

void wi_pace_need(weir_router *r, int64_t max_lag_ms)
{
	int64_t tightest = wi_load_rlx(&r->tightest_ms);
	int64_t now_ns = r->world->now();

	while (!is_noted(r, tightest, max_lag_ms, now_ns)) {
		wi_store_rlx(&r->tightest_ns, now_ns);
		if (!wi_cas_rlx(&r->tightest_ms, &tightest, max_lag_ms))
			continue;
		if (tightest != max_lag_ms)
			wi_keeper_ring(r->keeper);
		return;
	}
}

/* Back to what the options ask for; who still wants less says so with the next read. */
void wi_pace_relax(weir_router *r, int64_t now_ns)
{
	int64_t tightest = wi_load_rlx(&r->tightest_ms);

	if (tightest != r->options.max_lag_ms &&
	    now_ns - wi_load_rlx(&r->tightest_ns) >= RELAX_MS * WI_MS)
		wi_store_rlx(&r->tightest_ms, r->options.max_lag_ms);
}

static int64_t floor_ns(const weir_router *r)
{
	return most(least(FAST_MS, r->options.probe_interval_ms), FLOOR_MS) * WI_MS;
}

/* Who refuses the credentials is not asked for a position that others may have. */
static bool is_asked_for(const struct wi_host *h)
{
	const weir_router *r = h->router;
	bool refuses = h->failures && is_lasting(h->probe.found.failure.fault);

	return wi_load_rlx(refuses ? &r->looks : &r->tickets) > h->asking_for;
}

/* When an idle probe wants to ask again. */
int64_t wi_pace_due(const struct wi_host *h, int64_t now_ns)
{
	int64_t at = h->next_ns;

	/* A host that fails is connected to: that has a floor, however often it is asked for. */
	if (is_asked_for(h))
		return h->failures ? least(at, h->probe.begun_ns + floor_ns(h->router)) : now_ns;
	/*
	 * That a host which is known to fail has trouble is no news, unless that takes a role that
	 * it kept. Nor would it answer now because of somebody's doubt.
	 */
	if (h->trouble && (!h->failures || (h->hurt && h->opinion.role != WEIR_ROLE_UNKNOWN)))
		at = least(at, h->probe.begun_ns + FLOOR_MS * WI_MS);
	if (wi_load_rlx(&h->held_until_ns))
		at = least(at, most(wi_load_rlx(&h->held_until_ns),
		                    h->probe.begun_ns + FLOOR_MS * WI_MS));
	/* The period may have shrunk since the next probe was planned. */
	if (!h->failures)
		at = least(at, h->probe.begun_ns + period_ms(h->router, now_ns) * WI_MS);
	return at;
}
