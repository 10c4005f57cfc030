/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The policies, and the loads that two of them weigh.
 *
 * Counting what is out at a host where it changes costs each read two locked instructions on a word
 * that all threads share, several times the rest of a checkout. `least` does that, as it has to
 * know exactly. For p2c the keeper counts, out of the seats' own counters, every few milliseconds
 * while anything moves. Loads that are old by so much make a plain comparison send everybody to one
 * host until the next counting (Mitzenmacher, "How useful is old information?", 2000); so of its
 * two hosts p2c draws one by lot, with the load of the other as the weight. A host that has become
 * slow is seen by then, and one that has nothing idle is passed by at once anyway.
 */
#include "route/balance.h"

#include "base/atomic.h"
#include "base/clock.h"
#include "base/line.h"
#include "base/rng.h"
#include "route/router.h"

/* Between two countings, while connections come and go. */
#define COUNT_NS (10 * WI_MS)

/* So that one more or less among few is no reason. */
#define FEW 4

static uint32_t load_of(const struct wi_host *host)
{
	return wi_load_rlx(&host->out) + wi_load_rlx(&host->load) + FEW;
}

/*
 * Two different ones at random, by the halves of one number, and by a third part of it one of them,
 * the less loaded the likelier ("The power of two choices", Mitzenmacher 2001, and see above).
 */
static uint32_t p2c(struct wi_host *const *hosts, uint32_t n, struct wi_seat *seat)
{
	uint64_t random = wi_rng_next(&seat->rng);
	uint32_t a = wi_rng_scale((uint32_t)random, n);
	uint32_t b = wi_rng_scale((uint32_t)(random >> 32), n - 1);
	uint32_t load_a = load_of(hosts[a]), load_b;

	if (b >= a)
		b++;
	load_b = load_of(hosts[b]);
	return wi_rng_scale((uint32_t)(random >> 16), load_a + load_b) < load_a ? b : a;
}

/*
 * Each thread has its own turn, from a random start: in the sum as even as one counter, and nothing
 * is shared.
 */
static uint32_t round_robin(struct wi_host *const *hosts, uint32_t n, struct wi_seat *seat)
{
	(void)hosts;
	if (!seat->turn)
		seat->turn = wi_rng_next(&seat->rng) | 1;
	return (uint32_t)(seat->turn++ % n);
}

static uint32_t at_random(struct wi_host *const *hosts, uint32_t n, struct wi_seat *seat)
{
	(void)hosts;
	return wi_rng_below(&seat->rng, n);
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

		if (wi_load_rlx(&hosts[at]->load) < wi_load_rlx(&hosts[best]->load))
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
	[WEIR_BALANCE_FIRST] = first,
};

uint32_t wi_balance_pick(weir_balance how, struct wi_host *const *hosts, uint32_t n,
                         struct wi_seat *seat)
{
	return n == 1 ? 0 : policies[how](hosts, n, seat);
}

void wi_balance_wake(weir_router *r)
{
	wi_store_rlx(&r->dozing, 0);
	wi_keeper_ring(r->keeper);
}

int64_t wi_balance_count(weir_router *r, int64_t now_ns)
{
	bool moved = false;
	struct wi_host *h;

	if (!r->weighs || wi_hosts_count(r) < 2)
		return WI_FOREVER;
	if (now_ns < r->count_ns)
		return r->count_ns;
	for (uint32_t i = 0; (h = wi_hosts_next(r, &i));) {
		uint64_t lent, returned;

		wi_core_sums(&h->pool->core, &lent, &returned);
		moved = moved || lent + returned != h->moves;
		h->moves = lent + returned;
		wi_store_rlx(&h->out, wi_pool_out(h->pool));
	}
	r->count_ns = now_ns + COUNT_NS;
	if (moved)
		return r->count_ns;
	wi_store_rlx(&r->dozing, 1);
	return WI_FOREVER;
}
