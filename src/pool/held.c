/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Idea. A checkout writes which thread it is and nothing else. Everything more that is to be known
 * of a lending is written by somebody who is not in a hurry: since when it is out, by the keeper;
 * that its thread has ended, by that thread as it leaves its seat; its stack, in a table beside the
 * slots, by a checkout that found a note on the slot and so was on the slow path anyway.
 *
 * Each of these carries the count of the lending it is about, so that what is old never speaks of a
 * later one.
 *
 * Orderings. R1 (warm.h) in lending, A1 in the end of a thread, A2 in listing: who sees a slot lent
 * sees to whom. R2 in the end of a thread, A3 at the keeper: it sees all that was noted. [seen:R1]
 * at the keeper (tend.h), A1 in listing: who sees that a lending was looked at sees since when.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "pool/held.h"

#include <dlfcn.h>
#include <errno.h>
#include <string.h>
#if __has_include(<execinfo.h>)
#include <execinfo.h>
#define HAS_BACKTRACE 1
#endif
#ifdef __GLIBC__
#if __GLIBC_PREREQ(2, 35)
#include <link.h>
#define HAS_FIND_OBJECT 1
#endif
#endif

#include "base/alloc.h"
#include "base/atomic.h"
#include "base/clock.h"
#include "core/desk.h"
#include "pool/pool.h"

/* Of ended_lend: it was told. No count of lendings ever comes so far. */
#define TOLD (UINT64_C(1) << 63)

static size_t stacks_bytes(uint32_t slots)
{
	return ((size_t)slots + 1) * sizeof(struct wi_posted);
}

/* So many slots are there, as any thread may know. */
static uint32_t slots_of(const struct weir_pool *pool)
{
	/* [slot:A3] as A1; pairs with R1. */
	return wi_load_acq(&pool->core.table.count);
}

static int walk(void **frame, int room)
{
#ifdef HAS_BACKTRACE
	return backtrace(frame, room);
#else
	(void)frame;
	(void)room;
	return 0;
#endif
}

bool wi_held_init(struct weir_pool *pool, uint32_t most)
{
	uint32_t n = pool->n_conns;
	void *first[2];

	if (pool->options.leak_stack == WEIR_LEAK_STACK_OFF)
		return true;
	(void)walk(first, 2); /* the first one loads a library: not on the way to a connection */
	atomic_init(&pool->stack_every, pool->options.leak_stack == WEIR_LEAK_STACK_ALWAYS);
	if (!wi_room_open(&pool->stacks_room, stacks_bytes(n), stacks_bytes(most),
	                  stacks_bytes(most), WI_LINE))
		return false;
	pool->stacks = (struct wi_posted *)(void *)pool->stacks_room.base;
	return true;
}

bool wi_held_grow(struct weir_pool *pool, uint32_t slots)
{
	return !pool->stacks || wi_room_grow(&pool->stacks_room, stacks_bytes(slots));
}

void wi_held_fini(struct weir_pool *pool)
{
	wi_room_close(&pool->stacks_room);
	pool->stacks = NULL;
}

void wi_held_forget(struct weir_pool *pool)
{
	for (uint32_t i = 1; i <= pool->n_conns; i++) {
		struct weir_conn *c = &pool->conns[i];

		wi_store_rlx(&c->ended_lend, 0);
		c->timed_lend = 0;
		c->timed_lent = wi_load_rlx(&c->slot.lend) >> 1;
	}
	if (pool->stacks)
		memset(pool->stacks, 0, stacks_bytes(pool->n_conns));
	wi_store_rlx(&pool->bereaved, 0);
	pool->mourn_ns = 0;
}

/* ---- threads that end ---- */

static uint32_t ms_of(int64_t ns)
{
	return (uint32_t)((uint64_t)ns / (uint64_t)WI_MS);
}

/* Whether it was noted that the thread of this lending has ended. */
static bool is_orphaned(const struct weir_conn *c, uint64_t lend)
{
	/* [held:A3] sees whose it was and when; pairs with R2. */
	return (wi_load_acq(&c->ended_lend) & ~TOLD) == lend;
}

void wi_held_thread_ends(void *arg, struct wi_seat *seat)
{
	struct weir_pool *pool = arg;
	bool any = false;

	if (wi_pool_is_parents(pool))
		return;
	for (uint32_t i = 1, n = slots_of(pool); i <= n; i++) {
		struct weir_conn *c = &pool->conns[i];
		/* [lend:A1] sees whom it was lent to; pairs with R1. */
		uint64_t lend = wi_load_acq(&c->slot.lend);

		if (!(lend & 1) || wi_load_rlx(&c->lender) != seat)
			continue;
		if (is_orphaned(c, lend))
			continue; /* it was left by one that sat here before */
		wi_store_rlx(&c->ended_thread, wi_load_rlx(&seat->thread));
		wi_store_rlx(&c->ended_ms, ms_of(pool->core.world->now()));
		/* [held:R2] whose and when; pairs with A3. */
		wi_store_rel(&c->ended_lend, lend);
		any = true;
	}
	if (!any)
		return;
	wi_store_seq(&pool->bereaved, 1);
	wi_keeper_ring(pool->keeper);
}

bool wi_held_is_orphan(const struct weir_conn *c, uint64_t lend, int32_t *thread)
{
	if (!is_orphaned(c, lend))
		return false;
	*thread = wi_load_rlx(&c->ended_thread);
	return true;
}

uint32_t wi_held_ended_ago_ms(const struct weir_conn *c, int64_t now_ns)
{
	uint32_t ms = ms_of(now_ns) - wi_load_rlx(&c->ended_ms);

	return ms <= UINT32_MAX / 2 ? ms : 0; /* it has ended since now_ns */
}

void wi_held_told(struct weir_conn *c, uint64_t lend)
{
	/* Else it came back, and the thread that had it next has ended, too: to be told itself. */
	(void)wi_cas_rlx(&c->ended_lend, &lend, lend | TOLD);
}

bool wi_held_was_told(const struct weir_conn *c, uint64_t lend)
{
	return wi_load_rlx(&c->ended_lend) != lend;
}

/* ---- since when ---- */

int64_t wi_held_for_ns(const struct weir_conn *c, uint64_t lend, int64_t now_ns)
{
	int64_t ns;

	/* [seen:A1] not the time of a count before; pairs with R1. */
	if (wi_load_acq(&c->seen_lend) != lend)
		return -1;
	ns = now_ns - wi_load_rlx(&c->seen_ns);
	return ns > 0 ? ns : 0;
}

/* ---- threads that wait for themselves ---- */

void wi_held_by(struct weir_pool *pool, const struct wi_seat *seat, bool alone, struct wi_own *own)
{
	uint32_t n = slots_of(pool), first = seat->number % n;
	int32_t ended;

	/* Each begins elsewhere, so that a crowd that looks does not look at one line. */
	for (uint32_t i = 0; i < n && !(alone && own->others); i++) {
		struct weir_conn *c = &pool->conns[1 + (first + i) % n];
		/* [lend:A2] sees whom it was lent to; pairs with R1. */
		uint64_t lend = wi_load_acq(&c->slot.lend);
		const char *tag = wi_load_rlx(&c->tag);

		if (!(lend & 1) || (wi_load_rlx(&c->notes) & WI_NOTE_CUT))
			continue;
		if (wi_load_rlx(&c->lender) != seat || wi_held_is_orphan(c, lend, &ended)) {
			own->others = true;
			continue;
		}
		own->n++;
		own->digest =
			(own->digest ^ (lend << 16 | c->number)) * UINT64_C(0x9e3779b97f4a7c15);
		if (own->tags && tag)
			wi_text_add(own->tags, "%s%s", own->tags->len ? ", " : "", tag);
	}
}

/* Whether the thread of this seat holds all there are, and no more can come. */
static bool holds_all(struct weir_pool *pool, const struct wi_seat *seat, struct wi_own *own)
{
	if (wi_load_rlx(&pool->demand))
		return false; /* one more could be opened */
	wi_held_by(pool, seat, true, own);
	/* What is idle, on its way, or with the keeper is none of ours, and counts here. */
	return !own->others && own->n && own->n >= wi_pool_shown_total(pool);
}

WI_NOINLINE void wi_held_warn(struct weir_pool *pool, struct wi_seat *seat)
{
	char words[WEIR_ERROR_TEXT / 2];
	struct wi_own own = {0};
	struct wi_text tags;

	if (!holds_all(pool, seat, &own) || own.digest == seat->told)
		return;
	seat->told = own.digest;
	wi_text_init(&tags, words, sizeof(words));
	own = (struct wi_own){.tags = &tags};
	wi_held_by(pool, seat, false, &own);
	wi_pool_tell(pool, WEIR_EVENT_SELF_DEADLOCK,
	             "thread %d waits for a connection to %s and holds all %u of them itself%s%s%s",
	             (int)wi_load_rlx(&seat->thread), pool->endpoint->name, own.n,
	             words[0] ? " (" : "", words, words[0] ? ")" : "");
}

void wi_held_say_own(struct weir_pool *pool, struct wi_text *t)
{
	const struct wi_seat *seat = wi_desk_find(&pool->core);
	struct wi_own own = {0};

	if (!seat)
		return;
	if (holds_all(pool, seat, &own)) {
		wi_text_add(t, "; this thread waits for itself: it holds all %u of them", own.n);
		return;
	}
	own = (struct wi_own){0};
	wi_held_by(pool, seat, false, &own);
	if (own.n)
		wi_text_add(t, "; this thread holds %u of them", own.n);
}

/* ---- stacks ---- */

#ifdef HAS_FIND_OBJECT
static const char *name_of(const struct dl_find_object *o)
{
	const char *path = o->dlfo_link_map->l_name, *slash;

	if (!path || !path[0])
		return program_invocation_short_name;
	slash = strrchr(path, '/');
	return slash ? slash + 1 : path;
}

/*
 * Module and offset of a caller, which addr2line understands. Here and not by the keeper: what is
 * on the stack is loaded, and this look takes no lock of the loader's.
 */
static void place(struct wi_stack *s, const struct dl_find_object *own, void *frame)
{
	struct dl_find_object o;
	struct wi_text t;

	if (s->places == WI_STACK_PLACES || _dl_find_object(frame, &o) != 0)
		return;
	if (o.dlfo_link_map == own->dlfo_link_map && own->dlfo_link_map->l_name[0])
		return; /* weir's own */
	wi_text_init(&t, s->place[s->places++], WI_STACK_PLACE);
	wi_text_add(&t, "%.24s+0x%llx", name_of(&o),
	            (unsigned long long)((uintptr_t)frame - o.dlfo_link_map->l_addr));
}

static void find_places(struct wi_stack *s)
{
	struct dl_find_object own;

	if (_dl_find_object((void *)(uintptr_t)wi_held_stack, &own) != 0)
		return;
	for (uint32_t i = 0; i < s->frames; i++)
		place(s, &own, s->frame[i]);
}
#else
static void find_places(struct wi_stack *s)
{
	(void)s;
}
#endif

WI_COLD void wi_held_stack(struct weir_conn *c)
{
	struct weir_pool *pool = c->pool;
	struct wi_stack s = {.lend = wi_load_rlx(&c->slot.lend)};
	int saved = errno, frames;

	if (!wi_load_rlx(&pool->stack_every))
		wi_and_rlx(&c->notes, ~(uint32_t)WI_NOTE_STACK);
	frames = walk(s.frame, WEIR_HELD_FRAMES);
	s.frames = frames > 0 ? (uint32_t)frames : 0;
	find_places(&s);
	wi_post(&pool->stacks[c->number], &s, sizeof(s));
	errno = saved;
}

static bool stack_of(struct weir_conn *c, uint64_t lend, struct wi_stack *s)
{
	return c->pool->stacks && wi_posted_read(&c->pool->stacks[c->number], s, sizeof(*s)) &&
	       s->lend == lend;
}

void wi_held_say_stack(struct wi_text *t, struct weir_conn *c, uint64_t lend)
{
	struct wi_stack s;

	if (!stack_of(c, lend, &s))
		return;
	for (uint32_t i = 0; i < s.places; i++)
		wi_text_add(t, "%s%s", i ? " < " : "; taken at ", s.place[i]);
}

/* ---- the list ---- */

/* On the caller's thread: it may wait for the loader's lock. */
static void name_frames(weir_held *held)
{
	struct wi_text t;

	wi_text_init(&t, held->stack, sizeof(held->stack));
	for (uint32_t i = 0; i < held->frames; i++) {
		uintptr_t at = (uintptr_t)held->frame[i];
		Dl_info info;

		if (i)
			wi_text_add(&t, "\n");
		if (!dladdr(held->frame[i], &info) || !info.dli_fname)
			wi_text_add(&t, "%p", held->frame[i]);
		else if (info.dli_sname)
			wi_text_add(&t, "%s+0x%llx (%s)", info.dli_sname,
			            (unsigned long long)(at - (uintptr_t)info.dli_saddr),
			            info.dli_fname);
		else
			wi_text_add(&t, "%s+0x%llx", info.dli_fname,
			            (unsigned long long)(at - (uintptr_t)info.dli_fbase));
	}
}

static void fill(weir_held *held, struct weir_conn *c, uint64_t lend)
{
	struct weir_pool *pool = c->pool;
	const struct wi_seat *lender = wi_load_rlx(&c->lender);
	int64_t held_ns = wi_held_for_ns(c, lend, pool->core.world->now());
	int32_t thread = lender ? wi_load_rlx(&lender->thread) : 0;
	struct wi_stack s;

	memset(held, 0, sizeof(*held));
	wi_copy(held->host, sizeof(held->host), pool->endpoint->name);
	held->role = (weir_role)wi_load_rlx(&c->role);
	held->reason = (weir_reason)wi_load_rlx(&c->reason);
	held->tag = wi_load_rlx(&c->tag);
	held->thread_ended = wi_held_is_orphan(c, lend, &thread);
	held->thread = thread;
	held->reclaimed = wi_load_rlx(&c->notes) & WI_NOTE_CUT;
	held->held_ns = held_ns > 0 ? held_ns : 0;
	if (!stack_of(c, lend, &s))
		return;
	held->frames = s.frames;
	memcpy(held->frame, s.frame, sizeof(held->frame));
	name_frames(held);
}

size_t wi_held_list(struct weir_pool *pool, weir_held *held, size_t room)
{
	uint32_t slots = slots_of(pool);
	size_t n = 0;

	for (uint32_t i = 1; i <= slots; i++) {
		struct weir_conn *c = &pool->conns[i];
		uint64_t lend = wi_load_acq(&c->slot.lend); /* [lend:A2] pairs with R1 */

		if (!(lend & 1))
			continue;
		if (n < room) {
			fill(&held[n], c, lend);
			if (wi_load_rlx(&c->slot.lend) != lend)
				continue; /* given back while we looked */
		}
		n++;
	}
	return n;
}

size_t weir_pool_held_get(weir_pool *pool, weir_held *held, size_t room)
{
	if (!pool || wi_pool_is_parents(pool))
		return 0;
	return wi_held_list(pool, held, held ? room : 0);
}
