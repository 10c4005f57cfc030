/* SPDX-License-Identifier: BSD-2-Clause */
/* Making a pool, and closing it. What it does in between is in the other files of this room. */
#include <string.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "base/atomic.h"
#include "base/cancel.h"
#include "base/clock.h"
#include "base/fork.h"
#include "base/rcu.h"
#include "base/text.h"
#include "config/options.h"
#include "pool/size.h"
#include "pool/target.h"

/*
 * A thread is about to sleep for want of a connection: could one more be opened, or is there
 * nothing to hope for?
 */
static void on_short(void *arg)
{
	struct weir_pool *pool = arg;

	if (wi_load_seq(&pool->demand) || wi_load_rlx(&pool->breaker.state) != WI_BREAKER_CLOSED)
		wi_keeper_ring(pool->keeper);
}

/* With a host's allocator, slots for a pool that grows to so many times its first maximum. */
#define MODEST_TIMES 4
#define MODEST_LEAST 64

static size_t bytes_for(uint32_t n)
{
	return ((size_t)(n < WI_SLOTS_MAX ? n : WI_SLOTS_MAX) + 1) * sizeof(struct weir_conn);
}

static bool make_room(struct weir_pool *pool, uint32_t n)
{
	uint32_t modest = n * MODEST_TIMES;

	return wi_room_open(&pool->room, bytes_for(n),
	                    bytes_for(modest > MODEST_LEAST ? modest : MODEST_LEAST),
	                    bytes_for(WI_SLOTS_MAX), WI_CONN_BYTES);
}

/* How many slots there may be at most. */
static uint32_t slots_of(const struct wi_room *room)
{
	return (uint32_t)(room->bytes / sizeof(struct weir_conn)) - 1;
}

static weir_status make_conns(struct weir_pool *pool, weir_error *error)
{
	struct wi_table table;

	pool->n_conns = wi_slots_for(&pool->options, wi_pool_limit(pool));
	if (!make_room(pool, pool->n_conns) || !wi_held_init(pool, slots_of(&pool->room)))
		return wi_fail(error, WEIR_NO_MEMORY, "no memory for %u connections",
		               pool->n_conns);
	pool->conns = (struct weir_conn *)(void *)pool->room.base;
	wi_pool_slots_init(pool, 0, pool->n_conns);
	pool->census.n[WI_EMPTY] = pool->n_conns;
	table = (struct wi_table){(char *)pool->conns, sizeof(struct weir_conn), pool->n_conns};
	if (!wi_core_init(&pool->core, table, pool->core.world)) {
		return wi_fail(error, WEIR_SYSTEM, "too many pools in this process");
	}
	pool->core.on_short = on_short;
	pool->core.on_short_arg = pool;
	pool->core.on_leave = wi_held_thread_ends;
	pool->core.on_leave_arg = pool;
	return WEIR_OK;
}

/* For pools that reset whatever comes back. */
static enum wi_look always_changed(void *conn)
{
	(void)conn;
	return WI_LOOK_CHANGED;
}

static weir_status configure(struct weir_pool *pool, const struct wi_pool_config *config,
                             weir_error *error)
{
	const weir_options *o = &pool->options;
	weir_status st;

	pool->sized = wi_sizes((uint32_t)o->pool_min, (uint32_t)wi_options_pool_max(o));
	atomic_init(&pool->sizes, pool->sized);
	pool->reset_always = strcmp(o->reset, "tracked") != 0 && strcmp(o->reset, "none") != 0;
	atomic_init(&pool->standing, wi_health_standing(o));
	pool->look = pool->reset_always ? always_changed : pool->driver->tidy_and_look;
	st = wi_settings_build(&pool->settings, o, wi_dsn_param(config->dsn, "options"), error);
	if (st == WEIR_OK)
		st = wi_target_build(&pool->target, config->dsn, o, pool->endpoint, NULL,
		                     config->script, error);
	if (st != WEIR_OK)
		return st;
	atomic_init(&pool->guards, pool->routed && o->read_only_reads && !o->read_only &&
	                                   !pool->settings.users_access);
	if (pool->settings.startup[0])
		pool->target.startup_options = pool->settings.startup;
	return pool->driver->check(&pool->target, error);
}

static void start_values(struct weir_pool *pool, const struct wi_pool_config *config,
                         struct wi_keeper *keeper)
{
	pool->driver = config->driver;
	pool->keeper = keeper;
	pool->endpoint = config->endpoint;
	pool->options = *config->options;
	wi_logins_init(&pool->logins, &pool->options, pool->endpoint->name);
	pool->on_trouble = config->on_trouble;
	pool->trouble_arg = config->trouble_arg;
	pool->routed = config->routed;
	pool->core.world = config->world;
	atomic_init(&pool->end_ns, WI_FOREVER);
	atomic_init(&pool->fork_epoch, wi_load_rlx(&wi_fork_epoch));
	atomic_init(&pool->demand, 1);
	wi_rng_seed(&pool->rng, (uint64_t)config->world->now() ^ (uintptr_t)pool);
	pool->breaker_was_closed = true;
	wi_breaker_init(&pool->breaker, pool->options.breaker_failures,
	                pool->options.breaker_open_ms, pool->options.breaker_open_max_ms);
}

static weir_status make_ring(struct weir_pool *pool, const struct wi_pool_config *config,
                             weir_error *error)
{
	pool->ring = config->ring ? config->ring : &pool->own_ring;
	if (!config->ring && !wi_ring_open(&pool->own_ring))
		return wi_fail(error, WEIR_NO_MEMORY, "no memory for the last events");
	return WEIR_OK;
}

weir_status wi_pool_create(const struct wi_pool_config *config, struct wi_keeper *keeper,
                           struct weir_pool **out, weir_error *error)
{
	struct weir_pool *pool;
	weir_status st;

	if (!wi_fork_init())
		return wi_fail(error, WEIR_NO_MEMORY, "no memory for the fork handlers");
	pool = wi_alloc_aligned(sizeof(*pool), WI_LINE);
	if (!pool)
		return wi_fail(error, WEIR_NO_MEMORY, "no memory for a pool");
	start_values(pool, config, keeper);
	st = configure(pool, config, error);
	if (st == WEIR_OK)
		st = make_ring(pool, config, error);
	if (st == WEIR_OK)
		st = make_conns(pool, error);
	if (st != WEIR_OK) {
		wi_ring_close(&pool->own_ring);
		wi_held_fini(pool);
		wi_room_close(&pool->room);
		wi_target_fini(&pool->target);
		wi_free(pool, sizeof(*pool));
		return st;
	}
	wi_pool_job_init(pool);
	wi_keeper_add(keeper, &pool->job);
	*out = pool;
	return WEIR_OK;
}

void wi_pool_free(struct weir_pool *pool)
{
	if (!pool)
		return;
	wi_core_fini(&pool->core); /* waits for read sections */
	wi_sketch_end(&pool->sketch);
	wi_logins_fini(&pool->logins);
	wi_target_fini(&pool->target);
	wi_free(wi_load_rlx(&pool->reload), sizeof(struct wi_wanted));    /* nobody took it */
	wi_free(wi_load_rlx(&pool->reloading), sizeof(struct wi_wanted)); /* a parent's keeper */
	wi_held_fini(pool);
	wi_room_close(&pool->room);
	wi_ring_close(&pool->own_ring);
	wi_dsn_fini(&pool->dsn);
	wi_free(pool, sizeof(*pool));
}

void wi_pool_shut(struct weir_pool *pool)
{
	wi_store_seq(&pool->closed, 1);
	wi_core_shut(&pool->core, WI_REFUSE_CLOSED);
	wi_core_suspend(&pool->core, 0); /* who waits for a suspended pool need not any more */
	wi_keeper_ring(pool->keeper);
}

void wi_pool_end_by(struct weir_pool *pool, int64_t deadline_ns)
{
	wi_store_rlx(&pool->end_ns, deadline_ns);
}

void wi_pool_send_away(struct weir_pool *pool)
{
	wi_core_refuse(&pool->core, WI_REFUSE_ELSEWHERE);
}

weir_status wi_pool_show(struct weir_pool *pool, weir_error *error)
{
	pool->sketch.draw = wi_sketch_draw_pool;
	pool->sketch.arg = pool;
	return wi_sketch_begin(&pool->sketch, pool->keeper, pool->core.world, &pool->options, false,
	                       error);
}

/* A pool with a keeper of its own. */
static weir_status open_own(struct wi_pool_config config, struct wi_dsn *dsn, weir_pool **out,
                            weir_error *error)
{
	struct wi_endpoint endpoint = dsn->hosts[0];
	struct wi_keeper *keeper = NULL;
	struct weir_pool *pool = NULL;
	weir_status st = wi_keeper_create(config.world, &keeper, error);

	config.endpoint = &endpoint;
	if (st == WEIR_OK)
		st = wi_pool_create(&config, keeper, &pool, error);
	if (st != WEIR_OK) {
		wi_keeper_free(keeper);
		wi_dsn_fini(dsn);
		return st;
	}
	/* From here on the pool keeps what its configuration pointed to. */
	pool->dsn = *dsn;
	pool->named = endpoint;
	pool->endpoint = &pool->named;
	pool->logins.host = pool->named.name;
	pool->target.endpoint = &pool->named;
	pool->own_keeper = true;
	wi_fixed_by(&pool->fixed, config.sources);
	st = wi_pool_show(pool, error);
	if (st == WEIR_OK)
		st = wi_keeper_start(keeper, error);
	if (st != WEIR_OK) {
		wi_pool_free(pool);
		wi_keeper_free(keeper);
		return st;
	}
	*out = pool;
	return WEIR_OK;
}

weir_status wi_pool_open_with(const struct wi_driver *driver, const struct wi_world *world,
                              void *script, const char *conninfo, const weir_options *options,
                              weir_pool **pool, weir_error *error)
{
	weir_options o;
	struct wi_dsn dsn = {0};
	struct wi_sources sources = {{NULL}};
	struct wi_pool_config config = {
		.driver = driver, .world = world, .dsn = &dsn, .options = &o, .script = script};
	weir_status st;
	WI_NO_CANCEL;

	if (!pool)
		return wi_fail(error, WEIR_INVALID, "weir_pool_open: pool is NULL");
	*pool = NULL;
	st = wi_options_load(&o, options, error);
	if (st == WEIR_OK)
		st = wi_dsn_read(&dsn, conninfo, &o, &sources, error);
	if (st == WEIR_OK)
		st = wi_options_agree(&o, error);
	if (st == WEIR_OK && dsn.n_hosts != 1)
		st = wi_fail(error, WEIR_INVALID,
		             "a pool has one host, the connection string names %zu: open a router",
		             dsn.n_hosts);
	if (st != WEIR_OK) {
		wi_dsn_fini(&dsn);
		return st;
	}
	config.sources = &sources;
	return open_own(config, &dsn, pool, error);
}

weir_status weir_pool_open(const char *conninfo, const weir_options *options, weir_pool **pool,
                           weir_error *error)
{
	return wi_pool_open_with(&wi_driver_libpq, &wi_world_linux, NULL, conninfo, options, pool,
	                         error);
}

uint32_t wi_pool_out(struct weir_pool *pool)
{
	uint64_t lent, returned;

	wi_core_sums(&pool->core, &lent, &returned);
	return (uint32_t)(lent - returned); /* each slot counts 0 or 1 */
}

bool wi_pool_is_held(struct weir_pool *pool)
{
	uint64_t lent, returned;

	wi_core_sums(&pool->core, &lent, &returned);
	return lent != returned;
}

/* At the end of the drain time. A call of on_connect may go on for as long as it likes. */
static bool is_held(void *arg)
{
	struct weir_pool *pool = arg;

	if (!wi_pool_is_held(pool))
		return wi_load_rlx(&pool->hooked) > 0;
	wi_drain_report(pool);
	return true;
}

static void free_all(void *arg)
{
	struct weir_pool *pool = arg;
	struct wi_keeper *keeper = pool->keeper;

	/* The read sections that wi_pool_free waits for may still ring the keeper. */
	wi_pool_free(pool);
	wi_keeper_free(keeper);
}

weir_status weir_pool_close(weir_pool **pool, int64_t drain_ms)
{
	struct weir_pool *p;
	int64_t deadline_ns;
	WI_NO_CANCEL;

	if (!pool || !*pool)
		return WEIR_OK;
	p = *pool;
	if (wi_keeper_is_self(p->keeper))
		return WEIR_INVALID; /* it would wait for itself */
	*pool = NULL;
	if (wi_pool_is_parents(p)) {
		/* A forked child: the keeper is not here, and the connections are not ours. */
		wi_pool_forget(p);
		free_all(p);
		return WEIR_OK;
	}
	deadline_ns = wi_deadline_after(p->core.world->now(), drain_ms);
	wi_pool_end_by(p, deadline_ns);
	wi_pool_shut(p);
	/*
	 * After this, whoever is in the pool has seen that it is shut, or is counted, or holds a
	 * connection.
	 */
	wi_core_await_pins(&p->core);
	wi_rcu_wait();
	if (!wi_keeper_stop(p->keeper, deadline_ns, is_held, free_all, p))
		return WEIR_TIMEOUT;
	free_all(p);
	return WEIR_OK;
}
