/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Whether anybody went without, or slept on, while something lay free. Between a put's return and
 * the next take's invocation a value is surely free; but it may be on its way from place to place,
 * in a cache whose owner is just taking, or not to be seen yet.
 */
#include "support/history.h"

#include <stddef.h>

#include "support/history_inside.h"

/* The last take of this value that had returned by then, as an index; first - 1: none. */
static int64_t last_take(const struct test_history *h, uint32_t value, int64_t at_ns)
{
	int64_t low = (int64_t)h->first[value] - 1, high = (int64_t)h->first[value + 1] - 1;

	while (low < high) {
		int64_t middle = low + (high - low + 1) / 2;

		if (h->takes[middle]->returned_ns <= at_ns)
			low = middle;
		else
			high = middle - 1;
	}
	return low;
}

/*
 * When the value was surely free around a moment, and by which put, if by any: false if it was not
 * at that moment.
 */
static bool free_around(const struct test_history *h, uint32_t value, int64_t at_ns,
                        int64_t *from_ns, int64_t *to_ns, const struct test_op **put)
{
	int64_t i = last_take(h, value, at_ns);
	const struct test_op *before = i >= (int64_t)h->first[value] ? h->takes[i] : NULL;
	const struct test_op *after = i + 1 < (int64_t)h->first[value + 1] ? h->takes[i + 1] : NULL;

	if (before && !before->of)
		return false;
	*put = before ? before->of : NULL;
	*from_ns = before ? before->of->returned_ns : INT64_MIN;
	*to_ns = after ? after->invoked_ns : INT64_MAX;
	return *from_ns <= at_ns && at_ns <= *to_ns;
}

/* Whether the two overlap. */
static bool are_at_once(const struct test_op *a, const struct test_op *b)
{
	return a->invoked_ns <= b->returned_ns && b->invoked_ns <= a->returned_ns;
}

static bool is_of(const struct test_lane *lane, const struct test_op *op)
{
	return op >= lane->ops && op < lane->ops + lane->n;
}

/*
 * How many values that had been put before an operation may put elsewhere, behind the back of who
 * looks from place to place: who leaves, the one it kept; who puts, what it takes out of the list
 * in exchange; who waits, one that it found when it was granted another, and one that it passes on
 * as it goes.
 */
static uint32_t moves_at_most(const struct test_op *op)
{
	if (op->kind == TEST_TAKE)
		return op->waited ? 2 : 0;
	return 1;
}

static uint32_t moves_during(const struct test_history *h, const struct test_op *call)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < h->n_lanes; i++) {
		const struct test_lane *lane = &h->lanes[i];

		if (is_of(lane, call))
			continue;
		for (int64_t k = test_last_begun(lane, call->returned_ns);
		     k >= 0 && are_at_once(&lane->ops[k], call); k--) {
			if (lane->ops[k].kind == TEST_SWEEP)
				return UINT32_MAX; /* any of them */
			n += moves_at_most(&lane->ops[k]);
		}
	}
	return n;
}

/* Whether anybody else is about who may take a value out of another's cache and pass it on. */
static bool may_be_robbed_during(const struct test_history *h, const struct test_lane *owner,
                                 const struct test_op *take)
{
	for (uint32_t i = 0; i < h->n_lanes; i++) {
		const struct test_lane *lane = &h->lanes[i];

		for (int64_t k = test_last_begun(lane, take->returned_ns);
		     lane != owner && k >= 0 && are_at_once(&lane->ops[k], take); k--)
			if (lane->ops[k].kind == TEST_SWEEP ||
			    (lane->ops[k].kind == TEST_TAKE && lane->ops[k].waited))
				return true;
	}
	return false;
}

/*
 * What lies in the cache of a thread that is just taking is as good as taken, and passed by (I3 in
 * core/cache.h). If the bias was gone it may come to its cache too late, as a third one has been
 * there before the take ended: so that value seems to have been free all the time. (What a call's
 * own thread keeps, it sees for certain.)
 */
static bool is_as_good_as_taken(const struct test_history *h, const struct test_lane *owner,
                                const struct test_op *put, const struct test_op *call)
{
	if (!put || !is_of(owner, put) || is_of(owner, call))
		return false;
	for (int64_t k = test_last_begun(owner, call->returned_ns);
	     k >= 0 && are_at_once(&owner->ops[k], call); k--) {
		const struct test_op *take = &owner->ops[k];

		if (take->kind == TEST_TAKE &&
		    ((put->next && put->next->invoked_ns <= take->returned_ns) ||
		     may_be_robbed_during(h, owner, take)))
			return true;
	}
	return false;
}

/*
 * Whether the value lay free throughout the call, and by which put, if by any. What was put a
 * moment ago need not be visible yet: a store may lie in its processor's buffer when the clock is
 * read after it.
 */
static bool is_free_throughout(const struct test_history *h, uint32_t value,
                               const struct test_op *call, const struct test_op **put)
{
	int64_t from_ns, to_ns;

	return free_around(h, value, call->invoked_ns, &from_ns, &to_ns, put) &&
	       (!*put || from_ns + h->seen_late_ns <= call->invoked_ns) &&
	       to_ns >= call->returned_ns;
}

/* In how many caches something that was free throughout the call may have been passed by. */
static uint32_t passed_by_during(const struct test_history *h, const struct test_op *call)
{
	const struct test_op *put;
	uint32_t n = 0;

	for (uint32_t i = 0; i < h->n_lanes; i++)
		for (uint32_t v = 1; v <= h->values; v++)
			if (is_free_throughout(h, v, call, &put) &&
			    is_as_good_as_taken(h, &h->lanes[i], put, call)) {
				n++;
				break; /* a cache keeps one */
			}
	return n;
}

static bool fails_beside_a_free_one(struct test_history *h, const struct test_op *call)
{
	uint32_t free_ones = 0, which = 0, moves, passed_by;
	const struct test_op *put;

	for (uint32_t v = 1; v <= h->values; v++) {
		if (is_free_throughout(h, v, call, &put)) {
			free_ones++;
			which = v;
		}
	}
	if (!free_ones || free_ones <= (moves = moves_during(h, call)) ||
	    free_ones - moves <= (passed_by = passed_by_during(h, call)))
		return false;
	return !test_history_wrong(
		h,
		"%s got nothing at %lld: %u free throughout its %lld ns (%u is one), %u may "
		"be moved, %u passed by",
		call->deadline_ns ? "a wait" : "a try", (long long)call->returned_ns, free_ones,
		(long long)(call->returned_ns - call->invoked_ns), which, moves, passed_by);
}

bool test_nobody_fails_beside_a_free_one(struct test_history *h)
{
	for (uint32_t i = 0; i < h->n_lanes; i++) {
		for (uint32_t k = 0; k < h->lanes[i].n; k++) {
			const struct test_op *op = &h->lanes[i].ops[k];

			if (op->kind == TEST_TAKE && !op->value && fails_beside_a_free_one(h, op))
				return false;
		}
	}
	return true;
}

/* For how long the value lay free while the call slept, at most. */
static int64_t idle_beside(const struct test_history *h, const struct test_op *sleeper,
                           uint32_t value)
{
	int64_t most = 0;

	for (int64_t i = last_take(h, value, sleeper->parked_ns); i < (int64_t)h->first[value + 1];
	     i++) {
		const struct test_op *before = i >= (int64_t)h->first[value] ? h->takes[i] : NULL;
		const struct test_op *after =
			i + 1 < (int64_t)h->first[value + 1] ? h->takes[i + 1] : NULL;
		int64_t from = sleeper->parked_ns, to = sleeper->returned_ns;

		if (before && before->returned_ns >= to)
			break;
		if (before && !before->of)
			break;
		if (before && before->of->returned_ns > from)
			from = before->of->returned_ns;
		/*
		 * What it got itself lay there until it took it: nobody knows when, so until it
		 * returned.
		 */
		if (after && after != sleeper && after->invoked_ns < to)
			to = after->invoked_ns;
		if (to - from > most)
			most = to - from;
	}
	return most;
}

bool test_nobody_sleeps_beside_a_free_one(struct test_history *h, int64_t bound_ns)
{
	for (uint32_t i = 0; i < h->n_lanes; i++) {
		for (uint32_t k = 0; k < h->lanes[i].n; k++) {
			const struct test_op *op = &h->lanes[i].ops[k];

			if (op->kind != TEST_TAKE || !op->parked_ns ||
			    op->returned_ns - op->parked_ns <= bound_ns + op->ready_ns)
				continue;
			for (uint32_t v = 1; v <= h->values; v++) {
				int64_t ns = idle_beside(h, op, v);

				if (ns > bound_ns + op->ready_ns)
					return test_history_wrong(
						h,
						"one slept for %lld ns beside %u, which was free",
						(long long)ns, v);
			}
		}
	}
	return true;
}
