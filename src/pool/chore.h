/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A chore: a call that may block (a name lookup, a callback of the user's, a cancel request), on a
 * thread of its own, since neither the keeper nor a caller may wait for it.
 *
 * Whoever wants one embeds a struct wi_chore in an object of his own, with all that the call needs,
 * and starts it; the object is shared by the thread and the askers until each has let go of it:
 *
 *	struct guess {
 *		struct wi_chore chore;          // first
 *		char question[64];              // the asker's until the start, the thread's until done
 *		int answer;                     // the thread's until done, then the askers'
 *	};
 *	g->chore.run = ..., g->chore.dispose = ...;
 *	if (!wi_chore_start(&g->chore, WI_CHORE_USER, pool->keeper)) ...wi_chore_drop(&g->chore, NULL)...
 *	...in each turn: wi_chore_poll(&g->chore): 0, or done: read the answer, and wi_chore_drop...
 */
#ifndef WI_POOL_CHORE_H
#define WI_POOL_CHORE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct wi_keeper;

/* Kinds have their own bound of threads, so that those that hang hold up only their like. */
enum wi_chore_kind {
	WI_CHORE_LOOKUP, /* holds locks of the C library's: a fork waits for it, but not for long */
	WI_CHORE_USER,   /* a callback of the user's */
	WI_CHORE_CANCEL,
	WI_CHORE_KINDS
};

enum wi_chore_state { WI_CHORE_QUEUED, WI_CHORE_RUNNING, WI_CHORE_DONE, WI_CHORE_LOST };

/* Whom to ring when a chore is done. */
struct wi_chore_ring {
	struct wi_keeper *keeper; /* NULL: nobody, or no longer */
	struct wi_chore_ring *next;
};

/*
 * Access key: (c) constant once started; (l) under the lock of all chores; (a) atomic, written
 * under that lock.
 */
struct wi_chore {
	/* (c) The call, on the thread, outside any lock. Signals are blocked. */
	void (*run)(struct wi_chore *chore);
	/*
	 * (c) Frees the object; by whoever lets go last, outside any lock, on his thread. A chore
	 * whose state is LOST may have stopped anywhere in its call: what that was writing is not
	 * to be looked at.
	 */
	void (*dispose)(struct wi_chore *chore);
	enum wi_chore_kind kind;           /* (c) */
	_Atomic enum wi_chore_state state; /* (a) */
	uint32_t holders;                  /* (l) the askers, and the thread */
	struct wi_chore_ring own;          /* (l) the first asker's */
	struct wi_chore_ring *rings;       /* (l) */
	struct wi_chore *next, **prev;     /* (l) the chores of its kind, oldest first */
};

/*
 * Begins the chore, or queues it where its kind has no thread left, for one asker; keeper (may be
 * NULL) is rung when it is done. Never blocks. Either way the asker holds it until his drop; false:
 * there is no thread for it, and it is LOST.
 */
bool wi_chore_start(struct wi_chore *chore, enum wi_chore_kind kind, struct wi_keeper *keeper);

/*
 * 0: not done yet; 1: done, and what the call wrote is to be seen; -1: lost, since the thread is in
 * a parent of this process, or there is no thread to take it from the queue. Any thread.
 */
int wi_chore_poll(const struct wi_chore *chore);

/*
 * One more asker, who holds the chore until his own drop; under the lock. ring is embedded in
 * something of his, and taken out by that drop. false: it is over, and he has no part in it.
 */
bool wi_chore_join_locked(struct wi_chore *chore, struct wi_chore_ring *ring,
                          struct wi_keeper *keeper);

/*
 * Takes a chore that has not begun, and has one asker, out of the line: it is LOST, and his until
 * his drop. false: it runs, or is over. Never blocks.
 */
bool wi_chore_withdraw(struct wi_chore *chore);

/*
 * The asker lets go of the chore, done or not: one that is queued for nobody else never runs, and
 * one that runs frees its object when it ends. ring: the one joined with; NULL for the asker who
 * started it. Never blocks.
 */
void wi_chore_drop(struct wi_chore *chore, struct wi_chore_ring *ring);

/*
 * The lock of all chores, for what goes with their life: short, never around a call that blocks or
 * allocates. Taken across a fork, so that a child finds it free, and what it guards whole.
 */
void wi_chore_lock(void);
void wi_chore_unlock(void);

/* For wi_keeper_free: nobody rings it any more when this returns. */
void wi_chore_forget_keeper(const struct wi_keeper *keeper);

/* How many are queued or running in this process. */
uint32_t wi_chores_under_way(void);

#endif
