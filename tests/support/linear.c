/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Idea. Wing and Gong's search ("Testing and verifying concurrent objects", 1993) with the memory
 * that Lowe added ("Testing for linearizability", 2017). A state is how many moves of each thread
 * have had their moment, and what the stack then holds. From a state, a thread's next move may have
 * its moment if no other move that is still to come had returned before it was invoked; since the
 * moves of one thread follow each other, only each thread's next one need be looked at. A state
 * that was left once without success is not entered again: so the search is as long as there are
 * states, not ways to them.
 */
#include "support/linear.h"

#include <stdlib.h>
#include <string.h>

/* The stack is eight bytes, its top the lowest; an empty place is 0. */
struct state {
	uint64_t stack;
	uint16_t done[TEST_LINEAR_LANES];
};

struct search {
	const struct test_moves *lanes;
	uint32_t n_lanes;
	struct state *seen; /* an open hash table; stack == UINT64_MAX: unused */
	uint32_t n_seen, mask, limit;
	bool gave_up;
};

static uint32_t hash(const struct state *s)
{
	uint64_t low, high, h;

	memcpy(&low, s->done, sizeof(low));
	memcpy(&high, s->done + 4, sizeof(high));
	h = s->stack * UINT64_C(0x9e3779b97f4a7c15);
	h = (h ^ h >> 29 ^ low) * UINT64_C(0xbf58476d1ce4e5b9);
	h = (h ^ h >> 32 ^ high) * UINT64_C(0x94d049bb133111eb);
	return (uint32_t)(h >> 32);
}

static struct state *place_of(struct state *table, uint32_t mask, const struct state *s)
{
	uint32_t i = hash(s) & mask;

	while (table[i].stack != UINT64_MAX && memcmp(&table[i], s, sizeof(*s)) != 0)
		i = (i + 1) & mask;
	return &table[i];
}

static bool grow(struct search *search)
{
	uint32_t mask = search->mask ? search->mask * 2 + 1 : 1023;
	struct state *table = malloc(((size_t)mask + 1) * sizeof(*table));

	if (!table)
		return false;
	memset(table, 0xff, ((size_t)mask + 1) * sizeof(*table));
	for (uint32_t i = 0; search->seen && i <= search->mask; i++)
		if (search->seen[i].stack != UINT64_MAX)
			*place_of(table, mask, &search->seen[i]) = search->seen[i];
	free(search->seen);
	search->seen = table;
	search->mask = mask;
	return true;
}

/* false: it was entered before, or there is no room for more. */
static bool enter(struct search *search, const struct state *s)
{
	struct state *place;

	if (search->n_seen >= search->limit ||
	    (search->n_seen >= search->mask / 2 && !grow(search))) {
		search->gave_up = true;
		return false;
	}
	place = place_of(search->seen, search->mask, s);
	if (place->stack != UINT64_MAX)
		return false;
	*place = *s;
	search->n_seen++;
	return true;
}

/* Does the move to the stack; false: a stack would not have answered so. */
static bool apply(const struct test_move *move, uint64_t *stack)
{
	if (move->push) {
		if (*stack >> 56)
			return false; /* deeper than there are values */
		*stack = *stack << 8 | move->value;
		return true;
	}
	if ((*stack & 0xff) != move->value)
		return false;
	*stack >>= 8;
	return true;
}

static const struct test_move *next_of(const struct search *search, const struct state *s,
                                       uint32_t i)
{
	return s->done[i] < search->lanes[i].n ? &search->lanes[i].move[s->done[i]] : NULL;
}

static bool find(struct search *search, const struct state *s)
{
	int64_t first_return = INT64_MAX;

	for (uint32_t i = 0; i < search->n_lanes; i++) {
		const struct test_move *move = next_of(search, s, i);

		if (move && move->returned_ns < first_return)
			first_return = move->returned_ns;
	}
	if (first_return == INT64_MAX)
		return true; /* all have had their moment */
	if (!enter(search, s))
		return false;
	for (uint32_t i = 0; i < search->n_lanes; i++) {
		const struct test_move *move = next_of(search, s, i);
		struct state after = *s;

		if (!move || move->invoked_ns > first_return || !apply(move, &after.stack))
			continue;
		after.done[i]++;
		if (find(search, &after))
			return true;
	}
	return false;
}

enum test_linear test_stack_is_linear(const struct test_moves *lanes, uint32_t n_lanes,
                                      const uint8_t *bottom, uint32_t n_bottom, uint32_t limit)
{
	struct search search = {.lanes = lanes, .n_lanes = n_lanes, .limit = limit};
	struct state s;
	bool found;

	memset(&s, 0, sizeof(s));
	if (n_lanes > TEST_LINEAR_LANES || n_bottom >= TEST_LINEAR_DEPTH || !grow(&search))
		return TEST_LINEAR_UNKNOWN;
	for (uint32_t i = 0; i < n_bottom; i++)
		s.stack = s.stack << 8 | bottom[i];
	found = find(&search, &s);
	free(search.seen);
	if (found)
		return TEST_LINEAR;
	return search.gave_up ? TEST_LINEAR_UNKNOWN : TEST_NOT_LINEAR;
}
