/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Idea. For each value the takes that got it, by the time they returned, and for each of these the
 * put that ended it. Between a take's return and its put's invocation the value is surely held;
 * between the put's return and the next take's invocation it is surely free.
 */
#include "support/history.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/clock.h"
#include "support/history_inside.h"

/*
 * Many times what it takes a store to leave a processor, and what the clocks of two of them differ
 * by.
 */
#define SEEN_LATE_NS 5000

bool test_history_wrong(struct test_history *h, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(h->wrong, sizeof(h->wrong), format, args);
	va_end(args);
	return false;
}

/* ---- writing ---- */

bool test_history_init(struct test_history *h, uint32_t lanes_max, uint32_t room)
{
	memset(h, 0, sizeof(*h));
	h->lanes_max = lanes_max;
	h->room = room;
	h->seen_late_ns = SEEN_LATE_NS;
	h->lanes = calloc(lanes_max, sizeof(*h->lanes));
	h->ops = calloc(room, sizeof(*h->ops));
	return h->lanes && h->ops;
}

static void forget_order(struct test_history *h)
{
	free(h->takes);
	free(h->puts);
	free(h->first);
	h->takes = h->puts = NULL;
	h->first = NULL;
	h->n_takes = h->n_puts = 0;
}

void test_history_fini(struct test_history *h)
{
	free(h->ops);
	free(h->lanes);
	forget_order(h);
	memset(h, 0, sizeof(*h));
}

void test_history_begin(struct test_history *h, uint32_t lanes, uint32_t values)
{
	wi_check(lanes && lanes <= h->lanes_max);
	h->n_lanes = lanes;
	h->values = values;
	h->wrong[0] = '\0';
	forget_order(h);
	for (uint32_t i = 0; i < lanes; i++) {
		h->lanes[i].room = h->room / lanes;
		h->lanes[i].ops = h->ops + (size_t)i * h->lanes[i].room;
		h->lanes[i].n = 0;
	}
}

struct test_op *test_op_begin(struct test_lane *lane, enum test_op_kind kind)
{
	struct test_op *op;

	if (lane->n == lane->room)
		return NULL;
	op = &lane->ops[lane->n++];
	memset(op, 0, sizeof(*op));
	op->kind = kind;
	op->invoked_ns = test_beginning_ns();
	return op;
}

void test_op_end(struct test_op *op)
{
	op->returned_ns = wi_now_ns();
}

/* ---- order ---- */

static int compare(int64_t a, int64_t b)
{
	return (a > b) - (a < b);
}

static int by_value_and_return(const void *a, const void *b)
{
	const struct test_op *x = *(struct test_op *const *)a, *y = *(struct test_op *const *)b;

	if (x->value != y->value)
		return x->value < y->value ? -1 : 1;
	return compare(x->returned_ns, y->returned_ns);
}

static int by_invocation(const void *a, const void *b)
{
	const struct test_op *x = *(struct test_op *const *)a, *y = *(struct test_op *const *)b;

	return compare(x->invoked_ns, y->invoked_ns);
}

static bool collect(struct test_history *h)
{
	for (uint32_t i = 0; i < h->n_lanes; i++) {
		for (uint32_t k = 0; k < h->lanes[i].n; k++) {
			struct test_op *op = &h->lanes[i].ops[k];

			if (op->value > h->values ||
			    (op->kind == TEST_PUT && (!op->value || !op->of)))
				return test_history_wrong(
					h, "lane %u, operation %u: no such value: %u", i, k,
					op->value);
			if (op->kind == TEST_TAKE && op->value)
				h->takes[h->n_takes++] = op;
			else if (op->kind == TEST_PUT)
				h->puts[h->n_puts++] = op;
		}
	}
	return true;
}

bool test_history_close(struct test_history *h)
{
	uint32_t all = 0, k = 0;

	for (uint32_t i = 0; i < h->n_lanes; i++)
		all += h->lanes[i].n;
	h->takes = calloc((size_t)all + 1, sizeof(struct test_op *));
	h->puts = calloc((size_t)all + 1, sizeof(struct test_op *));
	h->first = calloc((size_t)h->values + 2, sizeof(*h->first));
	if (!h->takes || !h->puts || !h->first)
		return test_history_wrong(h, "no memory");
	if (!collect(h))
		return false;
	qsort(h->takes, h->n_takes, sizeof(struct test_op *), by_value_and_return);
	qsort(h->puts, h->n_puts, sizeof(struct test_op *), by_invocation);
	for (uint32_t i = 0; i < h->n_puts; i++)
		h->puts[i]->of->of = h->puts[i];
	for (uint32_t v = 1; v <= h->values + 1; v++) {
		h->first[v] = k;
		while (k < h->n_takes && h->takes[k]->value == v)
			k++;
	}
	for (uint32_t i = 1; i < h->n_takes; i++) {
		struct test_op *before = h->takes[i - 1], *after = h->takes[i];

		if (before->value != after->value)
			continue;
		after->last = before->of;
		if (before->of)
			before->of->next = after;
	}
	return true;
}

/* ---- one holder ---- */

bool test_holds_never_overlap(struct test_history *h)
{
	for (uint32_t i = 0; i < h->n_puts; i++) {
		const struct test_op *put = h->puts[i], *take = put->of;

		if (take->of != put)
			return test_history_wrong(h, "%u was put twice after one take", put->value);
		if (take->value != put->value || put->invoked_ns < take->returned_ns)
			return test_history_wrong(h, "%u was put, and not taken before",
			                          put->value);
	}
	for (uint32_t i = 1; i < h->n_takes; i++) {
		const struct test_op *before = h->takes[i - 1], *after = h->takes[i];

		if (before->value != after->value)
			continue;
		if (!before->of || after->returned_ns < before->of->invoked_ns)
			return test_history_wrong(
				h, "%u is in two hands: taken at %lld, again at %lld, put at %lld",
				after->value, (long long)before->returned_ns,
				(long long)after->returned_ns,
				before->of ? (long long)before->of->invoked_ns : -1LL);
	}
	return true;
}

/* The last operation of a lane that began by then; -1: none. */
int64_t test_last_begun(const struct test_lane *lane, int64_t at_ns)
{
	int64_t low = -1, high = (int64_t)lane->n - 1;

	while (low < high) {
		int64_t middle = low + (high - low + 1) / 2;

		if (lane->ops[middle].invoked_ns <= at_ns)
			low = middle;
		else
			high = middle - 1;
	}
	return low;
}

/* ---- first come, first served ---- */

/*
 * Until when nobody had granted it anything, and it had not given up. At its deadline it gives up,
 * and may all the same find something with its last look.
 */
static int64_t surely_asleep_until(const struct test_op *sleeper)
{
	int64_t until = sleeper->deadline_ns;

	if (!sleeper->value)
		return until;
	if (!sleeper->last)
		return INT64_MIN;
	return sleeper->last->invoked_ns < until ? sleeper->last->invoked_ns : until;
}

/* Who had slept for longer than the patience when the put began, and slept on when it had ended. */
static const struct test_op *longest_asleep(const struct test_history *h, const struct test_op *put,
                                            int64_t patience_ns, uint32_t *cursor)
{
	const struct test_op *elder = NULL;

	for (uint32_t i = 0; i < h->n_lanes; i++) {
		const struct test_lane *lane = &h->lanes[i];
		const struct test_op *op;

		while (cursor[i] + 1 < lane->n &&
		       lane->ops[cursor[i] + 1].invoked_ns <= put->invoked_ns)
			cursor[i]++;
		op = &lane->ops[cursor[i]];
		if (cursor[i] < lane->n && op->kind == TEST_TAKE && op->parked_ns &&
		    (patience_ns < 0  ? op->parked_ns
		     : op->overdue_ns ? op->overdue_ns
		                      : INT64_MAX) <= put->invoked_ns &&
		    put->returned_ns < surely_asleep_until(op) &&
		    (!elder || op->parked_ns < elder->parked_ns))
			elder = op;
	}
	return elder;
}

/* Whether the putter may have chosen the seat when somebody sat there who had come before. */
static bool was_meant_for_an_earlier_wait(const struct test_history *h, const struct test_op *put,
                                          const struct test_op *elder)
{
	for (uint32_t i = 0; i < h->n_lanes; i++) {
		const struct test_lane *lane = &h->lanes[i];

		for (int64_t k = test_last_begun(lane, put->returned_ns);
		     k >= 0 && lane->ops[k].returned_ns >= put->invoked_ns; k--) {
			const struct test_op *op = &lane->ops[k];

			if (op->kind == TEST_TAKE && op->waited && op->seat == put->next->seat &&
			    op->invoked_ns <= elder->parked_ns)
				return true;
		}
	}
	return false;
}

bool test_sleepers_are_served_in_order(struct test_history *h, int64_t patience_ns)
{
	uint32_t *cursor = calloc(h->n_lanes, sizeof(*cursor));
	bool ok = cursor != NULL;

	for (uint32_t i = 0; ok && i < h->n_puts; i++) {
		const struct test_op *put = h->puts[i];
		const struct test_op *elder = longest_asleep(h, put, patience_ns, cursor);

		if (!elder || (put->next && put->next->invoked_ns <= elder->parked_ns))
			continue;
		if (put->next && was_meant_for_an_earlier_wait(h, put, elder))
			continue;
		ok = test_history_wrong(
			h,
			"%u was put at %lld and taken by one who came at %lld; one slept since %lld",
			put->value, (long long)put->invoked_ns,
			put->next ? (long long)put->next->invoked_ns : -1LL,
			(long long)elder->parked_ns);
	}
	free(cursor);
	return ok;
}

/* ---- deadlines, wakes ---- */

static int64_t lateness(const struct test_op *op)
{
	return op->returned_ns - (op->deadline_ns ? op->deadline_ns : op->invoked_ns);
}

/*
 * By how much a wait outlasted its deadline because it slept: one that came to sleep after it, as
 * its thread got no processor, began to be late then.
 */
static int64_t lateness_asleep(const struct test_op *op)
{
	int64_t late = lateness(op), asleep = op->returned_ns - op->parked_ns;

	return late < asleep ? late : asleep;
}

static bool is_too_late(const struct test_op *op, int64_t slack_ns)
{
	if (op->parked_ns && lateness_asleep(op) > slack_ns + op->ready_ns)
		return true;
	return lateness(op) > slack_ns + op->ready_ns + WI_SEC;
}

bool test_deadlines_are_kept(struct test_history *h, int64_t slack_ns)
{
	for (uint32_t i = 0; i < h->n_lanes; i++) {
		for (uint32_t k = 0; k < h->lanes[i].n; k++) {
			const struct test_op *op = &h->lanes[i].ops[k];
			int64_t late = lateness(op);

			if (op->kind != TEST_TAKE)
				continue;
			if (!op->value && op->deadline_ns && late < 0)
				return test_history_wrong(
					h, "a wait gave up %lld ns before its deadline",
					(long long)-late);
			if (is_too_late(op, slack_ns))
				return test_history_wrong(
					h,
					"%s ended %lld ns too late, %s; %lld ns without a processor",
					op->deadline_ns ? "a wait" : "a try", (long long)late,
					op->value ? "with a value" : "without",
					(long long)op->ready_ns);
		}
	}
	return true;
}

bool test_a_put_wakes_at_most_one(struct test_history *h)
{
	for (uint32_t i = 0; i < h->n_puts; i++)
		if (h->puts[i]->wakes > 1)
			return test_history_wrong(h, "a put woke %u", h->puts[i]->wakes);
	return true;
}

/* ---- facts ---- */

static void add_take(const struct test_op *op, struct test_history_facts *f)
{
	int64_t late = lateness(op) - op->ready_ns;

	f->takes++;
	f->failures += !op->value;
	f->waits += op->waited;
	f->sleeps += op->parked_ns != 0;
	if (op->value && op->waited && op->returned_ns - op->invoked_ns > f->longest_ns)
		f->longest_ns = op->returned_ns - op->invoked_ns;
	if (late > f->latest_ns)
		f->latest_ns = late;
}

void test_history_add_facts(const struct test_history *h, struct test_history_facts *f)
{
	uint32_t *cursor = calloc(h->n_lanes, sizeof(*cursor));

	f->histories++;
	f->puts += h->n_puts;
	for (uint32_t i = 0; i < h->n_lanes; i++)
		for (uint32_t k = 0; k < h->lanes[i].n; k++)
			if (h->lanes[i].ops[k].kind == TEST_TAKE)
				add_take(&h->lanes[i].ops[k], f);
	for (uint32_t i = 0; cursor && i < h->n_puts; i++) {
		const struct test_op *put = h->puts[i];
		const struct test_op *elder = longest_asleep(h, put, -1, cursor);

		f->overtakings += elder && put->next && put->next->invoked_ns > elder->parked_ns;
	}
	free(cursor);
}

void test_history_print(const char *name, bool paused, const struct test_history_facts *f)
{
	printf("%-24s %s %2llu histories %7llu takes %6llu failed %6llu waited %6llu slept "
	       "%5llu overtakings, longest %.1f ms, %.1f ms late\n",
	       name, paused ? "paused" : "      ", (unsigned long long)f->histories,
	       (unsigned long long)f->takes, (unsigned long long)f->failures,
	       (unsigned long long)f->waits, (unsigned long long)f->sleeps,
	       (unsigned long long)f->overtakings, (double)f->longest_ns / 1e6,
	       (double)f->latest_ns / 1e6);
}
