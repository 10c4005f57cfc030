/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The keeper draws once a second, so that there is something to see when it hangs or the process
 * crashes, and ten times a second while somebody looks. It never spends more than a small part of
 * its time on it: a picture that took long makes the next one wait.
 *
 * Who holds what, and who waits, is in the slots and seats anyway (held.c, core/waitq.c): nobody
 * writes anything for this.
 */
#include "pool/sketch.h"

#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "base/text.h"
#include "pool/pool.h"
#include "pool/tend.h"
#include "stat/ring.h"

/* Of the keeper's time, one part in so many at most. */
#define SHARE 50
/* Holders that have room in a picture of many hosts, and of each at least. */
#define HOLDERS_IN_ALL 2048
#define HOLDERS_AT_LEAST 32

/* ---- the job ---- */

static void draw(struct wi_sketch *s, uint32_t interval_ms, int64_t now_ns)
{
	struct wi_sheet sheet = {.now_ns = now_ns, .holders_a_pool = WI_VIEW_HOLDERS};
	struct timespec wall;

	clock_gettime(CLOCK_REALTIME, &wall);
	wi_pen_begin(&sheet.pen, &s->drawing);
	sheet.head.at_ns = now_ns;
	sheet.head.at_ms = (int64_t)wall.tv_sec * 1000 + wall.tv_nsec / WI_MS;
	sheet.head.keeper = (int32_t)gettid();
	sheet.head.interval_ms = interval_ms;
	sheet.head.no_primary_ns = -1;
	s->draw(s->arg, &sheet);
	(void)wi_pen_end(&sheet.pen, &sheet.head);
}

static int64_t turn(struct wi_job *job, int64_t now_ns)
{
	struct wi_sketch *s = WI_CONTAINER_OF(job, struct wi_sketch, job);
	int64_t interval_ns, took_ns;

	if (now_ns < s->due_ns)
		return s->due_ns;
	interval_ns = WI_MS * (wi_drawing_is_wanted(&s->drawing, now_ns) ? WI_VIEW_WATCHED_MS
	                                                                 : WI_VIEW_UNWATCHED_MS);
	draw(s, (uint32_t)(interval_ns / WI_MS), now_ns);
	took_ns = s->world->now() - now_ns;
	if (interval_ns < took_ns * SHARE)
		interval_ns = took_ns * SHARE;
	s->due_ns = wi_deadline_after(now_ns + took_ns, interval_ns / WI_MS);
	return s->due_ns;
}

static bool is_finished(struct wi_job *job)
{
	(void)job;
	return true;
}

weir_status wi_sketch_begin(struct wi_sketch *s, struct wi_keeper *keeper,
                            const struct wi_world *world, const weir_options *options,
                            bool is_router, weir_error *error)
{
	weir_status st;

	wi_drawing_end(&s->drawing); /* a parent's */
	st = wi_drawing_begin(&s->drawing, world == &wi_world_linux ? options->view : "off",
	                      is_router, options->application_name, error);
	if (st != WEIR_OK || !s->drawing.begun)
		return st;
	s->world = world;
	s->due_ns = 0;
	s->job = (struct wi_job){.turn = turn, .is_finished = is_finished};
	wi_keeper_add(keeper, &s->job);
	return WEIR_OK;
}

void wi_sketch_end(struct wi_sketch *s)
{
	wi_drawing_end(&s->drawing);
}

/* ---- hosts ---- */

void wi_sheet_host(struct wi_sheet *sheet, const weir_host_stats *host)
{
	struct wi_view_host record;

	wi_view_host_put(&record, host);
	wi_pen_add(&sheet->pen, &record, sizeof(record));
	sheet->head.n_hosts++;
	sheet->holders_a_pool = HOLDERS_IN_ALL / sheet->head.n_hosts;
	if (sheet->holders_a_pool > WI_VIEW_HOLDERS)
		sheet->holders_a_pool = WI_VIEW_HOLDERS;
	if (sheet->holders_a_pool < HOLDERS_AT_LEAST)
		sheet->holders_a_pool = HOLDERS_AT_LEAST;
}

/* ---- holders ---- */

/* Ages apart by a factor of two. */
static unsigned class_of(int64_t ns)
{
	return ns <= 0 ? 0 : 64 - (unsigned)__builtin_clzll((unsigned long long)ns);
}

/* From which class on all that are out have room; *total: how many are out. */
static unsigned youngest_class(const struct weir_pool *pool, int64_t now_ns, uint32_t room,
                               uint32_t *total)
{
	uint32_t of[65] = {0}, sum = 0;
	unsigned class = 65;

	for (uint32_t i = 1; i <= pool->n_conns; i++) {
		uint64_t lend = wi_load_rlx(&pool->conns[i].slot.lend);

		if (lend & 1)
			of[class_of(wi_held_for_ns(&pool->conns[i], lend, now_ns))]++;
	}
	while (class > 0 && sum + of[class - 1] <= room)
		sum += of[--class];
	*total = sum;
	for (unsigned i = 0; i < class; i++)
		*total += of[i];
	return class;
}

static bool fill_holder(struct wi_view_holder *r, struct weir_conn *c, uint64_t lend,
                        int64_t now_ns)
{
	const struct wi_seat *lender = wi_load_rlx(&c->lender);
	int64_t ns = wi_held_for_ns(c, lend, now_ns);
	const char *tag = wi_load_rlx(&c->tag);

	memset(r, 0, sizeof(*r));
	r->slot = c->number;
	r->thread = lender ? wi_load_rlx(&lender->thread) : 0;
	r->role = wi_load_rlx(&c->role);
	r->reason = wi_load_rlx(&c->reason);
	if (wi_held_is_orphan(c, lend, &r->thread))
		r->flags |= WI_VIEW_THREAD_ENDED;
	if (wi_load_rlx(&c->notes) & WI_NOTE_CUT)
		r->flags |= WI_VIEW_RECLAIMED;
	if (ns >= 0) {
		r->flags |= WI_VIEW_HELD_IS_KNOWN;
		r->held_ns = ns;
	}
	if (tag)
		wi_copy(r->tag, sizeof(r->tag), tag);
	return wi_load_rlx(&c->slot.lend) == lend; /* else it was given back while we looked */
}

void wi_sheet_holders(struct wi_sheet *sheet, struct weir_pool *pool, uint32_t host)
{
	uint32_t total, n = 0, room = sheet->holders_a_pool;
	unsigned class = youngest_class(pool, sheet->now_ns, room, &total);
	struct wi_view_holder record;

	for (uint32_t i = 1; i <= pool->n_conns; i++) {
		struct weir_conn *c = &pool->conns[i];
		/* [lend:A2] sees whom it was lent to; pairs with R1. */
		uint64_t lend = wi_load_acq(&c->slot.lend);

		if (!(lend & 1) || !fill_holder(&record, c, lend, sheet->now_ns))
			continue;
		if (class_of(wi_held_for_ns(&pool->conns[i], lend, sheet->now_ns)) < class ||
		    n == room)
			continue;
		record.host = host;
		wi_pen_add(&sheet->pen, &record, sizeof(record));
		n++;
	}
	sheet->head.n_holders += n;
	sheet->head.holders_total += total > n ? total : n;
}

/* ---- waiters ---- */

struct line {
	struct wi_sheet *sheet;
	struct wi_view_waiter oldest[WI_VIEW_WAITERS]; /* the oldest first */
	uint32_t n, host;
};

static void count_age(uint32_t waits[WI_VIEW_AGES], int64_t ns)
{
	static const int64_t below_ms[WI_VIEW_AGES - 1] = {1, 10, 100, 1000, 10000, 60000};
	int i = 0;

	while (i < WI_VIEW_AGES - 1 && ns >= below_ms[i] * WI_MS)
		i++;
	waits[i]++;
}

static void stand_in(void *arg, const struct wi_waiter *who)
{
	struct line *line = arg;
	struct wi_view_waiter r = {.thread = who->thread, .host = line->host};
	uint32_t at = line->n;

	r.waited_ns = line->sheet->now_ns - who->since_ns;
	if (r.waited_ns < 0)
		r.waited_ns = 0;
	count_age(line->sheet->head.waits, r.waited_ns);
	line->sheet->head.waiters_total++;
	while (at > 0 && line->oldest[at - 1].waited_ns < r.waited_ns)
		at--;
	if (at == WI_VIEW_WAITERS)
		return;
	if (line->n < WI_VIEW_WAITERS)
		line->n++;
	memmove(&line->oldest[at + 1], &line->oldest[at], (line->n - 1 - at) * sizeof(r));
	if (who->wish)
		wi_copy(r.tag, sizeof(r.tag), who->wish);
	line->oldest[at] = r;
}

void wi_sheet_waiters(struct wi_sheet *sheet, struct weir_pool *pool, uint32_t host)
{
	struct line line = {.sheet = sheet, .host = host};

	wi_waitq_each(&pool->core.waitq, stand_in, &line);
	wi_pen_add(&sheet->pen, line.oldest, line.n * sizeof(line.oldest[0]));
	sheet->head.n_waiters += line.n;
}

/* ---- events ---- */

void wi_sheet_events(struct wi_sheet *sheet, struct wi_ring *ring)
{
	uint64_t last = wi_load_rlx(&ring->last);
	weir_event_record told[WI_VIEW_EVENTS];
	size_t n = wi_ring_read(ring, last > WI_VIEW_EVENTS ? last - WI_VIEW_EVENTS : 0, told,
	                        WI_VIEW_EVENTS, NULL);

	for (size_t i = 0; i < n; i++) {
		struct wi_view_event r = {.sequence = told[i].sequence,
		                          .at_ms = told[i].wall_ns / WI_MS,
		                          .kind = told[i].kind};

		wi_copy(r.host, sizeof(r.host), told[i].host);
		wi_copy(r.text, sizeof(r.text), told[i].text);
		wi_pen_add(&sheet->pen, &r, sizeof(r));
	}
	sheet->head.n_events = (uint32_t)n;
}

/* ---- a pool by itself ---- */

void wi_sketch_draw_pool(void *arg, struct wi_sheet *sheet)
{
	struct weir_pool *pool = arg;
	weir_host_stats host = {.probe_age_ms = -1, .lag_bytes = -1, .lag_ms = -1};

	wi_tend_glance(pool, sheet->now_ns);
	wi_pool_read(pool, &host.pool);
	memcpy(host.host, host.pool.host, sizeof(host.host));
	wi_sheet_host(sheet, &host);
	wi_sheet_holders(sheet, pool, 0);
	wi_sheet_waiters(sheet, pool, 0);
	wi_sheet_events(sheet, pool->ring);
	sheet->head.at_gate = wi_load_rlx(&pool->at_gate);
	sheet->head.flags = (wi_load_rlx(&pool->closed) ? WI_VIEW_CLOSING : 0) |
	                    (host.pool.suspended ? WI_VIEW_SUSPENDED : 0);
}
