/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Making a router, and closing it.
 *
 * Closing. `closed` is set, the pools are shut, and who sleeps at the gate is woken; then the
 * keeper ends when its jobs are finished: the pools when all connections are back, the monitor when
 * its probes are closed and nobody is inside. Whoever is neither inside nor holds a connection is
 * at most pinned or in a read section, and that is waited for before anything is freed. If the
 * drain time passes first, the keeper frees everything itself when it ends.
 *
 * Orderings. [route:R4] publishes `closed` to the monitor ([route:A4]). `inside` and `closed` are
 * sequentially consistent: a caller raises the one and looks at the other, the closer the other way
 * round.
 */
#include <stddef.h>
#include <string.h>

#include "base/alloc.h"
#include "base/atomic.h"
#include "base/cancel.h"
#include "base/clock.h"
#include "base/fork.h"
#include "base/rcu.h"
#include "base/text.h"
#include "config/options.h"
#include "pool/target.h"
#include "route/names.h"

/* ---- coming and going ---- */

bool wi_router_enter(weir_router *r)
{
	bool closed;

	wi_rcu_enter();
	wi_add_seq(&r->inside, 1);
	closed = wi_load_seq(&r->closed);
	wi_rcu_leave();
	if (closed)
		wi_router_leave(r);
	return !closed;
}

void wi_router_leave(weir_router *r)
{
	/* The read section keeps keeper and router after the count is lowered. */
	wi_rcu_enter();
	wi_sub_seq(&r->inside, 1);
	if (wi_unlikely(wi_load_seq(&r->closed)))
		wi_keeper_ring(r->keeper);
	wi_rcu_leave();
}

void wi_router_grace(weir_router *r)
{
	wi_core_await_pins(&r->desk);
	wi_rcu_wait();
}

/* ---- making ---- */

static weir_status add_named(weir_router *r, const char *text, weir_error *error)
{
	struct wi_endpoint *more = NULL, *all;
	size_t n = 0;
	weir_status st;

	if (!text[0])
		return WEIR_OK;
	st = wi_endpoints_parse(text, &more, &n, error);
	if (st != WEIR_OK || !n)
		return st;
	all = wi_alloc((r->n_named + n) * sizeof(*all));
	if (all) {
		if (r->n_named)
			memcpy(all, r->named, r->n_named * sizeof(*all));
		memcpy(all + r->n_named, more, n * sizeof(*all));
		wi_free(r->named, r->n_named * sizeof(*all));
		r->named = all;
		r->n_named += n;
	}
	wi_free(more, n * sizeof(*more));
	return all ? WEIR_OK : wi_fail(error, WEIR_NO_MEMORY, "no memory for the named endpoints");
}

/* The hosts: those of the connection string, or the endpoints named by hand, the writer first. */
static weir_status find_endpoints(weir_router *r, size_t *n_writers, weir_error *error)
{
	weir_status st = add_named(r, r->options.primary, error);

	*n_writers = r->n_named;
	if (st == WEIR_OK && r->n_named > 1)
		st = wi_fail(error, WEIR_INVALID,
		             "option primary names %zu endpoints: one is the writer", r->n_named);
	if (st == WEIR_OK)
		st = add_named(r, r->options.replicas, error);
	if (st != WEIR_OK)
		return st;
	if ((r->n_named ? r->n_named : r->dsn.n_hosts) > WI_HOSTS_MAX)
		return wi_fail(error, WEIR_INVALID, "a router has at most %d hosts, %zu are named",
		               WI_HOSTS_MAX, r->n_named ? r->n_named : r->dsn.n_hosts);
	return WEIR_OK;
}

static const struct wi_endpoint *endpoints_of(const weir_router *r, size_t *n)
{
	*n = r->named ? r->n_named : r->dsn.n_hosts;
	return r->named ? r->named : r->dsn.hosts;
}

static weir_status make_hosts(weir_router *r, const struct wi_router_config *config,
                              size_t n_writers, weir_error *error)
{
	size_t n;
	const struct wi_endpoint *e = endpoints_of(r, &n);

	weir_status st = wi_terms_fit(&r->options, (uint32_t)n, error);

	for (uint32_t i = 0; i < n && st == WEIR_OK; i++) {
		struct wi_host_plan plan = {.endpoint = e[i]};
		struct wi_host *h = NULL;

		if (r->named)
			plan.named = i < n_writers ? WI_NAMED_WRITER : WI_NAMED_READER;
		if (i < config->n_scripts)
			plan.script = config->scripts[i];
		st = wi_terms_of_options(&r->options, i, e[i].name, &plan.terms, error);
		if (st == WEIR_OK)
			st = wi_host_make(r, &plan, &h, error);
		if (st == WEIR_OK)
			wi_host_list(h, i);
		if (st == WEIR_OK && wi_names_is_one(r, h->endpoint))
			st = wi_names_follow(h, error);
	}
	return st;
}

static void start_values(weir_router *r)
{
	atomic_init(&r->topology, &r->topologies[0]);
	atomic_init(&r->fork_epoch, wi_load_rlx(&wi_fork_epoch));
	atomic_init(&r->tightest_ms, r->options.max_lag_ms);
	atomic_init(&r->tightest_ns, 0);
	atomic_init(&r->advised, NULL);
	r->advice.primary = -1;
	wi_totals_init(r);
	wi_own_writes_start(r);
	wi_rng_seed(&r->rng, (uint64_t)r->world->now() ^ (uintptr_t)r);
}

/* Whatever of it was made. The keeper does not run (any more), and nobody can be inside. */
static void destroy(weir_router *r, bool in_child)
{
	if (!r)
		return;
	if (r->desk.world)
		wi_core_fini(&r->desk);
	wi_advice_drop(r);
	wi_free(wi_load_rlx(&r->reloading), sizeof(weir_options)); /* a parent's keeper's */
	wi_orders_forget(r); /* a parent's, or of another keeper that nobody waited for */
	wi_rcu_wait(); /* read sections that began before may still look, or ring the keeper */
	for (uint32_t i = 0; i < WI_HOSTS_MAX; i++)
		wi_host_free(r->mine[i], in_child);
	if (in_child)
		wi_names_forget(r);
	wi_names_free(r);
	wi_sketch_end(&r->sketch);
	wi_keeper_free(r->keeper);
	wi_free(r->named, r->n_named * sizeof(*r->named));
	wi_dsn_fini(&r->dsn);
	wi_ring_close(&r->ring);
	wi_free(r, sizeof(*r));
}

static weir_status build(weir_router *r, const struct wi_router_config *config,
                         const char *conninfo, const weir_options *options, weir_error *error)
{
	struct wi_sources sources = {{NULL}};
	size_t n_writers = 0;
	weir_status st = wi_options_load(&r->options, options, error);

	if (st == WEIR_OK)
		st = wi_dsn_read(&r->dsn, conninfo, &r->options, &sources, error);
	wi_fixed_by(&r->fixed, &sources);
	if (st == WEIR_OK)
		st = wi_options_spare_probe(&r->options, error);
	if (st == WEIR_OK)
		st = wi_options_agree(&r->options, error);
	if (st == WEIR_OK)
		st = find_endpoints(r, &n_writers, error);
	if (st != WEIR_OK)
		return st;
	start_values(r);
	if (!wi_ring_open(&r->ring))
		return wi_fail(error, WEIR_NO_MEMORY, "no memory for the last events");
	st = wi_keeper_create(r->world, &r->keeper, error);
	if (st == WEIR_OK)
		st = make_hosts(r, config, n_writers, error);
	if (st != WEIR_OK)
		return st;
	if (!wi_core_init(&r->desk, (struct wi_table){NULL, 0, 0}, r->world))
		return wi_fail(error, WEIR_SYSTEM, "too many pools in this process");
	wi_own_writes_divert(r);
	wi_monitor_add(r);
	st = wi_router_show(r, error);
	return st == WEIR_OK ? wi_keeper_start(r->keeper, error) : st;
}

weir_status wi_router_open_with(const struct wi_router_config *config, const char *conninfo,
                                const weir_options *options, weir_router **router,
                                weir_error *error)
{
	weir_router *r;
	weir_status st;
	WI_NO_CANCEL;

	if (!router)
		return wi_fail(error, WEIR_INVALID, "weir_router_open: router is NULL");
	*router = NULL;
	if (!wi_fork_init())
		return wi_fail(error, WEIR_NO_MEMORY, "no memory for the fork handlers");
	r = wi_alloc_aligned(sizeof(*r), WI_LINE);
	if (!r)
		return wi_fail(error, WEIR_NO_MEMORY, "no memory for a router");
	r->driver = config->driver;
	r->world = config->world;
	r->script_of = config->script_of;
	r->script_arg = config->script_arg;
	st = build(r, config, conninfo, options, error);
	if (st != WEIR_OK) {
		destroy(r, false);
		return st;
	}
	*router = r;
	return WEIR_OK;
}

weir_status weir_router_open(const char *conninfo, const weir_options *options,
                             weir_router **router, weir_error *error)
{
	const struct wi_router_config config = {.driver = &wi_driver_libpq,
	                                        .world = &wi_world_linux};

	return wi_router_open_with(&config, conninfo, options, router, error);
}

/* ---- closing ---- */

/* At the end of the drain time. */
static bool is_held(void *arg)
{
	weir_router *r = arg;
	bool any = false;
	struct wi_host *h;

	/* The keeper takes nobody out any more once it has seen that the router is closed. */
	for (uint32_t i = 0; (h = wi_places_next(r, &i));) {
		struct weir_pool *pool = h->pool;

		any |= wi_load_rlx(&pool->hooked) > 0;
		if (!wi_pool_is_held(pool))
			continue;
		wi_drain_report(pool);
		any = true;
	}
	return any;
}

static void abandoned(void *arg)
{
	destroy(arg, false);
}

static void shut(weir_router *r, int64_t deadline_ns)
{
	/* [route:R4] publishes the end to the monitor; pairs with A4 A8. */
	wi_store_seq(&r->closed, 1);
	wi_bias_end(&r->desk.bias, WI_BIAS_CLOSED);
	wi_core_suspend(&r->desk, 0); /* who waits for it to be resumed need not any more */
	wi_store_rlx(&r->end_ns, deadline_ns);
	wi_hosts_shut(r);
	wi_gate_change(&r->gate, r->world);
	wi_gate_change(&r->news, r->world);
	/*
	 * After this, whoever is in the router has seen that it is closed, or is counted, or holds
	 * a connection.
	 */
	wi_router_grace(r);
	wi_keeper_ring(r->keeper);
}

weir_status weir_router_close(weir_router **router, int64_t drain_ms)
{
	weir_router *r;
	int64_t deadline_ns;
	WI_NO_CANCEL;

	if (!router || !*router)
		return WEIR_OK;
	r = *router;
	if (wi_keeper_is_self(r->keeper))
		return WEIR_INVALID; /* it would wait for itself */
	*router = NULL;
	if (wi_router_is_parents(r)) {
		destroy(r, true);
		return WEIR_OK;
	}
	deadline_ns = wi_deadline_after(r->world->now(), drain_ms);
	shut(r, deadline_ns);
	if (!wi_keeper_stop(r->keeper, deadline_ns, is_held, abandoned, r))
		return WEIR_TIMEOUT;
	destroy(r, false);
	return WEIR_OK;
}
