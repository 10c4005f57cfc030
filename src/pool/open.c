/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Opening connections: how many are wanted, and what a failure means. The way in between is
 * way.c's.
 *
 * Demand is looked at again before each connect, so that a spike of fifty callers with short
 * queries does not open fifty connections. A caller that gives up cancels nothing: what was begun
 * for it goes to the pool.
 */
#include <string.h>

#include "base/assert.h"
#include "base/atomic.h"
#include "base/clock.h"
#include "base/probe.h"
#include "base/text.h"
#include "driver/fault.h"
#include "pool/pool.h"
#include "pool/size.h"

static uint32_t min_u32(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

static uint32_t max_u32(uint32_t a, uint32_t b)
{
	return a > b ? a : b;
}

static uint32_t minus(uint32_t a, uint32_t b)
{
	return a > b ? a - b : 0;
}

static uint32_t opening(const struct weir_pool *pool)
{
	const struct wi_census *s = &pool->census;

	return s->n[WI_RESOLVING] + s->n[WI_CONNECTING] + s->fresh;
}

bool wi_open_is_under_way(const struct weir_pool *pool)
{
	return opening(pool) > 0;
}

/* How many connections more than now are wanted, room considered. */
static uint32_t wanted(struct weir_pool *pool)
{
	const struct wi_census *s = &pool->census;
	uint32_t total = wi_pool_total(pool), coming = opening(pool);
	uint32_t have = minus(s->n[WI_READY] + s->n[WI_SETTLING], s->cut + s->fresh);
	uint32_t soon = coming + (s->n[WI_SETTLING] - s->fresh);
	uint32_t waiting = wi_core_waiting(&pool->core);
	/* What is to be evicted is replaced before it goes. */
	uint32_t base = minus(wi_pool_kept(pool), minus(have, wi_evict_left(pool)) + coming);
	uint32_t demand = minus(waiting, soon);

	if (pool->replacing && !coming && !pool->quiet)
		base = max_u32(base, 1);
	if (wi_load_rlx(&pool->missed) && !have && !coming && !pool->quiet)
		base = max_u32(base, 1);
	/*
	 * Nobody waits before an open breaker: without this, nobody would ever find out that the
	 * server is back.
	 */
	if (wi_load_rlx(&pool->breaker.state) != WI_BREAKER_CLOSED && !coming && !pool->quiet)
		base = max_u32(base, 1);
	return max_u32(min_u32(base, minus(wi_pool_max(pool), total)),
	               min_u32(demand, minus(wi_pool_limit(pool), total)));
}

void wi_pool_miss(struct weir_pool *pool)
{
	if (wi_load_rlx(&pool->alive) || wi_load_rlx(&pool->missed))
		return;
	wi_store_rlx(&pool->missed, true); /* the ring is the ordering */
	wi_keeper_ring(pool->keeper);
}

static struct weir_conn *empty_slot(struct weir_pool *pool)
{
	for (uint32_t i = 0; i < pool->n_conns; i++) {
		struct weir_conn *c = &pool->conns[1 + (pool->next_empty + i) % pool->n_conns];

		if (c->life == WI_EMPTY) {
			pool->next_empty = (pool->next_empty + i + 1) % pool->n_conns;
			return c;
		}
	}
	return NULL;
}

static void begin(struct weir_conn *c, int64_t now_ns)
{
	struct weir_pool *pool = c->pool;

	wi_slot_move(c, WI_EMPTY, WI_RESOLVING);
	wi_slot_in_hand(c, true);
	c->fresh = true;
	wi_epoch_open(c);
	c->born_ns = now_ns;
	c->expires_ns = wi_lifetime_end(pool, now_ns);
	c->deadline_ns = wi_deadline_after(now_ns, pool->options.connect_timeout_ms);
	wi_way_begin(c, now_ns);
}

/* Whether the breaker lets a connect begin; the one that tries for all is told. */
static bool is_allowed(struct weir_pool *pool, int64_t now_ns)
{
	if (!wi_breaker_allows(&pool->breaker, now_ns, opening(pool)))
		return false;
	if (wi_load_rlx(&pool->breaker.state) == WI_BREAKER_HALF_OPEN)
		wi_pool_tell(pool, WEIR_EVENT_BREAKER_HALF_OPEN,
		             "one connect tries after %u failures", pool->breaker.failures);
	return true;
}

void wi_open_some(struct weir_pool *pool, int64_t now_ns)
{
	while (opening(pool) < (uint32_t)pool->options.connect_parallel && wanted(pool) > 0 &&
	       is_allowed(pool, now_ns)) {
		struct weir_conn *c = empty_slot(pool);

		if (!c)
			return;
		begin(c, now_ns);
	}
}

void wi_open_connected(struct weir_conn *c)
{
	struct weir_pool *pool = c->pool;

	wi_way_end(c);
	c->pg = pool->driver->pg(c->link);
	wi_slot_move(c, WI_CONNECTING, WI_SETTLING);
	pool->census.fresh++;
	wi_settle_begin(c, WI_DO_VERIFY, c->deadline_ns);
}

/* ---- failing ---- */

static bool has_connections(const struct weir_pool *pool)
{
	const struct wi_census *s = &pool->census;

	return s->n[WI_READY] + s->n[WI_SETTLING] > s->cut + s->fresh;
}

static enum wi_setback setback_of(const struct weir_pool *pool, enum wi_fault fault)
{
	switch (fault) {
	case WI_FAULT_AUTH:
	case WI_FAULT_CONFIG:
	case WI_FAULT_OPTIONS:
		return WI_SETBACK_LASTING;
	case WI_FAULT_CAPACITY:
		/* It lives on what it has. */
		return has_connections(pool) ? WI_SETBACK_FULL : WI_SETBACK_USUAL;
	case WI_FAULT_STARTING:
		return WI_SETBACK_STARTING;
	default:
		return WI_SETBACK_USUAL;
	}
}

static weir_connect class_of(enum wi_fault fault)
{
	switch (fault) {
	case WI_FAULT_REFUSED:
		return WEIR_CONNECT_REFUSED;
	case WI_FAULT_TIMEOUT:
		return WEIR_CONNECT_TIMEOUT;
	case WI_FAULT_RESOLVE:
		return WEIR_CONNECT_RESOLVE;
	case WI_FAULT_AUTH:
		return WEIR_CONNECT_AUTH;
	case WI_FAULT_CONFIG:
	case WI_FAULT_OPTIONS:
	case WI_FAULT_SQL:
		return WEIR_CONNECT_CONFIG;
	case WI_FAULT_CAPACITY:
		return WEIR_CONNECT_CAPACITY;
	case WI_FAULT_STARTING:
		return WEIR_CONNECT_STARTING;
	case WI_FAULT_TLS:
		return WEIR_CONNECT_TLS;
	default:
		return WEIR_CONNECT_OTHER;
	}
}

/* What was being done, in words for people. */
static const char *phase(const struct weir_conn *c)
{
	switch (c->life) {
	case WI_RESOLVING:
	case WI_CONNECTING:
		return wi_way_phase(c);
	case WI_SETTLING:
		if (c->errand == WI_DO_HOOK)
			return "calling on_connect";
		return c->errand == WI_DO_ON_CONNECT ? "running on_connect_sql"
		                                     : "asking for what is in force";
	default:
		return "connecting";
	}
}

/*
 * Startup options were refused: without the one that the server is too old for, or, if it takes
 * none, SET from now on; and try again at once. Connects that were under
 * way with them when the first was refused are refused, too, and say nothing new. false: there were
 * none of weir's to leave out, or the user's own cannot be left out.
 */
static bool falls_back(const struct weir_conn *c, const struct wi_failure *failure)
{
	struct weir_pool *pool = c->pool;
	const char *unknown;
	bool again;

	if (!pool->target.startup_options)
		return c->edition != 0;
	unknown = wi_settings_leave_out(&pool->settings, failure->text, c->edition, &again);
	if (unknown) {
		if (!again)
			wi_pool_tell(pool, WEIR_EVENT_SETTINGS_REFUSED,
			             "the server is too old to know %s: not in force", unknown);
		return true;
	}
	if (pool->settings.users)
		return false;
	pool->target.startup_options = NULL;
	pool->apply_by_set = true;
	wi_pool_tell(pool, WEIR_EVENT_SETTINGS_FALLBACK, "startup options refused: %s",
	             failure->text);
	return true;
}

/*
 * Credentials were refused: the next connect asks on_credentials anew. true: they were an earlier
 * answer that had been kept, so it does so at once, and this was no failure of the host's.
 */
static bool has_other_login(const struct weir_conn *c)
{
	wi_login_refused(&c->pool->logins);
	return wi_way_was_kept(c);
}

/* The failure with its class and its phase. */
static void say(const struct weir_conn *c, const struct wi_failure *f, struct wi_failure *said)
{
	struct wi_text t;

	*said = *f;
	wi_text_init(&t, said->text, sizeof(said->text));
	wi_text_add(&t, "%s while %s: %.420s", wi_fault_name(f->fault), phase(c), f->text);
}

void wi_open_failed(struct weir_conn *c, const struct wi_failure *failure)
{
	struct weir_pool *pool = c->pool;
	int64_t now_ns = pool->core.world->now();
	struct wi_failure f = *failure, said;
	enum wi_setback setback;

	f.fault = wi_health_judged(pool, failure);
	failure = &f;
	wi_health_connect_failed(pool, failure, now_ns);
	if (failure->fault == WI_FAULT_OPTIONS && falls_back(c, failure)) {
		wi_conn_close(c, WEIR_CLOSE_BROKEN);
		return;
	}
	if (failure->fault == WI_FAULT_AUTH && has_other_login(c)) {
		wi_conn_close(c, WEIR_CLOSE_BROKEN);
		return;
	}
	say(c, failure, &said);
	setback = setback_of(pool, failure->fault);
	wi_add_rlx(&pool->connect_failures, 1);
	wi_add_rlx(&pool->connect_failed_of[class_of(failure->fault)], 1);
	wi_failure_post(&pool->last_error, &said);
	wi_probe_connect(pool->endpoint->name, now_ns - c->born_ns, (int)failure->fault);
	wi_conn_close(c, WEIR_CLOSE_BROKEN);
	wi_pool_tell(pool, WEIR_EVENT_CONNECT_FAILED, "%s", said.text);
	if (wi_breaker_failed(&pool->breaker, now_ns, c->born_ns, setback, &pool->rng)) {
		wi_add_rlx(&pool->breaker_openings, 1);
		wi_pool_tell(pool, WEIR_EVENT_BREAKER_OPENED, "%u connects failed in a row: %s",
		             pool->breaker.failures, said.text);
	}
	if (pool->on_trouble)
		pool->on_trouble(pool->trouble_arg, failure);
}

void wi_pool_retry_now(struct weir_pool *pool)
{
	if (wi_breaker_retry(&pool->breaker, pool->core.world->now()))
		wi_keeper_ring(pool->keeper);
}
