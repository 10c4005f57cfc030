/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Idea. A chore is a detached thread that makes one call and ends, or goes on with the next of its
 * kind that is queued. It shares one object with its askers; the last of them all to let go frees
 * it. A call that never returns thus costs a sleeping thread and its object, and nobody's time.
 *
 * Bound. A kind has at most THREADS_A_KIND threads in a process. Further chores wait in line, for
 * as long as their askers care to, and leave it unrun when those drop them. So callbacks that hang,
 * or names that no resolver answers for, pile up to that bound and no higher; lookups, besides, are
 * shared by name (resolve.c).
 *
 * One lock guards lists, holders and whom to ring. It is held for a few instructions, and for the
 * write to a keeper's bell, which never blocks; with it, a keeper that is being freed takes itself
 * out (wi_chore_forget_keeper) and is not rung afterwards.
 *
 * Fork. The forking thread holds the lock across the fork. Before that it waits for name lookups:
 * one that is inside getaddrinfo may hold a lock of the C library's, which would stay held in the
 * child for ever, and no name could be looked up there again, by anybody. But not for long: one
 * that waits for an answer from the network holds no such lock. In the child no chore's thread
 * exists: all are LOST, and the objects of those that were running are left alone, as a child
 * cannot know what their threads were just writing.
 *
 * Orderings. [chore:R1] at the end of a chore, [chore:A1] in poll: who sees DONE sees what the call
 * wrote.
 */
#include "pool/chore.h"

#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <time.h>

#include "base/atomic.h"
#include "pool/keeper.h"

#define THREADS_A_KIND 32
#define FORK_WAITS_MS 200

struct kind {
	struct wi_chore *first, **end;
	uint32_t threads;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
/* All under the lock. */
static struct kind kinds[WI_CHORE_KINDS];
static uint32_t forking;    /* forks about to happen */
static uint32_t in_lookups; /* threads in a call of kind LOOKUP */

static void install_handlers(void);

/* Whoever takes it may be forked away from: so the handlers come first. */
void wi_chore_lock(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, install_handlers);
	pthread_mutex_lock(&lock);
}

void wi_chore_unlock(void)
{
	pthread_mutex_unlock(&lock);
}

static void a_millisecond_unlocked(void)
{
	wi_chore_unlock();
	nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
	wi_chore_lock();
}

/* ---- lists; under the lock ---- */

static void enlist(struct wi_chore *c)
{
	struct kind *k = &kinds[c->kind];

	if (!k->first)
		k->end = &k->first;
	c->next = NULL;
	c->prev = k->end;
	*k->end = c;
	k->end = &c->next;
}

static void delist(struct wi_chore *c)
{
	*c->prev = c->next;
	if (c->next)
		c->next->prev = c->prev;
	else
		kinds[c->kind].end = c->prev;
	c->prev = NULL;
}

static struct wi_chore *first_queued(const struct kind *k)
{
	struct wi_chore *c = k->first;

	while (c && wi_load_rlx(&c->state) != WI_CHORE_QUEUED)
		c = c->next;
	return c;
}

/* The chore is over, and the thread's hold on it goes. true: it was the last. */
static bool is_over(struct wi_chore *c, enum wi_chore_state how)
{
	delist(c);
	/* [chore:R1] publishes what the call wrote; pairs with A1. */
	wi_store_rel(&c->state, how);
	for (struct wi_chore_ring *r = c->rings; r; r = r->next)
		if (r->keeper)
			wi_keeper_ring(r->keeper);
	return --c->holders == 0;
}

/* No thread will ever take what is queued. Their askers are told; those hold them still. */
static void lose_queued(struct kind *k)
{
	struct wi_chore *c;

	while ((c = first_queued(k)))
		(void)is_over(c, WI_CHORE_LOST);
}

/* ---- fork ---- */

static void before_fork(void)
{
	pthread_mutex_lock(&lock);
	forking++;
	for (int i = 0; i < FORK_WAITS_MS && in_lookups; i++)
		a_millisecond_unlocked();
}

static void after_fork_parent(void)
{
	forking--;
	wi_chore_unlock();
}

static void after_fork_child(void)
{
	for (int i = 0; i < WI_CHORE_KINDS; i++) {
		struct kind *k = &kinds[i];

		for (struct wi_chore *c = k->first; c; c = c->next) {
			c->rings = NULL;
			wi_store_rlx(&c->state, WI_CHORE_LOST);
		}
		k->first = NULL;
		k->threads = 0;
	}
	forking = in_lookups = 0;
	wi_chore_unlock();
}

static void install_handlers(void)
{
	pthread_atfork(before_fork, after_fork_parent, after_fork_child);
}

/* ---- the thread ---- */

static void call(struct wi_chore *c)
{
	bool is_lookup = c->kind == WI_CHORE_LOOKUP;

	if (is_lookup) {
		wi_chore_lock();
		while (forking)
			a_millisecond_unlocked();
		in_lookups++;
		wi_chore_unlock();
	}
	c->run(c);
	if (is_lookup) {
		wi_chore_lock();
		in_lookups--;
		wi_chore_unlock();
	}
}

/* The next one in line, or NULL: then this thread has been taken off the books. */
static struct wi_chore *next_of(struct kind *k)
{
	struct wi_chore *c = first_queued(k);

	if (c)
		wi_store_rlx(&c->state, WI_CHORE_RUNNING);
	else
		k->threads--;
	return c;
}

static void *work(void *arg)
{
	struct wi_chore *c = arg, *next;
	struct kind *k = &kinds[c->kind];

	for (; c; c = next) {
		bool last;

		call(c);
		wi_chore_lock();
		last = is_over(c, WI_CHORE_DONE);
		wi_chore_unlock();
		if (last)
			c->dispose(c);
		wi_chore_lock();
		next = next_of(k);
		wi_chore_unlock();
	}
	return NULL;
}

/* A detached thread that takes no signals of the host program's. */
static bool start_thread(struct wi_chore *c)
{
	sigset_t all, before;
	pthread_attr_t attr;
	pthread_t thread;
	bool ok;

	if (pthread_attr_init(&attr) != 0)
		return false;
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	ok = pthread_create(&thread, &attr, work, c) == 0;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attr);
	return ok;
}

/* ---- the askers ---- */

/* A thread could not be made for c. Others of its kind take what is queued, if there are any. */
static void no_thread_for(struct wi_chore *c)
{
	struct kind *k = &kinds[c->kind];

	wi_chore_lock();
	(void)is_over(c, WI_CHORE_LOST);
	k->threads--;
	if (!k->threads)
		lose_queued(k);
	wi_chore_unlock();
}

bool wi_chore_start(struct wi_chore *c, enum wi_chore_kind kind, struct wi_keeper *keeper)
{
	bool hires;

	c->kind = kind;
	c->holders = 2;
	c->own = (struct wi_chore_ring){.keeper = keeper};
	c->rings = &c->own;
	wi_chore_lock();
	hires = kinds[kind].threads < THREADS_A_KIND;
	kinds[kind].threads += hires;
	atomic_init(&c->state, hires ? WI_CHORE_RUNNING : WI_CHORE_QUEUED);
	enlist(c);
	wi_chore_unlock();
	if (!hires || start_thread(c))
		return true;
	no_thread_for(c);
	return false;
}

int wi_chore_poll(const struct wi_chore *c)
{
	/* [chore:A1] sees what the call wrote; pairs with R1. */
	switch (wi_load_acq(&c->state)) {
	case WI_CHORE_DONE:
		return 1;
	case WI_CHORE_LOST:
		return -1;
	case WI_CHORE_QUEUED:
	case WI_CHORE_RUNNING:
		break;
	}
	return 0;
}

bool wi_chore_join_locked(struct wi_chore *c, struct wi_chore_ring *ring, struct wi_keeper *keeper)
{
	if (wi_load_rlx(&c->state) > WI_CHORE_RUNNING)
		return false;
	c->holders++;
	*ring = (struct wi_chore_ring){.keeper = keeper, .next = c->rings};
	c->rings = ring;
	return true;
}

static void take_out(struct wi_chore *c, const struct wi_chore_ring *ring)
{
	struct wi_chore_ring **r = &c->rings;

	while (*r && *r != ring)
		r = &(*r)->next;
	if (*r)
		*r = (*r)->next;
}

/*
 * Out of the line, if it is in it; under the lock. holders: how many must be left, the thread among
 * them.
 */
static bool leaves_line(struct wi_chore *c, uint32_t holders)
{
	if (c->holders != holders || wi_load_rlx(&c->state) != WI_CHORE_QUEUED)
		return false;
	delist(c);
	c->holders--;                           /* the thread that there will not be */
	wi_store_rlx(&c->state, WI_CHORE_LOST); /* nobody joins it any more */
	return true;
}

bool wi_chore_withdraw(struct wi_chore *c)
{
	bool was_queued;

	wi_chore_lock();
	was_queued = leaves_line(c, 2);
	wi_chore_unlock();
	return was_queued;
}

void wi_chore_drop(struct wi_chore *c, struct wi_chore_ring *ring)
{
	bool last;

	wi_chore_lock();
	take_out(c, ring ? ring : &c->own);
	c->holders--;
	(void)leaves_line(c, 1);
	last = c->holders == 0;
	wi_chore_unlock();
	if (last)
		c->dispose(c);
}

void wi_chore_forget_keeper(const struct wi_keeper *keeper)
{
	wi_chore_lock();
	for (int i = 0; i < WI_CHORE_KINDS; i++)
		for (struct wi_chore *c = kinds[i].first; c; c = c->next)
			for (struct wi_chore_ring *r = c->rings; r; r = r->next)
				if (r->keeper == keeper)
					r->keeper = NULL;
	wi_chore_unlock();
}

uint32_t wi_chores_under_way(void)
{
	uint32_t n = 0;

	wi_chore_lock();
	for (int i = 0; i < WI_CHORE_KINDS; i++)
		for (const struct wi_chore *c = kinds[i].first; c; c = c->next)
			n++;
	wi_chore_unlock();
	return n;
}
