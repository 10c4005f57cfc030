/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The ring of events, made small (two records of a few words): whatever is read was written by one
 * writer alone, in its number's place, also while others write, meet in one record, or are stopped
 * in it for good.
 */
#include "stat/ring.h"

#include <string.h>

#include "base/atomic.h"
#include "sched/sched.h"

#define PER_WRITER 2

static struct wi_record records[WI_RING_RECORDS];
static struct wi_ring ring;

static void small(void)
{
	memset(records, 0, sizeof(records));
	ring = (struct wi_ring){.record = records};
}

/* Every word of an event says the same. */
static void tell(int64_t what)
{
	struct wi_told told = {.at_ns = what, .wall_ns = what, .kind = WEIR_EVENT_LEAK};

	memset(told.host, (int)what, sizeof(told.host) - 1);
	memset(told.text, (int)what, sizeof(told.text) - 1);
	(void)wi_ring_add(&ring, &told);
}

static void write_some(void)
{
	for (int i = 0; i < PER_WRITER; i++)
		tell(1 + sched_self() * PER_WRITER + i);
}

static void write_one(void)
{
	tell(1 + sched_self());
}

static void check(const weir_event_record *r)
{
	char same[WI_RING_TEXT];

	memset(same, (int)r->at_ns, sizeof(same) - 1);
	same[sizeof(same) - 1] = '\0';
	if (r->at_ns < 1 || r->wall_ns != r->at_ns || strcmp(r->host, same) != 0 ||
	    strcmp(r->text, same) != 0)
		sched_fail("event %d is of several writers", (int)r->sequence);
}

/* Reads what there is, and returns how far it came. */
static uint64_t read_on(uint64_t after)
{
	weir_event_record got[2 * WI_RING_RECORDS];
	uint64_t lost;
	size_t n = wi_ring_read(&ring, after, got, 2 * WI_RING_RECORDS, &lost);

	for (size_t i = 0; i < n; i++) {
		sched_check(got[i].sequence > after);
		check(&got[i]);
		after = got[i].sequence;
	}
	return after;
}

static void read_twice(void)
{
	uint64_t before[WI_RING_RECORDS];
	uint64_t after;

	for (int i = 0; i < WI_RING_RECORDS; i++)
		before[i] = wi_load_acq(&records[i].state);
	after = read_on(0);
	for (int i = 0; i < WI_RING_RECORDS; i++)
		if (wi_load_acq(&records[i].state) < before[i])
			sched_fail("a record goes back to an older event");
	(void)read_on(after);
}

/*
 * When all have ended, each record has the last event of its place, or a writer that was stopped.
 */
static void all_is_there(void)
{
	weir_event_record got[WI_RING_RECORDS];
	uint64_t last = wi_load_rlx(&ring.last), lost;
	size_t n = wi_ring_read(&ring, 0, got, WI_RING_RECORDS, &lost);

	for (size_t i = 0; i < n; i++)
		check(&got[i]);
	for (int i = 0; i < WI_RING_RECORDS; i++)
		sched_check(sched_anybody_stopped() || !(wi_load_rlx(&records[i].state) & 1));
	sched_check(last <= 2 * PER_WRITER + 1);
	if (!sched_anybody_stopped())
		sched_check(wi_ring_count(&ring, WEIR_EVENT_LEAK) == last);
}

/* No two of them in one record: nothing may be missing. */
static void nothing_is_missing(void)
{
	weir_event_record got[WI_RING_RECORDS];
	uint64_t lost;

	all_is_there();
	sched_check(wi_ring_read(&ring, 0, got, WI_RING_RECORDS, &lost) == WI_RING_RECORDS);
	sched_check(lost == 0);
}

static const struct sched_scenario scenarios[] = {
	{
		.name = "one_writes_one_reads",
		.set_up = small,
		.thread = {{"W", write_some}, {"R", read_twice}},
		.at_end = all_is_there,
		.bounds = {.switches = 4, .looks = 3, .total = 5},
		.most = 200000,
		.random = 10000,
	},
	{
		.name = "two_write_one_event_each",
		.set_up = small,
		.thread = {{"V", write_one}, {"W", write_one}, {"R", read_twice}},
		.at_end = nothing_is_missing,
		.bounds = {.switches = 3, .looks = 2, .total = 4},
		.most = 200000,
		.random = 10000,
	},
	{
		.name = "two_write_over_each_other",
		.set_up = small,
		.thread = {{"V", write_some}, {"W", write_some}, {"R", read_twice}},
		.at_end = all_is_there,
		.bounds = {.switches = 3, .looks = 2, .total = 3},
		.most = 200000,
		.random = 20000,
	},
	{
		.name = "a_writer_is_stopped_in_the_middle",
		.set_up = small,
		.thread = {{"V", write_one}, {"W", write_some}, {"R", read_twice}},
		.at_end = all_is_there,
		.bounds = {.switches = 2, .looks = 2, .stops = 1, .total = 3},
		.stoppable = 1,
		.most = 200000,
		.random = 20000,
	},
	{.name = NULL},
};

int main(int argc, char **argv)
{
	return sched_main(argc, argv, scenarios);
}
