/* SPDX-License-Identifier: BSD-2-Clause */
/* See retry.h. */
#include "exec/retry.h"

#include <string.h>

#include "base/clock.h"
#include "base/world.h"
#include "exec/outcome.h"
#include "pool/pool.h"
#include "route/router.h"

/* How often whoever pauses looks whether that is still worth it. */
#define LOOK_NS (25 * WI_MS)

const char *weir_again_text(weir_again why)
{
	static const char *const texts[] = {
#define TEXT(name, text) text,
		WEIR_AGAIN_MAP(TEXT)
#undef TEXT
	};

	return (unsigned)why < WEIR_AGAINS ? texts[why] : "unknown";
}

weir_again wi_retry_of(const char *sqlstate)
{
	if (strcmp(sqlstate, "40001") == 0)
		return WEIR_AGAIN_SERIALIZATION;
	return strcmp(sqlstate, "40P01") == 0 ? WEIR_AGAIN_DEADLOCK : WEIR_AGAIN_ASKED;
}

/*
 * A router learns from the refusal who takes writes now, and leads elsewhere. A pool has one host:
 * there the same would happen again. Nor does a router help who asked to be read-only.
 */
static bool is_demoted(const struct weir_conn *c)
{
	enum wi_refusal refusal = c->pool->driver->refused(c->link);

	return wi_host_of(c->pool) &&
	       (refusal == WI_REFUSAL_STANDBY || refusal == WI_REFUSAL_UNKNOWN);
}

static weir_again of_error(const struct weir_conn *c, const char *sqlstate, bool writes)
{
	struct wi_facts facts;

	if (c->pool->driver->look(c->link) == WI_LOOK_DEAD)
		return WEIR_AGAIN_LOST;
	c->pool->driver->facts(c->link, &facts);
	if (wi_asks_for_retry(c, sqlstate))
		return wi_retry_of(sqlstate);
	if (wi_asks_for_retry(c, facts.failed_by))
		return wi_retry_of(facts.failed_by);
	return writes && is_demoted(c) ? WEIR_AGAIN_DEMOTED : WEIR_AGAIN_NEVER;
}

weir_again wi_retry_why(const struct weir_conn *c, weir_status st, const char *sqlstate,
                        bool writes)
{
	weir_again why;

	switch (st) {
	case WEIR_CONNECT:
		return WEIR_AGAIN_LOST;
	case WEIR_QUERY:
		return of_error(c, sqlstate, writes);
	case WEIR_RETRY:
		why = of_error(c, sqlstate, writes);
		return why ? why : WEIR_AGAIN_ASKED;
	case WEIR_OK:
	case WEIR_INVALID:
	case WEIR_NO_MEMORY:
	case WEIR_TIMEOUT:
	case WEIR_EXHAUSTED:
	case WEIR_SHED:
	case WEIR_UNAVAILABLE:
	case WEIR_AUTH:
	case WEIR_OUTCOME_UNKNOWN:
	case WEIR_CLOSED:
	case WEIR_FORKED:
	case WEIR_STALE:
	case WEIR_SYSTEM:
		break;
	}
	return WEIR_AGAIN_NEVER;
}

void wi_pauses_init(struct wi_pauses *p, int64_t first_ns, int64_t most_ns, uint64_t seed)
{
	p->next_ns = first_ns < most_ns ? first_ns : most_ns;
	p->most_ns = most_ns;
	wi_rng_seed(&p->rng, seed);
}

int64_t wi_pauses_next(struct wi_pauses *p)
{
	int64_t most_us = p->next_ns / 1000;

	p->next_ns = p->next_ns < p->most_ns / 2 ? p->next_ns * 2 : p->most_ns;
	if (most_us >= UINT32_MAX)
		most_us = UINT32_MAX - 1;
	/* At least something: who is tried again at once meets the same others again. */
	return (1 + (int64_t)wi_rng_below(&p->rng, (uint32_t)most_us + 1)) * 1000;
}

void wi_pause(const struct wi_world *world, int64_t ns, bool (*is_over)(void *arg), void *arg)
{
	_Atomic uint32_t nobody_wakes = 0;
	int64_t now = world->now(), until_ns = now + ns;

	while (now < until_ns && !(is_over && is_over(arg))) {
		int64_t left_ns = until_ns - now;

		world->park(&nobody_wakes, 0, now + (left_ns < LOOK_NS ? left_ns : LOOK_NS));
		now = world->now();
	}
}
