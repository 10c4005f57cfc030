/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A host that fails again and again: how long it must be good before it serves. The keeper's
 * thread.
 *
 * Going is never delayed: a failed probe revokes the role, whatever the role. Coming back is, from
 * the second fall on: hold_down_ms of answers without a break, twice as long after each fall more,
 * until it has been good for sixty times hold_down_ms. So a host that flaps faster than that stays
 * away, and one that flaps slower changes its state ever less often; the first fall is free, as one
 * restart is no flapping.
 *
 * The long ones are for reads that others serve meanwhile. Whom nobody replaces, a primary or the
 * last that can read, waits hold_down_ms and no longer: more would be an outage of weir's making.
 *
 * A host that is held has a voice, but no role: what it says counts against others (roles.h).
 */
#include "base/atomic.h"
#include "base/clock.h"
#include "route/router.h"

#define FORGIVE 60  /* times hold_down_ms */
#define DOUBLINGS 5 /* at most */
#define LONGEST_MS 60000

static int64_t base_ms(const struct wi_host *h)
{
	return h->falls > 1 ? h->router->options.hold_down_ms : 0;
}

static int64_t long_ms(const struct wi_host *h)
{
	int64_t base = base_ms(h);
	uint32_t doublings = h->falls > DOUBLINGS + 2 ? DOUBLINGS : h->falls - 2;
	int64_t ms;

	if (!base)
		return 0;
	ms = base << doublings;
	return ms < LONGEST_MS || ms == base ? ms : base > LONGEST_MS ? base : LONGEST_MS;
}

void wi_hold_good(struct wi_host *h, int64_t now_ns)
{
	if (!h->good_ns)
		h->good_ns = now_ns;
}

void wi_hold_fell(struct wi_host *h, int64_t now_ns)
{
	if (!h->good_ns)
		return;
	if (now_ns - h->good_ns >= FORGIVE * h->router->options.hold_down_ms * WI_MS)
		h->falls = 0;
	if (h->opinion.role != WEIR_ROLE_UNKNOWN)
		h->falls++;
	h->good_ns = 0;
}

static int64_t until_ns(const struct wi_host *h, int64_t ms)
{
	return h->good_ns + ms * WI_MS;
}

static bool can_read(const struct wi_host *h)
{
	return h->opinion.role != WEIR_ROLE_UNKNOWN;
}

/* Whether anybody serves reads while those that have failed often wait for long. */
static bool are_others_there(const weir_router *r, int64_t now_ns)
{
	const struct wi_host *h;

	for (uint32_t i = 0; (h = wi_hosts_next(r, &i));) {
		bool is_primary = h->opinion.role == WEIR_ROLE_PRIMARY;

		if (can_read(h) && until_ns(h, is_primary ? base_ms(h) : long_ms(h)) <= now_ns)
			return true;
	}
	return false;
}

void wi_hold_down(weir_router *r, struct wi_judgement *j, int64_t now_ns)
{
	bool others = are_others_there(r, now_ns);
	struct wi_host *h;

	for (uint32_t i = 0; (h = wi_hosts_next(r, &i));) {
		bool is_short = !others || h->opinion.role == WEIR_ROLE_PRIMARY;
		int64_t until = until_ns(h, is_short ? base_ms(h) : long_ms(h));

		wi_store_rlx(&h->held_until_ns, 0);
		if (!can_read(h) || until <= now_ns)
			continue;
		wi_store_rlx(&h->held_until_ns, until);
		h->opinion = (struct wi_opinion){WEIR_ROLE_UNKNOWN, WI_OBJECTION_HELD, h->number};
		if (j->primary == (int)h->number)
			j->primary = -1;
	}
}
