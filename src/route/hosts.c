/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Idea. The set of a router's hosts is an array of places. A host is made whole, then put into a
 * free place, and keeps place and number for as long as anybody may see it. Only the keeper's
 * thread changes the set; everybody else reads it, pinned or inside a read section, and waits for
 * nobody.
 *
 * States of a host:
 *
 *	made --listed--> IN THE SET --removed--> LEAVING --its pool is finished--> UNLISTED --> freed
 *
 * A leaving host is in no topology, its probe has ended and its pool is shut: what is idle is
 * closed at once, what is out when it comes back. It is still listed, so that it can be seen who
 * has something of it. When nothing is left it is taken out of its place, and freed after a grace
 * period, if by then nobody is inside its pool; only then the place is free for another.
 *
 * Invariants.
 *   I1  who reached a host by its place, pinned or in a read section, may use it until he leaves
 *   I2  who is inside its pool, or holds a connection of it, may use it as long as he is
 *   I3  no two hosts that anybody may see have the same number
 *
 * Closing. Who closes the router sets `closed` and waits for a grace period; the keeper takes hosts
 * in and out in read sections in which it has seen the router open. So after that the set stays as
 * it is, and the closer reads it in peace.
 *
 * Orderings. [hosts:R1] lists a host, [hosts:A1] finds it. [hosts:R2] publishes its terms,
 * [hosts:A2] reads them.
 */
#include "route/names.h"

#include <string.h>
#include <strings.h>

#include "base/alloc.h"
#include "base/atomic.h"
#include "base/clock.h"
#include "base/rcu.h"
#include "base/text.h"
#include "pool/target.h"
#include "stat/event.h"

/* ---- reading ---- */

struct wi_host *wi_places_next(const weir_router *r, uint32_t *i)
{
	while (*i < WI_HOSTS_MAX) {
		struct wi_host *h = wi_host_at(r, (*i)++);

		if (h)
			return h;
	}
	return NULL;
}

struct wi_host *wi_hosts_next(const weir_router *r, uint32_t *i)
{
	struct wi_host *h;

	while ((h = wi_places_next(r, i)) && wi_load_rlx(&h->leaving))
		;
	return h;
}

uint32_t wi_hosts_count(const weir_router *r)
{
	uint32_t n = 0;

	for (uint32_t i = 0; wi_hosts_next(r, &i);)
		n++;
	return n;
}

/* ---- making and freeing ---- */

void wi_host_start(struct wi_host *h)
{
	h->opinion = (struct wi_opinion){.role = WEIR_ROLE_UNKNOWN};
	h->next_ns = 0;
	h->asking_for = h->answered_for = wi_load_rlx(&h->router->tickets);
	h->failures = h->send_away = 0;
	wi_store_rlx(&h->dead, false);
	h->completed = h->trouble = h->hurt = false;
	atomic_init(&h->renewed_ns, 0);
	h->full_since_ns = 0;
	h->last = (struct wi_sight){0};
	memset(h->starts, 0, sizeof(h->starts));
	h->several_until_ns = h->good_ns = h->doubted_ns = 0;
	h->several = h->fenced_told = false;
	h->falls = 0;
	atomic_init(&h->held_until_ns, 0);
	atomic_init(&h->lsn, 0);
	atomic_init(&h->timeline, 0);
	atomic_init(&h->answered_ns, 0);
	atomic_init(&h->report, &h->reports[0]);
	atomic_init(&h->as_of_ns, WI_LAG_UNKNOWN);
	atomic_init(&h->behind_since_ns, WI_LAG_UNKNOWN);
	atomic_init(&h->lag_bytes, -1);
	atomic_init(&h->bytes_of_ns, 0);
	memset(h->reasons, 0, sizeof(h->reasons));
	atomic_init(&h->too_late, 0);
	atomic_init(&h->shown_balanced, 0);
	wi_weigh_start(h);
	atomic_init(&h->started, 0);
	h->ran = (struct wi_sight){0};
	h->setbacks = 0;
	atomic_init(&h->lagging, false);
	h->standing = (struct wi_standing){0};
}

static weir_status fill(struct wi_host *h, void *script, weir_error *error)
{
	weir_router *r = h->router;
	struct wi_pool_config config = {.driver = r->driver,
	                                .world = r->world,
	                                .dsn = &r->dsn,
	                                .endpoint = h->endpoint,
	                                .options = &r->options,
	                                .script = script,
	                                .on_trouble = wi_monitor_trouble,
	                                .trouble_arg = h,
	                                .routed = true,
	                                .ring = &r->ring};
	struct wi_target target;
	weir_status st;

	wi_host_start(h);
	st = wi_target_build(&target, &r->dsn, &r->options, h->endpoint, "weir probe", script,
	                     error);
	if (st != WEIR_OK)
		return st;
	wi_probe_init(&h->probe, r->driver, r->keeper, &target, &r->options);
	st = wi_pool_create(&config, r->keeper, &h->pool, error);
	h->probe.pool = h->pool;
	if (st == WEIR_OK && r->stamped != WEIR_REASON_NONE)
		h->pool->back_any_ns = &r->wrote_ns;
	return st;
}

weir_status wi_host_make(weir_router *r, const struct wi_host_plan *plan, struct wi_host **host,
                         weir_error *error)
{
	struct wi_host *h = wi_alloc_aligned(sizeof(*h), WI_LINE);
	weir_status st;

	*host = NULL;
	if (!h)
		return wi_fail(error, WEIR_NO_MEMORY, "no memory for a host");
	h->router = r;
	h->serial = wi_serial_next();
	h->own = plan->endpoint;
	h->endpoint = &h->own;
	h->named = plan->named;
	h->name = plan->name;
	if (plan->name)
		wi_names_copy(plan->name, h->group);
	h->terms_of[0] = plan->terms;
	atomic_init(&h->terms, &h->terms_of[0]);
	st = fill(h, plan->script, error);
	if (st != WEIR_OK) {
		wi_host_free(h, false);
		return st;
	}
	*host = h;
	return WEIR_OK;
}

void wi_host_free(struct wi_host *h, bool in_child)
{
	if (!h)
		return;
	in_child = in_child || h->inherited;
	if (in_child && h->pool)
		wi_pool_forget(h->pool);
	if (in_child)
		wi_probe_forget(&h->probe, NULL);
	wi_pool_free(h->pool);
	wi_probe_fini(&h->probe);
	wi_free(h, sizeof(*h));
}

/* ---- the set; the keeper's thread, or nobody else's yet ---- */

void wi_host_list(struct wi_host *h, uint32_t number)
{
	weir_router *r = h->router;

	h->number = number;
	r->mine[number] = h;
	/* [hosts:R1] publishes the host; pairs with A1. */
	wi_store_rel(&r->place[number], h);
}

/* ---- what is said of a host ---- */

bool wi_host_set_terms(struct wi_host *h, const struct wi_terms *terms)
{
	struct wi_terms *now = wi_load_rlx(&h->terms); /* ours to write, so no order is needed */
	struct wi_terms *next = &h->terms_of[now == &h->terms_of[0]];

	if (now->weight == terms->weight && now->drained == terms->drained &&
	    strcmp(now->zone, terms->zone) == 0)
		return false;
	wi_topology_grace(h->router);
	*next = *terms;
	/* [hosts:R2] publishes the terms; pairs with A2. */
	wi_store_rel(&h->terms, next);
	h->router->grace_owed = true;
	return true;
}

/* ---- orders; the keeper's thread ---- */

bool wi_host_is_named(const struct wi_host *h, const char *name)
{
	const struct wi_endpoint *e = h->endpoint;

	return strcmp(e->name, name) == 0 || strcmp(e->host, name) == 0 ||
	       (h->group[0] && (strcmp(h->group, name) == 0 || strcmp(e->hostaddr, name) == 0));
}

static void say_hosts(const weir_router *r, struct wi_text *t)
{
	const char *comma = "";
	struct wi_host *h;

	for (uint32_t i = 0; (h = wi_hosts_next(r, &i)); comma = ", ")
		wi_text_add(t, "%s%s", comma, h->endpoint->name);
}

static weir_status fail_naming_hosts(const weir_router *r, weir_error *error, const char *host,
                                     const char *what)
{
	struct wi_text t;

	wi_fail(error, WEIR_INVALID, "%s", "");
	wi_text_init(&t, error->text, sizeof(error->text));
	wi_text_add(&t, "\"%s\" %s: ", host, what);
	say_hosts(r, &t);
	return WEIR_INVALID;
}

/* The host that is called so: by its whole name, else by one that only it has. */
static weir_status find(const weir_router *r, const char *name, struct wi_host **found,
                        weir_error *error)
{
	uint32_t n = 0;
	struct wi_host *h;

	*found = NULL;
	for (uint32_t i = 0; (h = wi_hosts_next(r, &i));) {
		if (!wi_host_is_named(h, name))
			continue;
		n++;
		*found = h;
		if (strcmp(h->endpoint->name, name) == 0)
			return WEIR_OK;
	}
	if (n == 1)
		return WEIR_OK;
	return fail_naming_hosts(r, error, name,
	                         n ? "is more than one host of the router, say which"
	                           : "is no host of the router, which has");
}

static bool is_same_endpoint(const struct wi_endpoint *a, const struct wi_endpoint *b)
{
	return strcasecmp(a->host, b->host) == 0 && strcmp(a->hostaddr, b->hostaddr) == 0 &&
	       strcmp(a->port, b->port) == 0;
}

/* Whether it can be added: it is not there yet. */
static weir_status check_new(const weir_router *r, const struct wi_endpoint *e, weir_error *error)
{
	struct wi_host *h;

	for (uint32_t i = 0; (h = wi_hosts_next(r, &i));)
		if (is_same_endpoint(h->endpoint, e) || strcasecmp(h->group, e->name) == 0)
			return wi_fail(error, WEIR_INVALID, "%s is in the router already", e->name);
	return WEIR_OK;
}

static weir_status find_place(const weir_router *r, uint32_t *number, weir_error *error)
{
	for (*number = 0; *number < WI_HOSTS_MAX; (*number)++)
		if (!r->mine[*number])
			return WEIR_OK;
	return wi_fail(error, WEIR_INVALID,
	               "a router has at most %d hosts, those that are leaving among them",
	               WI_HOSTS_MAX);
}

/*
 * What was said to all hosts holds for this one, too. Whoever says it writes it down first and then
 * tells those who are listed; this one is listed, and reads what is written down.
 */
static void follow_suit(struct wi_host *h)
{
	weir_router *r = h->router;
	uint64_t sizes;
	uint32_t said;

	do {
		sizes = wi_load_seq(&r->sizes);
		if (sizes)
			wi_host_resize(h, sizes);
	} while (sizes != wi_load_seq(&r->sizes));
	do {
		said = wi_load_seq(&r->desk.suspended);
		wi_core_suspend(&h->pool->core, said ? WI_SUSPENDED_ELSEWHERE : 0);
	} while (said != wi_load_seq(&r->desk.suspended));
}

/* In a read section with the look at `closed`, as the head of this file says. */
static bool list_unless_closed(struct wi_host *h, uint32_t number)
{
	bool closed;

	wi_rcu_enter();
	closed = wi_load_seq(&h->router->closed);
	if (!closed)
		wi_host_list(h, number);
	wi_rcu_leave();
	return !closed;
}

weir_status wi_hosts_add(weir_router *r, const struct wi_host_plan *plan, weir_error *error)
{
	weir_status st = check_new(r, &plan->endpoint, error);
	struct wi_host *h = NULL;
	uint32_t number;

	if (st == WEIR_OK)
		st = find_place(r, &number, error);
	if (st == WEIR_OK)
		st = wi_host_make(r, plan, &h, error);
	if (st != WEIR_OK)
		return st;
	h->asking_for = h->answered_for = 0; /* who waits for probes waits for its first */
	if (!list_unless_closed(h, number)) {
		wi_keeper_drop(r->keeper, &h->pool->job);
		wi_host_free(h, false);
		return wi_fail(error, WEIR_CLOSED, "the router is closed");
	}
	if (!h->name && wi_names_is_one(r, h->endpoint))
		(void)wi_names_follow(h, NULL); /* else it stays one host */
	follow_suit(h);
	/* The monitor comes after all pools, so that it sees in the same round when one is over. */
	wi_keeper_drop(r->keeper, &r->job);
	wi_keeper_add(r->keeper, &r->job);
	wi_keeper_ring(r->keeper);
	wi_event_tell(&r->ring, &r->options, r->world->now(), WEIR_EVENT_HOST_ADDED,
	              h->endpoint->name, "weight %u, zone \"%s\"", plan->terms.weight,
	              plan->terms.zone);
	return WEIR_OK;
}

static weir_status add(weir_router *r, struct wi_order *o)
{
	struct wi_host_plan plan = {.endpoint = o->endpoint, .terms = o->terms};

	if (r->named)
		plan.named = WI_NAMED_READER;
	if (r->script_of)
		plan.script = r->script_of(r->script_arg, &o->endpoint);
	return wi_hosts_add(r, &plan, &o->error);
}

void wi_hosts_remove(struct wi_host *h, const char *why)
{
	weir_router *r = h->router;

	wi_store_rlx(&h->leaving, true); /* the topology without it is the ordering */
	h->name = NULL;
	wi_probe_stop(&h->probe);
	if (r->history_of == h)
		r->history_of = NULL;
	wi_event_tell(&r->ring, &r->options, r->world->now(), WEIR_EVENT_HOST_REMOVED,
	              h->endpoint->name, "%s; connections out: %u", why, wi_pool_out(h->pool));
}

static weir_status remove_one(struct wi_host *h, weir_error *error)
{
	if (wi_hosts_count(h->router) == 1)
		return wi_fail(error, WEIR_INVALID, "%s is the last host of the router",
		               h->endpoint->name);
	if (h->name)
		return wi_fail(error, WEIR_INVALID,
		               "%s is an address of a name: remove %s, or drain this one",
		               h->endpoint->name, h->group);
	if (h->named == WI_NAMED_WRITER)
		return wi_fail(error, WEIR_INVALID,
		               "%s is the writer endpoint that option primary names",
		               h->endpoint->name);
	wi_hosts_remove(h, "by the program");
	return WEIR_OK;
}

bool wi_hosts_change(struct wi_host *h, const struct wi_terms *terms)
{
	if (!wi_host_set_terms(h, terms))
		return false;
	wi_event_tell(&h->router->ring, &h->router->options, h->router->world->now(),
	              WEIR_EVENT_HOST_CHANGED, h->endpoint->name, "weight %u, zone \"%s\"%s",
	              terms->weight, terms->zone, terms->drained ? ", drained" : "");
	return true;
}

void wi_order_apply(const struct wi_order *o, struct wi_terms *terms)
{
	if (o->kind == WI_ORDER_SET) {
		terms->weight = o->terms.weight;
		memcpy(terms->zone, o->terms.zone, sizeof(terms->zone));
	} else {
		terms->drained = o->kind == WI_ORDER_DRAIN;
	}
}

weir_status wi_hosts_do(weir_router *r, struct wi_order *o)
{
	struct wi_terms terms;
	struct wi_host *h;
	weir_status st;

	if (o->kind == WI_ORDER_ADD)
		return add(r, o);
	if (wi_names_do(r, o))
		return o->status;
	st = find(r, o->host, &h, &o->error);
	if (st != WEIR_OK)
		return st;
	if (o->kind == WI_ORDER_REMOVE)
		return remove_one(h, &o->error);
	terms = *wi_host_terms(h);
	wi_order_apply(o, &terms);
	wi_hosts_change(h, &terms);
	return WEIR_OK;
}
