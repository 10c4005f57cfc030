/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The words about a failed checkout: what the pool looked like, and what its last connect came to.
 */
#include <string.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "base/line.h"
#include "base/text.h"
#include "pool/pool.h"

/* What those that are being opened wait for: " (2 connecting, 1 setting up)". */
static void add_phases(struct weir_pool *pool, struct wi_text *t)
{
	const struct {
		uint32_t n;
		const char *doing;
	} phases[] = {
		{wi_load_rlx(&pool->shown[WI_RESOLVING]), "looking up the host name"},
		{wi_load_rlx(&pool->shown[WI_CONNECTING]), "connecting"},
		{wi_load_rlx(&pool->shown_fresh), "setting up"},
	};
	const char *before = " (";

	for (size_t i = 0; i < WI_ARRAY_LEN(phases); i++) {
		if (!phases[i].n)
			continue;
		wi_text_add(t, "%s%u %s", before, phases[i].n, phases[i].doing);
		before = ", ";
	}
	if (before[0] == ',')
		wi_text_add(t, ")");
}

static void describe(struct weir_pool *pool, struct wi_text *t)
{
	weir_pool_stats s;
	struct wi_last_error e;

	wi_pool_read_sizes(pool, &s);
	wi_text_add(t, "%u of at most %u connections open, %u busy, %u idle, %u opening", s.total,
	            s.max, s.busy, s.idle, s.opening);
	add_phases(pool, t);
	wi_text_add(t, ", %u callers waiting", s.waiting);
	if (wi_load_rlx(&pool->connect_failures) &&
	    wi_posted_read(&pool->last_error, &e, sizeof(e)))
		wi_text_add(t, "; last connect error: %s", e.text);
}

weir_status wi_say_timeout(struct weir_pool *pool, int64_t waited_ns, weir_error *error)
{
	struct wi_text t;

	wi_fail(error, WEIR_TIMEOUT, "%s", "");
	if (!error)
		return WEIR_TIMEOUT;
	wi_copy(error->host, sizeof(error->host), pool->endpoint->name);
	wi_text_init(&t, error->text, sizeof(error->text));
	wi_text_add(&t, "no connection to %s within %.1f ms: ", pool->endpoint->name,
	            (double)waited_ns / (double)WI_MS);
	describe(pool, &t);
	wi_held_say_own(pool, &t);
	return WEIR_TIMEOUT;
}

weir_status wi_say_exhausted(struct weir_pool *pool, weir_error *error)
{
	struct wi_text t;

	wi_fail(error, WEIR_EXHAUSTED, "%s", "");
	if (!error)
		return WEIR_EXHAUSTED;
	wi_copy(error->host, sizeof(error->host), pool->endpoint->name);
	wi_text_init(&t, error->text, sizeof(error->text));
	wi_text_add(&t, "no idle connection to %s: ", pool->endpoint->name);
	describe(pool, &t);
	return WEIR_EXHAUSTED;
}

weir_status wi_say_breaker(struct weir_pool *pool, weir_error *error)
{
	struct wi_last_error e = {.fault = WI_FAULT_NONE, .text = "connects are paused"};
	weir_status st;

	(void)wi_posted_read(&pool->last_error, &e, sizeof(e));
	st = e.fault == WI_FAULT_AUTH ? WEIR_AUTH : WEIR_CONNECT;
	wi_fail(error, st, "%s: %s", pool->endpoint->name, e.text);
	if (error) {
		wi_copy(error->host, sizeof(error->host), pool->endpoint->name);
		memcpy(error->sqlstate, e.sqlstate, sizeof(error->sqlstate));
	}
	return st;
}
