/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What is known of who holds what: since when, whether the thread it was lent to has ended, and the
 * stack it was taken with, where that was asked for.
 */
#ifndef WI_POOL_HELD_H
#define WI_POOL_HELD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <weir/stats.h>

#include "base/posted.h"
#include "base/text.h"
#include "core/seat.h"

struct weir_conn;
struct weir_pool;

/* How many callers are named by module and offset where the stack is taken, for the keeper. */
#define WI_STACK_PLACES 7
#define WI_STACK_PLACE 40

/* The stack of a checkout. Frames of weir's own shared library have no place. */
struct wi_stack {
	uint64_t lend; /* the count of the lending it belongs to */
	uint32_t frames, places;
	void *frame[WEIR_HELD_FRAMES];
	char place[WI_STACK_PLACES][WI_STACK_PLACE];
};
_Static_assert(sizeof(struct wi_stack) <= WI_POSTED_WORDS * 8, "it can be posted");

/*
 * Room for stacks, if they are wanted, before the pool has threads, for at most so many slots.
 * false: no memory; wi_held_fini all the same.
 */
bool wi_held_init(struct weir_pool *pool, uint32_t most);

/* Makes sure of memory for so many slots. Any thread. false: there is none. */
bool wi_held_grow(struct weir_pool *pool, uint32_t slots);

void wi_held_fini(struct weir_pool *pool);
/* In a forked child: what the parent's threads held is nobody's. */
void wi_held_forget(struct weir_pool *pool);

/*
 * As core's on_leave: the thread of this seat ends; what is lent to it is noted, for the keeper.
 */
void wi_held_thread_ends(void *pool, struct wi_seat *seat);

/*
 * Whether this lending's thread has ended, and its number: of the one that ended, as its seat may
 * have another by now.
 */
bool wi_held_is_orphan(const struct weir_conn *c, uint64_t lend, int32_t *thread);

/* Of an orphan: for how many milliseconds its thread has ended, up to 24 days; 0: since now_ns. */
uint32_t wi_held_ended_ago_ms(const struct weir_conn *c, int64_t now_ns);

/* Of an orphan: that it was told, and seen to; and whether. Keeper's thread. */
void wi_held_told(struct weir_conn *c, uint64_t lend);
bool wi_held_was_told(const struct weir_conn *c, uint64_t lend);

/*
 * For how long this lending has gone on, as far as is known; -1: the keeper has not looked yet. Who
 * asks is to see afterwards that it still goes on.
 */
int64_t wi_held_for_ns(const struct weir_conn *c, uint64_t lend, int64_t now_ns);

/* Records the calling thread's stack with a slot that was just lent to it. */
void wi_held_stack(struct weir_conn *c);

/* Adds " taken at ..." to a text, if the stack of this lending is known. */
void wi_held_say_stack(struct wi_text *t, struct weir_conn *c, uint64_t lend);

/* What one thread holds. */
struct wi_own {
	uint32_t n;      /* how many */
	bool others;     /* others hold some, too */
	uint64_t digest; /* of which lendings they are */
	struct wi_text *tags;
};

/*
 * What the seat's thread holds; its tags are added to own->tags, if that is set. alone: the search
 * ends at the first that is another's. Any thread.
 */
void wi_held_by(struct weir_pool *pool, const struct wi_seat *seat, bool alone, struct wi_own *own);

/*
 * The seat's thread is about to sleep for a connection: if it holds all there are, and no more can
 * come, that is told, once for what it holds.
 */
void wi_held_warn(struct weir_pool *pool, struct wi_seat *seat);

/* Adds to the text of a timeout what the calling thread holds itself. */
void wi_held_say_own(struct weir_pool *pool, struct wi_text *t);

/* The pool's part of weir_pool_held_get: how many are out, of which up to `room` are listed. */
size_t wi_held_list(struct weir_pool *pool, weir_held *held, size_t room);

#endif
