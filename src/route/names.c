/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Idea. A name of several addresses is looked up again and again, off the keeper's thread: at an
 * interval, and soon where one of its hosts is in trouble. A new address becomes a host at once.
 * One that a fresh answer does not have any more is drained, and removed when the next fresh answer
 * does not have it either: some resolvers tell a part of a name's addresses at a time. A lookup
 * that fails says nothing about anybody.
 *
 * States of a name: STANDING IN (its addresses are unknown: one host stands for them, and keeps
 * nothing open) --first answer--> KNOWN --removed--> freed. While nobody can be looked up the
 * stand-in's own probe says why.
 */
#include "route/names.h"

#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/text.h"
#include "pool/resolve.h"
#include "stat/event.h"

#define SOON_NS WI_SEC /* between lookups where there is a reason to hurry */

struct wi_name {
	struct wi_endpoint endpoint; /* without an address */
	enum wi_named named;
	struct wi_terms terms; /* for those that come */
	void *asking;          /* or NULL */
	int64_t asked_ns;      /* when it was last begun to be looked up; 0: never */
	bool missing;          /* an address that was there was not in the last answer */
	struct wi_name *next;
};

bool wi_names_is_one(const weir_router *r, const struct wi_endpoint *e)
{
	return r->options.several_addresses && !e->hostaddr[0] && !wi_host_is_literal(e->host);
}

weir_status wi_names_follow(struct wi_host *h, weir_error *error)
{
	struct wi_name *n = wi_alloc(sizeof(*n));

	if (!n)
		return wi_fail(error, WEIR_NO_MEMORY, "no memory for a name");
	n->endpoint = h->own;
	n->named = h->named;
	n->terms = *wi_host_terms(h);
	n->next = h->router->names;
	h->router->names = n;
	h->name = n;
	h->stands_in = true;
	return WEIR_OK;
}

void wi_names_copy(const struct wi_name *n, char *to)
{
	wi_copy(to, WEIR_ERROR_HOST, n->endpoint.name);
}

/* The next host of that name; *i as for wi_hosts_next. */
static struct wi_host *next_of(const weir_router *r, const struct wi_name *n, uint32_t *i)
{
	struct wi_host *h;

	while ((h = wi_hosts_next(r, i)) && h->name != n)
		;
	return h;
}

/* ---- an answer ---- */

static bool is_there(const weir_router *r, const struct wi_name *n, const char *address)
{
	struct wi_host *h;

	for (uint32_t i = 0; (h = next_of(r, n, &i));)
		if (strcmp(h->own.hostaddr, address) == 0)
			return true;
	return false;
}

/* "name:port (address)". */
static void make_endpoint(const struct wi_name *n, const char *address, struct wi_endpoint *e)
{
	struct wi_text t;

	*e = n->endpoint;
	wi_copy(e->hostaddr, sizeof(e->hostaddr), address);
	e->looked_up = true;
	wi_text_init(&t, e->name, sizeof(e->name));
	wi_text_add(&t, "%.180s (%s)", n->endpoint.name, address);
}

static bool add_one(weir_router *r, struct wi_name *n, const char *address)
{
	struct wi_host_plan plan = {.named = n->named, .terms = n->terms, .name = n};
	weir_error error;

	make_endpoint(n, address, &plan.endpoint);
	if (r->script_of)
		plan.script = r->script_of(r->script_arg, &plan.endpoint);
	if (wi_hosts_add(r, &plan, &error) == WEIR_OK)
		return true;
	wi_event_tell(&r->ring, &r->options, r->world->now(), WEIR_EVENT_HOST_REFUSED,
	              plan.endpoint.name, "%s", error.text);
	return false;
}

/* In the order of the words, not of the answer, which is one of chance. */
static bool add_new(weir_router *r, struct wi_name *n, const struct wi_addresses *found)
{
	bool added = false;

	for (const char *last = "", *next;; last = next) {
		next = NULL;
		for (uint32_t i = 0; i < found->n; i++)
			if (strcmp(found->address[i], last) > 0 &&
			    (!next || strcmp(found->address[i], next) < 0))
				next = found->address[i];
		if (!next)
			return added;
		if (!is_there(r, n, next))
			added |= add_one(r, n, next);
	}
}

static bool set_missing(struct wi_host *h, bool missing)
{
	struct wi_terms terms = *wi_host_terms(h);

	if (h->missing == missing)
		return false;
	h->missing = missing;
	terms.drained = missing || h->name->terms.drained;
	return wi_hosts_change(h, &terms);
}

/* One of its hosts is not among the addresses: drained now, removed the second time. */
static bool miss(struct wi_host *h)
{
	if (!h->missing)
		return set_missing(h, true);
	wi_hosts_remove(h, "its name does not lead to it any more");
	return true;
}

static bool look_for_missing(weir_router *r, struct wi_name *n, const struct wi_addresses *found)
{
	bool changed = false;
	struct wi_host *h;

	n->missing = false;
	for (uint32_t i = 0; (h = next_of(r, n, &i));) {
		if (wi_addresses_have(found, h->own.hostaddr)) {
			changed |= set_missing(h, false);
			continue;
		}
		/* Of more than these nobody knows which were left out. */
		if (found->n == WI_ADDRESSES)
			continue;
		changed |= miss(h);
		n->missing = true;
	}
	return changed;
}

/* The addresses are there: who stood in for them goes. */
static void relieve(weir_router *r, struct wi_name *n)
{
	struct wi_host *h;

	for (uint32_t i = 0; (h = next_of(r, n, &i));)
		if (h->stands_in)
			wi_hosts_remove(h, "its addresses are known");
}

static bool take_answer(weir_router *r, struct wi_name *n, const struct wi_addresses *found)
{
	bool added = add_new(r, n, found), stood_in = false;
	struct wi_host *h;

	for (uint32_t i = 0; (h = next_of(r, n, &i));)
		stood_in |= h->stands_in;
	if (!stood_in)
		return look_for_missing(r, n, found) || added;
	if (added)
		relieve(r, n);
	return added;
}

/* ---- asking ---- */

static bool is_in_trouble(const weir_router *r, const struct wi_name *n)
{
	struct wi_host *h;

	for (uint32_t i = 0; (h = next_of(r, n, &i));)
		if (h->failures || h->trouble || h->stands_in)
			return true;
	return n->missing;
}

static int64_t due_of(const weir_router *r, const struct wi_name *n)
{
	int64_t pause_ns = r->options.lookup_interval_ms * WI_MS;

	if (!n->asked_ns)
		return 0;
	if (pause_ns > SOON_NS && is_in_trouble(r, n))
		pause_ns = SOON_NS;
	return wi_deadline_after(n->asked_ns, pause_ns / WI_MS);
}

/* Whether the set has changed. */
static bool tend(weir_router *r, struct wi_name *n, int64_t now_ns)
{
	struct wi_failure failure;
	struct wi_addresses found;
	int known;

	if (!n->asking && now_ns >= due_of(r, n)) {
		n->asked_ns = now_ns;
		n->asking = wi_resolve_start(n->endpoint.host, r->keeper);
	}
	known = n->asking ? wi_resolve_poll(n->asking, &found, &failure) : 0;
	if (known == 0)
		return false;
	n->asking = NULL;
	return known > 0 && take_answer(r, n, &found);
}

void wi_names_turn(weir_router *r, int64_t now_ns, int64_t *due_ns)
{
	bool changed = false;

	for (struct wi_name *n = r->names; n; n = n->next)
		changed |= tend(r, n, now_ns);
	if (changed) {
		wi_conclude(r, now_ns);
		wi_hosts_see_off(r);
	}
	for (struct wi_name *n = r->names; n; n = n->next)
		if (!n->asking && due_of(r, n) < *due_ns)
			*due_ns = due_of(r, n);
}

/* ---- orders ---- */

static struct wi_name *find(const weir_router *r, const char *word)
{
	struct wi_name *n = r->names;

	while (n && strcmp(n->endpoint.name, word) != 0)
		n = n->next;
	if (n)
		return n;
	for (n = r->names; n; n = n->next)
		if (strcmp(n->endpoint.host, word) == 0)
			return n;
	return NULL;
}

static void drop(weir_router *r, struct wi_name *n)
{
	struct wi_name **at = &r->names;

	while (*at != n)
		at = &(*at)->next;
	*at = n->next;
	wi_resolve_drop(n->asking);
	wi_free(n, sizeof(*n));
}

static weir_status remove_all(weir_router *r, struct wi_name *n, weir_error *error)
{
	uint32_t others = wi_hosts_count(r);
	struct wi_host *h;

	for (uint32_t i = 0; next_of(r, n, &i);)
		others--;
	if (!others)
		return wi_fail(error, WEIR_INVALID, "%s is the last host of the router",
		               n->endpoint.name);
	if (n->named == WI_NAMED_WRITER)
		return wi_fail(error, WEIR_INVALID,
		               "%s is the writer endpoint that option primary names",
		               n->endpoint.name);
	for (uint32_t i = 0; (h = next_of(r, n, &i));)
		wi_hosts_remove(h, "by the program");
	drop(r, n);
	return WEIR_OK;
}

bool wi_names_do(weir_router *r, struct wi_order *o)
{
	struct wi_name *n = find(r, o->host);
	struct wi_host *h;

	if (!n || o->kind == WI_ORDER_ADD)
		return false;
	if (o->kind == WI_ORDER_REMOVE) {
		o->status = remove_all(r, n, &o->error);
		return true;
	}
	wi_order_apply(o, &n->terms);
	for (uint32_t i = 0; (h = next_of(r, n, &i));) {
		struct wi_terms terms = n->terms;

		terms.drained = terms.drained || h->missing;
		wi_hosts_change(h, &terms);
	}
	o->status = WEIR_OK;
	return true;
}

/* ---- the end ---- */

void wi_names_stop(weir_router *r)
{
	for (struct wi_name *n = r->names; n; n = n->next) {
		wi_resolve_drop(n->asking);
		n->asking = NULL;
	}
}

void wi_names_forget(weir_router *r)
{
	for (struct wi_name *n = r->names; n; n = n->next) {
		n->asking = NULL;
		n->asked_ns = 0;
	}
}

void wi_names_free(weir_router *r)
{
	while (r->names)
		drop(r, r->names);
}
