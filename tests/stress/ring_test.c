/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The ring of events among real threads: some tell as fast as they can, pausing at the marked
 * points, and some follow. What is read is whole, in order, and what is missing is counted.
 */
#include "stat/ring.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/atomic.h"
#include "support/threads.h"
#include "support/watchdog.h"

#define WRITERS 3
#define READERS 2

static struct wi_ring ring;

/* Every word of an event comes from one number. */
static void tell(struct test_thread *self)
{
	struct wi_told told = {.kind = (uint32_t)self->number};
	uint64_t what = ++self->count[0] * WRITERS + (uint64_t)self->number;

	told.at_ns = told.wall_ns = (int64_t)what;
	snprintf(told.host, sizeof(told.host), "%llu", (unsigned long long)what);
	for (size_t i = 0; i + 1 < sizeof(told.text); i++)
		told.text[i] = (char)('a' + what % 26);
	(void)wi_ring_add(&ring, &told);
}

static void check(struct test_thread *self, const weir_event_record *r)
{
	char host[32];

	snprintf(host, sizeof(host), "%lld", (long long)r->at_ns);
	if (r->wall_ns != r->at_ns || strcmp(r->host, host) != 0 ||
	    (uint64_t)r->kind != (uint64_t)r->at_ns % WRITERS)
		test_wrong(self, "event %llu is of several", (unsigned long long)r->sequence);
	for (size_t i = 0; i + 1 < sizeof(r->text); i++)
		if (r->text[i] != (char)('a' + r->at_ns % 26))
			test_wrong(self, "text %llu is of several",
			           (unsigned long long)r->sequence);
}

/* count[0]: the last one read; [1]: read; [2]: missed. */
static void follow(struct test_thread *self, weir_event_record *got)
{
	uint64_t lost;
	size_t n = wi_ring_read(&ring, self->count[0], got, WEIR_EVENTS_KEPT, &lost);

	for (size_t i = 0; i < n; i++) {
		if (got[i].sequence <= self->count[0])
			test_wrong(self, "event %llu comes after %llu",
			           (unsigned long long)got[i].sequence,
			           (unsigned long long)self->count[0]);
		self->count[0] = got[i].sequence;
		check(self, &got[i]);
	}
	self->count[1] += n;
	self->count[2] += lost;
}

static void write_or_read(struct test_thread *self)
{
	static weir_event_record got[READERS][WEIR_EVENTS_KEPT];

	do { /* once at least, however late the thread begins */
		if (self->number < WRITERS)
			tell(self);
		else
			follow(self, got[self->number - WRITERS]);
	} while (!wi_load_rlx(self->stop) || (self->number >= WRITERS && !self->count[1]));
	if (self->number >= WRITERS && self->count[1] + self->count[2] != self->count[0])
		test_wrong(self, "%llu read and %llu missed of %llu",
		           (unsigned long long)self->count[1], (unsigned long long)self->count[2],
		           (unsigned long long)self->count[0]);
}

static void whole_and_in_order(void **state)
{
	struct test_thread reports[WRITERS + READERS];
	uint64_t told = 0;

	(void)state;
	assert_true(wi_ring_open(&ring));
	test_yields(50);
	test_threads_run(WRITERS + READERS, write_or_read, NULL, test_seconds(2), reports);
	test_yields(0);
	if (test_first_wrong(reports, WRITERS + READERS))
		fail_msg("%s", test_first_wrong(reports, WRITERS + READERS));
	for (int i = 0; i < WRITERS; i++) {
		told += reports[i].count[0];
		assert_int_equal(wi_ring_count(&ring, (weir_event_kind)i), reports[i].count[0]);
	}
	assert_int_equal(wi_load_rlx(&ring.last), told);
	for (int i = WRITERS; i < WRITERS + READERS; i++)
		assert_true(reports[i].count[1] > 0);
	wi_ring_close(&ring);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(whole_and_in_order)};

	test_watchdog(200, "stress.ring");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
