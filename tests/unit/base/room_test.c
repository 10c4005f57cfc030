/* SPDX-License-Identifier: BSD-2-Clause */
/* A table that grows where it lies. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/room.h"
#include "support/watchdog.h"

#define MODEST 100000
#define MOST 4000000

static size_t before;
static struct wi_room room;

static int set_up(void **state)
{
	(void)state;
	before = wi_alloc_bytes();
	return wi_room_open(&room, 1000, MODEST, MOST, 256) ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	wi_room_close(&room);
	wi_room_close(&room);
	return wi_alloc_bytes() == before ? 0 : -1;
}

static void check_zeroed_then_fill(size_t from, size_t to)
{
	for (size_t i = from; i < to; i++)
		assert_int_equal(room.base[i], 0);
	memset(room.base + from, 1, to - from);
}

static void it_grows_where_it_lies(void **state)
{
	const char *base = room.base;

	(void)state;
	assert_int_equal((uintptr_t)base % 256, 0);
	check_zeroed_then_fill(0, 1000);
	assert_true(wi_room_grow(&room, 500)); /* it has that already */
	for (size_t to = 2000; to <= room.bytes; to *= 2) {
		assert_true(wi_room_grow(&room, to));
		check_zeroed_then_fill(to / 2, to);
	}
	assert_ptr_equal(room.base, base);
	assert_true(room.bytes == (room.mapped ? MOST : MODEST));
}

static void it_does_not_grow_beyond_its_end(void **state)
{
	(void)state;
	assert_true(wi_room_grow(&room, room.bytes));
	assert_false(wi_room_grow(&room, room.bytes + 1));
}

static void want_of_memory_leaves_it_as_it_was(void **state)
{
	(void)state;
	wi_alloc_fail_at(1);
	if (room.mapped)
		assert_false(wi_room_grow(&room, 5000));
	wi_alloc_fail_at(0);
	assert_true(wi_room_grow(&room, 5000));
	check_zeroed_then_fill(0, 5000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(it_grows_where_it_lies, set_up, tear_down),
		cmocka_unit_test_setup_teardown(it_does_not_grow_beyond_its_end, set_up, tear_down),
		cmocka_unit_test_setup_teardown(want_of_memory_leaves_it_as_it_was, set_up,
	                                        tear_down),
	};

	test_watchdog(60, "unit.base.room");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
