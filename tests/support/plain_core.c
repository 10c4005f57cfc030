/* SPDX-License-Identifier: BSD-2-Clause */
/* Slots without connections; plain_core.h tells what for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/atomic.h"
#include "support/plain_core.h"

struct wi_core plain_core;
static struct wi_slot slots[PLAIN_SLOTS + 1];

int plain_core_begin(const struct wi_world *world)
{
	struct wi_table table = {(char *)slots, sizeof(struct wi_slot), PLAIN_SLOTS};

	memset(&plain_core, 0, sizeof(plain_core));
	memset(slots, 0, sizeof(slots));
	return wi_core_init(&plain_core, table, world) ? 0 : -1;
}

int plain_core_end(void **state)
{
	(void)state;
	assert_int_equal(wi_core_waiting(&plain_core), 0);
	assert_false(wi_waitq_is_waited(&plain_core.waitq));
	wi_core_fini(&plain_core);
	return 0;
}

struct wi_seat *plain_seat(void)
{
	return wi_desk_seat(&plain_core);
}

uint32_t plain_take(void)
{
	return wi_core_take(&plain_core, plain_seat());
}

int plain_drain(void)
{
	bool seen[PLAIN_SLOTS + 1] = {false};
	uint32_t slot;
	int n = 0;

	for (; (slot = plain_take()); n++) {
		assert_true(slot <= PLAIN_SLOTS);
		assert_false(seen[slot]);
		seen[slot] = true;
	}
	return n;
}

void plain_count_lending(uint32_t slot)
{
	_Atomic uint64_t *lend = &slots[slot].lend;

	wi_store_rlx(lend, wi_load_rlx(lend) + 1);
}
