/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The policies. What they weigh is published by the keeper (weigh.c): a host's `share`, by its
 * weight and how far its slow start has come, and its `pull`, the same by what a read costs there.
 *
 * Counting what is out at a host where it changes costs each read two locked instructions on a word
 * that all threads share, several times the rest of a checkout. `least` does that, as it has to
 * know exactly. For p2c the keeper counts, out of the seats' own counters, every few milliseconds
 * while anything moves. Numbers that are old by so much make a plain comparison send everybody to
 * one host until the next counting (Mitzenmacher, "How useful is old information?", 2000); so of
 * its two hosts p2c draws one by lot. A host that has become slow is seen by then, and one that has
 * nothing idle is passed by at once anyway.
 */
#include "route/balance.h"

#include "base/atomic.h"
#include "base/clock.h"
#include "base/line.h"
#include "base/rng.h"
#include "route/router.h"

/* By lot among all: where weights differ. */
static WI_NOINLINE uint32_t by_pull(struct wi_host *const *hosts, uint32_t n, uint32_t random)
{
	uint32_t sum = 0, point;

	for (uint32_t i = 0; i < n; i++)
		sum += wi_load_rlx(&hosts[i]->pull) & ~WI_PULL_UNEVEN;
	point = wi_rng_scale(random, sum);
	for (uint32_t i = 0; i + 1 < n; i++) {
		uint32_t pull = wi_load_rlx(&hosts[i]->pull) & ~WI_PULL_UNEVEN;

		if (point < pull)
			return i;
		point -= pull;
	}
	return n - 1;
}

/*
 * Two different ones at random, by the halves of one number, and by a third part of it one of them,
 * the cheaper the likelier ("The power of two choices", Mitzenmacher 2001, and see above).
 */
static uint32_t p2c(struct wi_host *const *hosts, uint32_t n, struct wi_seat *seat)
{
	uint64_t random = wi_rng_next(&seat->rng);
	uint32_t a = wi_rng_scale((uint32_t)random, n);
	uint32_t b = wi_rng_scale((uint32_t)(random >> 32), n - 1);
	uint32_t pull_a = wi_load_rlx(&hosts[a]->pull), pull_b;

	if (b >= a)
		b++;
	if (wi_unlikely(pull_a & WI_PULL_UNEVEN))
		return by_pull(hosts, n, (uint32_t)(random >> 16));
	pull_b = wi_load_rlx(&hosts[b]->pull);
	pull_b &= ~WI_PULL_UNEVEN; /* set just now */
	return wi_rng_scale((uint32_t)(random >> 16), pull_a + pull_b) < pull_a ? a : b;
}

static uint32_t share_of(const struct wi_host *host)
{
	return wi_load_rlx(&host->share);
}

/* The sum of all shares; *alike: all are the same. */
static uint32_t sum_of(struct wi_host *const *hosts, uint32_t n, bool *alike)
{
	uint32_t sum = 0, one = share_of(hosts[0]);

	*alike = true;
	for (uint32_t i = 0; i < n; i++) {
		uint32_t share = share_of(hosts[i]);

		sum += share;
		*alike = *alike && share == one;
	}
	return sum;
}

/* Whose the point is, if all shares are laid end to end. */
static uint32_t at_point(struct wi_host *const *hosts, uint32_t n, uint32_t point)
{
	for (uint32_t i = 0; i + 1 < n; i++) {
		uint32_t share = share_of(hosts[i]);

		if (point < share)
			return i;
		point -= share;
	}
	return n - 1;
}

/*
 * Steps of the golden section around the shares: each of them is met as often as it is wide, and as
 * evenly as can be (H. Weyl, 1916; the golden section is the worst to hit near a place again).
 */
static uint32_t by_weight(struct wi_host *const *hosts, uint32_t n, struct wi_seat *seat,
                          uint32_t sum)
{
	if (!seat->turn)
		seat->turn = wi_rng_next(&seat->rng) | 1;
	seat->turn += UINT64_C(0x9e3779b97f4a7c15);
	return at_point(hosts, n, wi_rng_scale((uint32_t)(seat->turn >> 32), sum));
}

static uint32_t weighted(struct wi_host *const *hosts, uint32_t n, struct wi_seat *seat)
{
	bool alike;

	return by_weight(hosts, n, seat, sum_of(hosts, n, &alike));
}

/*
 * Each thread has its own turn, from a random start: in the sum as even as one counter, and nothing
 * is shared.
 */
static uint32_t round_robin(struct wi_host *const *hosts, uint32_t n, struct wi_seat *seat)
{
	bool alike;
	uint32_t sum = sum_of(hosts, n, &alike);

	if (!alike)
		return by_weight(hosts, n, seat, sum);
	if (!seat->turn)
		seat->turn = wi_rng_next(&seat->rng) | 1;
	return (uint32_t)(seat->turn++ % n);
}

static uint32_t at_random(struct wi_host *const *hosts, uint32_t n, struct wi_seat *seat)
{
	bool alike;
	uint32_t sum = sum_of(hosts, n, &alike);

	return alike ? wi_rng_below(&seat->rng, n)
	             : at_point(hosts, n, wi_rng_below(&seat->rng, sum));
}

/* By what is out there for each part of its share; what would be, with one more. */
static bool is_less_loaded(const struct wi_host *a, const struct wi_host *b)
{
	uint64_t load_a = wi_load_rlx(&a->load) + UINT64_C(1);
	uint64_t load_b = wi_load_rlx(&b->load) + UINT64_C(1);

	return load_a * share_of(b) < load_b * share_of(a);
}

/*
 * The least loaded of all; from a random start, so that an idle cluster is not served by its first
 * host alone.
 */
static uint32_t least(struct wi_host *const *hosts, uint32_t n, struct wi_seat *seat)
{
	uint32_t start = wi_rng_below(&seat->rng, n), best = start;

	for (uint32_t i = 1; i < n; i++) {
		uint32_t at = (start + i) % n;

		if (is_less_loaded(hosts[at], hosts[best]))
			best = at;
	}
	return best;
}

static uint32_t first(struct wi_host *const *hosts, uint32_t n, struct wi_seat *seat)
{
	(void)hosts;
	(void)n;
	(void)seat;
	return 0;
}

/* In the order of weir_balance. */
static uint32_t (*const policies[])(struct wi_host *const *hosts, uint32_t n,
                                    struct wi_seat *seat) = {
	[WEIR_BALANCE_P2C] = p2c,          [WEIR_BALANCE_ROUND_ROBIN] = round_robin,
	[WEIR_BALANCE_RANDOM] = at_random, [WEIR_BALANCE_LEAST] = least,
	[WEIR_BALANCE_FIRST] = first,      [WEIR_BALANCE_WEIGHTED] = weighted,
};

uint32_t wi_balance_pick(weir_balance how, struct wi_host *const *hosts, uint32_t n,
                         struct wi_seat *seat)
{
	return n == 1 ? 0 : policies[how](hosts, n, seat);
}
