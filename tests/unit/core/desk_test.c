/* SPDX-License-Identifier: BSD-2-Clause */
/* Threads and cores: who ends first, ids that are used again, and where a cached slot goes. */
#include "core/desk.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/atomic.h"
#include "base/clock.h"
#include "support/threads.h"
#include "support/watchdog.h"

#define SLOTS 4
#define MANY 40

struct place {
	struct wi_core core;
	struct wi_slot slots[SLOTS + 1];
};

static struct place places[MANY];

static void open_place(struct place *p)
{
	struct wi_table table = {(char *)p->slots, sizeof(struct wi_slot), SLOTS};

	memset(p, 0, sizeof(*p));
	assert_true(wi_core_init(&p->core, table, &wi_world_linux));
}

static void close_place(struct place *p)
{
	wi_core_fini(&p->core);
}

/* Runs the bodies in threads of their own, to their ends. */
static void run(int n, void (*body)(struct test_thread *), void *arg)
{
	struct test_thread reports[4];

	test_threads_run(n, body, arg, -1, reports);
	assert_null(test_first_wrong(reports, n));
}

static uint32_t take(struct place *p)
{
	return wi_core_take(&p->core, wi_desk_seat(&p->core));
}

static void put_2(struct test_thread *self)
{
	struct place *p = self->arg;
	struct wi_seat *seat = wi_desk_seat(&p->core);

	if (!seat || seat != wi_desk_seat(&p->core))
		test_wrong(self, "a thread has one seat a core");
	else
		wi_core_put(&p->core, seat, 2);
}

static void the_end_of_a_thread_returns_what_it_kept(void **state)
{
	struct place *p = &places[0];
	uint64_t seated = 0;

	(void)state;
	open_place(p);
	run(1, put_2, p);
	seated = wi_load_rlx(&wi_segment_at(&p->core.seats, 0)->taken);
	assert_int_equal(seated, 0); /* the seat is free again */
	assert_false(wi_freelist_is_empty(&p->core.list[0]));
	assert_int_equal(take(p), 2);
	close_place(p);
}

/*
 * One waits; the other ends with the slot in its cache, or gives it to the one who waits already.
 */
static void wait_or_end(struct test_thread *self)
{
	struct place *p = self->arg;
	struct wi_outcome o;

	if (self->number == 1) {
		put_2(self);
		return;
	}
	o = wi_core_wait(&p->core, wi_desk_seat(&p->core), wi_now_ns() + 20 * WI_SEC);
	if (o.verdict != WI_GRANTED || o.value != 2)
		test_wrong(self, "the slot of a thread that ended did not come");
	else
		wi_core_put(&p->core, wi_desk_seat(&p->core), 2);
}

static void the_end_of_a_thread_serves_who_waits(void **state)
{
	struct place *p = &places[0];

	(void)state;
	open_place(p);
	for (int i = 0; i < 50; i++) {
		run(2, wait_or_end, p);
		assert_int_equal(take(p), 2);
	}
	close_place(p);
}

static _Atomic uint32_t gate;

static void sit_until_the_gate_opens(struct test_thread *self)
{
	put_2(self);
	wi_store_rel(&gate, 1);
	wi_world_linux.wake(&gate);
	while (wi_load_acq(&gate) != 2)
		wi_world_linux.park(&gate, 1, WI_FOREVER);
}

static void close_while_seated(struct test_thread *self)
{
	struct place *p = self->arg;

	if (self->number == 0) {
		sit_until_the_gate_opens(self);
		return;
	}
	while (wi_load_acq(&gate) != 1)
		wi_world_linux.park(&gate, 0, WI_FOREVER);
	wi_core_fini(&p->core);
	memset(p, 0xee, sizeof(*p)); /* whoever touches it now is found out */
	wi_store_rel(&gate, 2);
	wi_world_linux.wake(&gate);
}

static void a_core_may_go_before_its_threads(void **state)
{
	(void)state;
	open_place(&places[0]);
	wi_store_rlx(&gate, 0);
	run(2, close_while_seated, &places[0]);
	for (size_t i = 0; i < sizeof(places[0]); i++)
		assert_int_equal(((unsigned char *)&places[0])[i], 0xee);
}

static void sit_everywhere(struct test_thread *self)
{
	struct wi_seat *seat[MANY];

	for (int i = 0; i < MANY; i++) {
		seat[i] = wi_desk_seat(&places[i].core);
		if (!seat[i])
			test_wrong(self, "no seat in core %d", i);
		else
			wi_core_put(&places[i].core, seat[i], 1);
	}
	for (int i = 0; i < MANY; i++)
		if (seat[i] != wi_desk_seat(&places[i].core))
			test_wrong(self, "the seat in core %d was forgotten when the desk grew", i);
}

static void a_thread_sits_in_many_cores(void **state)
{
	(void)state;
	for (int i = 0; i < MANY; i++)
		open_place(&places[i]);
	run(1, sit_everywhere, NULL);
	for (int i = 0; i < MANY; i++) {
		assert_int_equal(take(&places[i]), 1);
		close_place(&places[i]);
	}
}

static void an_id_is_used_again_and_leads_to_the_new_core(void **state)
{
	struct wi_seat *new;
	uint64_t uid;
	uint32_t id;

	(void)state;
	open_place(&places[0]);
	id = places[0].core.id;
	uid = places[0].core.uid;
	assert_non_null(wi_desk_seat(&places[0].core));
	close_place(&places[0]);
	open_place(&places[1]);
	assert_int_equal(places[1].core.id, id);
	assert_true(places[1].core.uid != uid);
	new = wi_desk_seat(&places[1].core);
	assert_ptr_equal(new, &wi_segment_at(&places[1].core.seats, 0)->seat[0]);
	close_place(&places[1]);
}

/*
 * A thread whose seat was in the core that had the id before does not return that seat to the one
 * that has it now.
 */
static void replace_while_seated(struct test_thread *self)
{
	struct place *p = self->arg;

	if (self->number == 0) {
		sit_until_the_gate_opens(self);
		return;
	}
	while (wi_load_acq(&gate) != 1)
		wi_world_linux.park(&gate, 0, WI_FOREVER);
	wi_core_fini(&p->core);
	if (!wi_core_init(&p->core, p->core.table, &wi_world_linux) || !wi_desk_seat(&p->core))
		test_wrong(self, "no new core or no seat in it");
	self->count[0] = wi_load_rlx(&wi_segment_at(&p->core.seats, 0)->taken);
	wi_store_rel(&gate, 2);
	wi_world_linux.wake(&gate);
}

static void an_ending_thread_spares_the_core_that_took_over_the_id(void **state)
{
	(void)state;
	open_place(&places[0]);
	wi_store_rlx(&gate, 0);
	run(2, replace_while_seated, &places[0]);
	assert_int_equal(take(&places[0]), WI_SLOT_NONE);
	close_place(&places[0]);
}

static void slots_of_living_cores_are_known(void **state)
{
	int local;

	(void)state;
	open_place(&places[0]);
	for (uint32_t s = 1; s <= SLOTS; s++)
		assert_true(wi_desk_knows(&places[0].slots[s]));
	assert_false(wi_desk_knows(&places[0].slots[0]));
	assert_false(wi_desk_knows(&places[0].slots[SLOTS + 1]));
	assert_false(wi_desk_knows((char *)&places[0].slots[1] + 1));
	assert_false(wi_desk_knows(&local));
	assert_false(wi_desk_knows(NULL));
	close_place(&places[0]);
	assert_false(wi_desk_knows(&places[0].slots[1]));
}

static void sit_without_memory(struct test_thread *self)
{
	struct place *p = self->arg;

	for (int n = 1; n <= 2; n++) {
		wi_alloc_fail_at(n); /* the desk, then the segment */
		if (wi_desk_seat(&p->core))
			test_wrong(self, "a seat without memory");
	}
	wi_alloc_fail_at(0);
	put_2(self);
}

static void want_of_memory_is_no_seat_and_passes(void **state)
{
	size_t before = wi_alloc_bytes();

	(void)state;
	open_place(&places[0]);
	run(1, sit_without_memory, &places[0]);
	assert_int_equal(take(&places[0]), 2);
	close_place(&places[0]);
	/* this thread's desk, if this test runs alone */
	assert_true(wi_alloc_bytes() <= before + 1024);
}

static void there_is_an_end_to_cores(void **state)
{
	struct place *crowd = calloc(WI_CORES_MAX + 1, sizeof(*crowd));
	struct wi_table table = {.stride = sizeof(struct wi_slot)};
	uint32_t n = 0;

	(void)state;
	assert_non_null(crowd);
	while (n < WI_CORES_MAX && wi_core_init(&crowd[n].core, table, &wi_world_linux))
		n++;
	assert_int_equal(n, WI_CORES_MAX);
	assert_false(wi_core_init(&crowd[n].core, table, &wi_world_linux));
	close_place(&crowd[17]);
	assert_true(wi_core_init(&crowd[17].core, table, &wi_world_linux));
	assert_non_null(wi_desk_seat(&crowd[WI_CORES_MAX - 1].core));
	while (n > 0)
		close_place(&crowd[--n]);
	free(crowd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_end_of_a_thread_returns_what_it_kept),
		cmocka_unit_test(the_end_of_a_thread_serves_who_waits),
		cmocka_unit_test(a_core_may_go_before_its_threads),
		cmocka_unit_test(a_thread_sits_in_many_cores),
		cmocka_unit_test(an_id_is_used_again_and_leads_to_the_new_core),
		cmocka_unit_test(an_ending_thread_spares_the_core_that_took_over_the_id),
		cmocka_unit_test(slots_of_living_cores_are_known),
		cmocka_unit_test(want_of_memory_is_no_seat_and_passes),
		cmocka_unit_test(there_is_an_end_to_cores),
	};

	test_watchdog(60, "unit.core.desk");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
