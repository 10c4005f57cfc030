/* SPDX-License-Identifier: BSD-2-Clause */
#include "support/core_store.h"

#include <string.h>

#include "base/clock.h"
#include "core/desk.h"

struct wi_core test_core;

static struct wi_slot slots[TEST_CORE_SLOTS_MAX + 1];
/* Plain: each holder adds one, and two at once would lose some. */
static uint64_t uses[TEST_CORE_SLOTS_MAX + 1];

static bool take(struct test_op *op, int64_t timeout_ns)
{
	struct wi_seat *seat = wi_desk_seat(&test_core);
	uint32_t slot;

	if (timeout_ns)
		op->deadline_ns = wi_now_ns() + timeout_ns;
	slot = wi_core_take(&test_core, seat);
	if (!slot && timeout_ns) {
		struct wi_outcome o;

		op->waited = true;
		o = wi_core_wait(&test_core, seat, op->deadline_ns);
		if (o.verdict == WI_REFUSED)
			return false;
		slot = o.verdict == WI_GRANTED ? o.value : WI_SLOT_NONE;
	}
	op->value = slot;
	if (slot)
		uses[slot]++;
	return true;
}

static void put(struct test_op *op)
{
	/* By way of no thread's cache at times, as threads without a seat do. */
	if (op->invoked_ns % 8)
		wi_core_put(&test_core, wi_desk_seat(&test_core), op->value);
	else
		wi_core_give(&test_core, op->value);
}

static struct wi_seat *seat(void)
{
	return wi_desk_seat(&test_core);
}

static bool at_random(void *rng, uint32_t slot)
{
	(void)slot;
	return wi_rng_below(rng, 3) == 0;
}

static void give_back(void *rng, uint32_t slot)
{
	(void)rng;
	wi_core_give(&test_core, slot);
}

static void sweep(struct wi_rng *rng)
{
	wi_core_sweep(&test_core, at_random, give_back, rng);
}

const struct test_store test_core_store = {take, put, seat, sweep};

bool test_core_open(uint32_t n)
{
	struct wi_table table = {(char *)slots, sizeof(struct wi_slot), n};

	memset(&test_core, 0, sizeof(test_core));
	memset(slots, 0, sizeof(slots));
	memset(uses, 0, sizeof(uses));
	if (n > TEST_CORE_SLOTS_MAX || !wi_core_init(&test_core, table, test_watched_world()))
		return false;
	for (uint32_t s = 1; s <= n; s++)
		wi_core_give(&test_core, s);
	return true;
}

const char *test_core_audit(uint32_t n, uint64_t takes)
{
	bool seen[TEST_CORE_SLOTS_MAX + 1] = {false};
	uint64_t used = 0;

	for (uint32_t v = 1; v <= n; v++)
		used += uses[v];
	if (used != takes)
		return "uses were lost: two were at one slot";
	if (wi_core_waiting(&test_core))
		return "somebody is said to wait";
	for (uint32_t i = 0; i < n; i++) {
		uint32_t slot = wi_core_take(&test_core, wi_desk_seat(&test_core));

		if (!slot)
			return "a slot is lost";
		if (slot > n || seen[slot])
			return "a slot is there twice";
		seen[slot] = true;
	}
	return wi_core_take(&test_core, wi_desk_seat(&test_core)) ? "there is one too many" : NULL;
}

void test_core_close(void)
{
	wi_core_fini(&test_core);
}

const char *test_history_audit(struct test_history *h)
{
	int64_t slack_ns = test_slack_ns();
	bool ok = test_holds_never_overlap(h) && test_nobody_fails_beside_a_free_one(h) &&
	          test_nobody_sleeps_beside_a_free_one(h, WI_PATIENCE_MOST_NS + slack_ns) &&
	          test_sleepers_are_served_in_order(h, WI_PATIENCE_MOST_NS) &&
	          test_deadlines_are_kept(h, slack_ns) && test_a_put_wakes_at_most_one(h);

	return ok ? NULL : h->wrong;
}
