/* SPDX-License-Identifier: BSD-2-Clause */
/* The last events: in order, followed by number, and what was overwritten is counted. */
#include "stat/ring.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/atomic.h"
#include "stat/event.h"

static struct wi_ring ring;
static weir_options options;
static weir_event_record got[2 * WEIR_EVENTS_KEPT];

static int set_up(void **state)
{
	(void)state;
	weir_options_init(&options);
	ring = (struct wi_ring){.record = NULL};
	return wi_ring_open(&ring) ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	wi_ring_close(&ring);
	return 0;
}

static void tell(int n)
{
	for (int i = 0; i < n; i++)
		wi_event_tell(&ring, &options, 1000 + i, WEIR_EVENT_LOST, "db1:5432", "event %d",
		              i);
}

static size_t after(uint64_t sequence, size_t room, uint64_t *lost)
{
	return wi_ring_read(&ring, sequence, got, room, lost);
}

static void what_is_told_is_read_in_order(void **state)
{
	uint64_t lost;

	(void)state;
	assert_int_equal(after(0, 10, &lost), 0);
	tell(3);
	assert_int_equal(after(0, 10, &lost), 3);
	assert_int_equal(lost, 0);
	for (int i = 0; i < 3; i++) {
		char text[32];

		snprintf(text, sizeof(text), "event %d", i);
		assert_int_equal(got[i].sequence, i + 1);
		assert_int_equal(got[i].kind, WEIR_EVENT_LOST);
		assert_int_equal(got[i].at_ns, 1000 + i);
		assert_true(got[i].wall_ns > INT64_C(1600000000) * 1000000000);
		assert_string_equal(got[i].host, "db1:5432");
		assert_string_equal(got[i].text, text);
	}
	assert_int_equal(wi_ring_count(&ring, WEIR_EVENT_LOST), 3);
	assert_int_equal(wi_ring_count(&ring, WEIR_EVENT_LEAK), 0);
	assert_int_equal(wi_ring_count(&ring, WEIR_EVENT_KINDS), 0);
}

static void who_follows_gets_what_is_new(void **state)
{
	uint64_t lost;

	(void)state;
	tell(5);
	assert_int_equal(after(0, 2, &lost), 2);
	assert_int_equal(got[1].sequence, 2);
	assert_int_equal(after(2, 10, &lost), 3);
	assert_int_equal(got[0].sequence, 3);
	assert_int_equal(after(5, 10, &lost), 0);
	assert_int_equal(lost, 0);
	assert_int_equal(after(UINT64_MAX, 10, &lost), 0);
	assert_int_equal(after(77, 10, &lost), 0); /* of another ring, perhaps */
	assert_int_equal(lost, 0);
}

static void what_was_overwritten_is_counted(void **state)
{
	uint64_t lost;

	(void)state;
	tell(WEIR_EVENTS_KEPT + 44);
	assert_int_equal(after(0, 2 * WEIR_EVENTS_KEPT, &lost), WEIR_EVENTS_KEPT);
	assert_int_equal(got[0].sequence, 45);
	assert_int_equal(lost, 44);
	assert_int_equal(after(40, 2 * WEIR_EVENTS_KEPT, &lost), WEIR_EVENTS_KEPT);
	assert_int_equal(lost, 4);
	assert_int_equal(after(44, 2 * WEIR_EVENTS_KEPT, &lost), WEIR_EVENTS_KEPT);
	assert_int_equal(lost, 0);
}

static void a_long_text_is_cut_at_a_whole_character(void **state)
{
	char words[600];

	(void)state;
	/* 246 bytes, and then one character of two: 247 are left for both */
	memset(words, 'x', 246);
	memcpy(words + 246, "\xc3\xa4zz", 5);
	wi_event_tell(&ring, &options, 1, WEIR_EVENT_LOST, words, "%s", words);
	assert_int_equal(after(0, 1, NULL), 1);
	assert_int_equal(strlen(got[0].text), 246);
	assert_int_equal(strlen(got[0].host), sizeof(got[0].host) - 1);
}

/* A thread that was stopped in the middle of event 3. */
static void stop_one_in_the_middle(void)
{
	tell(2);
	wi_add_rlx(&ring.last, 1);
	wi_store_rlx(&ring.record[3].state, 2 * 3 - 1);
}

static void a_writer_that_is_at_it_ends_the_list(void **state)
{
	uint64_t lost;

	(void)state;
	stop_one_in_the_middle();
	tell(WI_RING_PATIENCE - 1);
	assert_int_equal(after(0, 100, &lost), 2);
	assert_int_equal(lost, 0);
	tell(1);
	assert_int_equal(after(2, 100, &lost), WI_RING_PATIENCE);
	assert_int_equal(got[0].sequence, 4);
	assert_int_equal(lost, 1);
	/* it goes on after all: who asks again from before gets it */
	wi_store_rlx(&ring.record[3].state, 2 * 3);
	assert_int_equal(after(2, 100, &lost), WI_RING_PATIENCE + 1);
	assert_int_equal(lost, 0);
}

static void who_meets_another_writer_goes_without(void **state)
{
	uint64_t lost;

	(void)state;
	stop_one_in_the_middle();
	tell(WEIR_EVENTS_KEPT + 30); /* once around, and over it: 259 was to be in its place */
	assert_int_equal(wi_load_rlx(&ring.record[3].state), 2 * 3 - 1);
	assert_int_equal(after(0, 2 * WEIR_EVENTS_KEPT, &lost), WEIR_EVENTS_KEPT - 1);
	assert_int_equal(got[0].sequence, 34);
	assert_int_equal(lost, 34);
	assert_int_equal(wi_ring_count(&ring, WEIR_EVENT_LOST), 2 + WEIR_EVENTS_KEPT + 30);
	wi_ring_mend(&ring);
	tell(WEIR_EVENTS_KEPT);
	assert_int_equal(after(0, 2 * WEIR_EVENTS_KEPT, NULL), WEIR_EVENTS_KEPT);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(what_is_told_is_read_in_order),
		TEST(who_follows_gets_what_is_new),
		TEST(what_was_overwritten_is_counted),
		TEST(a_long_text_is_cut_at_a_whole_character),
		TEST(a_writer_that_is_at_it_ends_the_list),
		TEST(who_meets_another_writer_goes_without),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
