/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The free list, with its tag narrowed to WI_TAG_BITS so that it wraps: every history of pops and
 * pushes is one of a stack (M. Herlihy, J. Wing, "Linearizability", 1990), and what was written to
 * a slot before its push is seen after its pop. Only a pop that sleeps through as many moves as
 * there are tags can be fooled, and is: the last scenario shows that it is the tag that keeps the
 * others right.
 */
#include "core/freelist.h"

#include <string.h>

#include "base/atomic.h"
#include "core/slot.h"
#include "sched/sched.h"

#define SLOTS 3
#define TAGS (1u << WI_TAG_BITS)
#define CALLS_MAX 24

static struct place {
	struct wi_slot slot;
	uint64_t data;
} place[SLOTS + 1];
static const struct wi_table table = {(char *)place, sizeof(struct place), SLOTS};
static struct wi_freelist list;
static int holder[SLOTS + 1]; /* i + 1: thread i */

/* What was called, and in which order calls began and returned. */
static struct call {
	bool pushes, done;
	uint32_t slot; /* what was pushed, or popped; 0: the list was empty */
	int began, returned;
} call[CALLS_MAX];
static int calls, ticks;

static uint32_t pop(void)
{
	struct call *c = &call[calls++];
	uint32_t slot;

	c->began = ticks++;
	slot = wi_freelist_pop(&list, &table);
	c->returned = ticks++;
	c->slot = slot;
	if (!slot)
		return 0;
	sched_check(slot <= SLOTS);
	if (holder[slot])
		sched_fail("slot %u was popped twice", slot);
	holder[slot] = sched_self() + 1;
	sched_use(&place[slot].data, "a slot");
	return slot;
}

static void push(uint32_t slot)
{
	struct call *c = &call[calls++];

	sched_check(holder[slot] == sched_self() + 1);
	sched_use(&place[slot].data, "a slot");
	holder[slot] = 0;
	c->pushes = true;
	c->slot = slot;
	c->began = ticks++;
	wi_freelist_push(&list, &table, slot);
	c->returned = ticks++;
}

/* ---- what the threads do ---- */

static void pop_push(void)
{
	uint32_t slot = pop();

	if (slot)
		push(slot);
}

static void pop_push_twice(void)
{
	pop_push();
	pop_push();
}

/* The classic: takes two, and gives the first back. */
static void pop_two_push_first(void)
{
	uint32_t first = pop();

	(void)pop();
	if (first)
		push(first);
}

static void pop_two_push_both(void)
{
	uint32_t first = pop(), second = pop();

	if (first)
		push(first);
	if (second)
		push(second);
}

/* As many moves as there are tags, and the same slot on top: the head looks as it did. */
static void move_all_the_way_round(void)
{
	uint32_t first = pop();

	(void)pop();
	(void)pop();
	push(first);
	for (uint32_t moves = 4; moves < TAGS; moves += 2)
		push(pop());
}

/* ---- how they begin, and how it has to end ---- */

static void with_tag(uint64_t tag)
{
	wi_freelist_init(&list);
	for (uint32_t s = SLOTS; s; s--)
		wi_freelist_push(&list, &table, s);
	wi_store_rlx(&list.head, tag << WI_SLOT_BITS | 1);
}

static void three_on_it(void)
{
	with_tag(0);
}

static void about_to_wrap(void)
{
	with_tag(TAGS - 2);
}

static void conserved(void)
{
	int times[SLOTS + 1] = {0};
	uint32_t slot = (uint32_t)(wi_load_rlx(&list.head) & WI_SLOTS_MAX);

	for (int n = 0; slot; n++) {
		if (n > SLOTS)
			sched_fail("the list has a circle");
		times[slot]++;
		slot = wi_load_rlx(&place[slot].slot.next);
	}
	for (uint32_t s = 1; s <= SLOTS; s++)
		if (times[s] + (holder[s] != 0) != 1)
			sched_fail("slot %u is in %d places", s, times[s] + (holder[s] != 0));
}

/* Whether the call may come next: nobody who is left returned before it began. */
static bool may_be_next(const struct call *c)
{
	for (int i = 0; i < calls; i++)
		if (!call[i].done && call[i].returned < c->began)
			return false;
	return true;
}

/* Whether the calls left can be put in an order in which a stack would answer as they were. */
static bool is_a_stack(const uint32_t *stack, int height, int left)
{
	for (int i = 0; left && i < calls; i++) {
		struct call *c = &call[i];
		uint32_t next[CALLS_MAX], top = height ? stack[height - 1] : 0;

		if (c->done || !may_be_next(c) || (!c->pushes && c->slot != top))
			continue;
		memcpy(next, stack, sizeof(next));
		if (c->pushes)
			next[height] = c->slot;
		c->done = true;
		if (is_a_stack(next, c->pushes ? height + 1 : c->slot ? height - 1 : 0, left - 1))
			return true;
		c->done = false;
	}
	return left == 0;
}

static void linearizable(void)
{
	const uint32_t stack[CALLS_MAX] = {3, 2, 1};

	conserved();
	if (!is_a_stack(stack, SLOTS, calls))
		sched_fail("no stack answers so");
}

static const struct sched_scenario scenarios[] = {
	{
		.name = "two_pop_and_push",
		.set_up = three_on_it,
		.thread = {{"A", pop_push}, {"B", pop_two_push_first}},
		.at_end = linearizable,
		.bounds = {.switches = 4, .looks = 3, .total = 5},
		.random = 5000,
	},
	{
		.name = "three_pop_and_push",
		.set_up = three_on_it,
		.thread = {{"A", pop_push}, {"B", pop_two_push_first}, {"C", pop_push}},
		.at_end = linearizable,
		.bounds = {.switches = 3, .looks = 2, .total = 3},
		.random = 20000,
	},
	{
		.name = "the_tag_wraps",
		.set_up = about_to_wrap,
		.thread = {{"A", pop_push_twice}, {"B", pop_two_push_both}},
		.at_end = linearizable,
		.bounds = {.switches = 3, .looks = 2, .total = 4},
		.random = 20000,
	},
	{
		.name = "a_full_turn_of_the_tag_fools_a_sleeper",
		.set_up = three_on_it,
		.thread = {{"A", pop_push}, {"B", move_all_the_way_round}},
		.at_end = conserved,
		.bounds = {.switches = 2, .total = 2},
		.must_fail = "is in 2 places",
	},
	{.name = NULL},
};

int main(int argc, char **argv)
{
	return sched_main(argc, argv, scenarios);
}
