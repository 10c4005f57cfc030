/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Idea. One epoll, one eventfd as the bell, a list of jobs. A round is: note that the bell was
 * heard, give every job its turn, sleep until a descriptor is ready, the bell rings, or the
 * earliest due time.
 *
 * The bell. `rung` is 1 from the first ring until the keeper's next round begins; only the ring
 * that moves it from 0 writes to the eventfd, so a thousand rings cost one system call. The keeper
 * clears `rung` before the turns, so whatever was done before a ring is seen by a turn that follows
 * it.
 *
 * Orderings. [keeper:R1] in ring, [keeper:A1] in round: a turn sees what the ringer did before it
 * rang.
 *
 * Ending. `fate` decides who frees: the closer that comes too late for a busy keeper (ABANDONED),
 * or the closer that finds it done (DONE). Both write it by exchange; who comes second knows what
 * the other did.
 */
#include "pool/keeper.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "base/atomic.h"
#include "base/cancel.h"
#include "base/clock.h"
#include "base/text.h"
#include "pool/chore.h"

#define EVENTS_A_ROUND 64
/* Longer than a job waits for servers to go when nothing else holds it up. */
#define PATIENCE_NS (5 * WI_SEC)

enum fate { RUNNING = 0, DONE = 1, ABANDONED = 2 };

/*
 * Whose registration the epoll holds for a descriptor, and the number of that. An event says
 * descriptor and number: one of a registration that could not be taken out (see wi_keeper_watch)
 * finds nobody, or another number, and is nobody's, also where its watch has been freed since.
 */
struct wi_owner {
	struct wi_watch *watch;
	uint32_t registration;
};

/* Access key: (c) constant after create; (k) keeper's thread only; (a) atomic, any thread. */
struct wi_keeper {
	const struct wi_world *world; /* (c) */
	int epoll;                    /* (c) */
	int bell;                     /* (c) eventfd */
	struct wi_job *jobs;          /* (k) */
	struct wi_owner *owner;       /* (k) by descriptor */
	int owners;                   /* (k) room in owner */
	uint32_t registrations;       /* (k) so far */
	pthread_t thread;             /* (c) once started */
	bool started;                 /* (c) once started */
	_Atomic uint32_t rung;        /* (a) */
	_Atomic uint32_t stopping;    /* (a) */
	_Atomic uint32_t fate;        /* (a) */
	void (*abandon)(void *arg);   /* written before fate becomes ABANDONED */
	void *abandon_arg;
};

#define THE_BELL UINT64_MAX

static _Thread_local const struct wi_keeper *self;

static weir_status keeper_open(struct wi_keeper *k, weir_error *error)
{
	struct epoll_event e = {.events = EPOLLIN, .data.u64 = THE_BELL};

	k->epoll = epoll_create1(EPOLL_CLOEXEC);
	k->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (k->epoll < 0 || k->bell < 0 || epoll_ctl(k->epoll, EPOLL_CTL_ADD, k->bell, &e) != 0) {
		char why[64];

		return wi_fail(error, WEIR_SYSTEM, "cannot create epoll or eventfd: %s",
		               strerror_r(errno, why, sizeof(why)));
	}
	return WEIR_OK;
}

weir_status wi_keeper_create(const struct wi_world *world, struct wi_keeper **keeper,
                             weir_error *error)
{
	struct wi_keeper *k = wi_alloc_aligned(sizeof(*k), 64);
	weir_status st;

	if (!k)
		return wi_fail(error, WEIR_NO_MEMORY, "no memory for the keeper");
	k->world = world;
	k->epoll = k->bell = -1;
	st = keeper_open(k, error);
	if (st != WEIR_OK) {
		wi_keeper_free(k);
		return st;
	}
	*keeper = k;
	return WEIR_OK;
}

void wi_keeper_free(struct wi_keeper *k)
{
	if (!k)
		return;
	wi_chore_forget_keeper(k);
	if (k->epoll >= 0)
		close(k->epoll);
	if (k->bell >= 0)
		close(k->bell);
	wi_free(k->owner, (size_t)k->owners * sizeof(*k->owner));
	wi_free(k, sizeof(*k));
}

void wi_keeper_add(struct wi_keeper *k, struct wi_job *job)
{
	struct wi_job **end = &k->jobs;

	while (*end)
		end = &(*end)->next;
	job->next = NULL;
	*end = job;
}

void wi_keeper_drop(struct wi_keeper *k, struct wi_job *job)
{
	struct wi_job **at = &k->jobs;

	while (*at && *at != job)
		at = &(*at)->next;
	if (*at)
		*at = job->next;
}

bool wi_keeper_is_self(const struct wi_keeper *k)
{
	return self == k;
}

bool wi_keeper_is_any(void)
{
	return self != NULL;
}

void wi_keeper_ring(struct wi_keeper *k)
{
	const uint64_t one = 1;
	int saved = errno;

	/* [keeper:R1] what was done before the ring; pairs with A1. */
	if (wi_swap_seq(&k->rung, 1))
		return;
	WI_NO_CANCEL;
	while (write(k->bell, &one, sizeof(one)) < 0 && errno == EINTR)
		;
	errno = saved;
}

static bool watch_ctl(struct wi_keeper *k, int op, int fd, uint32_t events)
{
	struct epoll_event e = {.events = events,
	                        .data.u64 = (uint64_t)k->registrations << 32 | (uint32_t)fd};

	return epoll_ctl(k->epoll, op, fd, &e) == 0;
}

/* Makes room for descriptor fd; false: no memory. */
static bool owners_upto(struct wi_keeper *k, int fd)
{
	int room = k->owners ? k->owners : 64;
	struct wi_owner *more;

	if (fd < k->owners)
		return true;
	while (room <= fd)
		room *= 2;
	more = wi_alloc((size_t)room * sizeof(*more));
	if (!more)
		return false;
	if (k->owners)
		memcpy(more, k->owner, (size_t)k->owners * sizeof(*more));
	wi_free(k->owner, (size_t)k->owners * sizeof(*more));
	k->owner = more;
	k->owners = room;
	return true;
}

static void unwatch(struct wi_keeper *k, struct wi_watch *w)
{
	if (w->fd >= 0 && k->owner[w->fd].watch == w) {
		/* Fails harmlessly where the descriptor was closed: the kernel took it out then. */
		(void)watch_ctl(k, EPOLL_CTL_DEL, w->fd, 0);
		k->owner[w->fd].watch = NULL;
	}
	w->fd = -1;
}

/*
 * A client library closes descriptors when it likes, on its holder's thread, and the number may at
 * once be another connection's: so what is registered under a number belongs to the watch that
 * registered it last, and nobody else takes it out. And a forked child may keep a closed
 * descriptor's file open, so that its registration can never be taken out: so every registration is
 * good for one event (EPOLLONESHOT, or an edge), and is made again by the next step.
 */
bool wi_keeper_watch(struct wi_keeper *k, struct wi_watch *w, int fd, uint32_t events)
{
	uint32_t once = events & EPOLLET ? events : events | EPOLLONESHOT;

	if (fd < 0 || !events || w->fd != fd)
		unwatch(k, w);
	if (fd < 0 || !events)
		return true;
	if (!owners_upto(k, fd)) {
		unwatch(k, w);
		return false;
	}
	k->registrations++;
	if (!watch_ctl(k, EPOLL_CTL_MOD, fd, once) && !watch_ctl(k, EPOLL_CTL_ADD, fd, once)) {
		unwatch(k, w);
		return false;
	}
	if (k->owner[fd].watch && k->owner[fd].watch != w)
		k->owner[fd].watch->fd = -1;
	k->owner[fd] = (struct wi_owner){w, k->registrations};
	w->fd = fd;
	w->events = events;
	return true;
}

int64_t wi_keeper_now(const struct wi_keeper *k)
{
	return k->world->now();
}

static int64_t turns(struct wi_keeper *k)
{
	int64_t due = WI_FOREVER;

	/* [keeper:A1] sees what was done before each ring; pairs with R1. */
	wi_swap_seq(&k->rung, 0);
	for (struct wi_job *job = k->jobs; job; job = job->next) {
		int64_t next = job->turn(job, k->world->now());

		if (next < due)
			due = next;
	}
	return due;
}

static void hear_bell(struct wi_keeper *k)
{
	uint64_t rings;

	(void)!read(k->bell, &rings, sizeof(rings));
}

/* Whose event this is; NULL: nobody's any more. */
static struct wi_watch *watch_of(const struct wi_keeper *k, uint64_t said)
{
	uint32_t fd = (uint32_t)said;

	if (fd >= (uint32_t)k->owners || k->owner[fd].registration != said >> 32)
		return NULL;
	return k->owner[fd].watch;
}

static bool all_finished(struct wi_keeper *k)
{
	if (!wi_load_acq(&k->stopping))
		return false;
	for (struct wi_job *job = k->jobs; job; job = job->next)
		if (!job->is_finished(job))
			return false;
	return true;
}

int64_t wi_keeper_round(struct wi_keeper *k, bool wait)
{
	struct epoll_event events[EVENTS_A_ROUND];
	int64_t due = turns(k);
	/* What the turns have just finished nobody will ring for. */
	bool sleeps = wait && !all_finished(k);
	int n = epoll_wait(k->epoll, events, EVENTS_A_ROUND,
	                   sleeps ? wi_poll_ms(k->world->now(), due) : 0);

	for (int i = 0; i < n; i++) {
		uint64_t said = events[i].data.u64;
		struct wi_watch *w = said == THE_BELL ? NULL : watch_of(k, said);

		if (said == THE_BELL)
			hear_bell(k);
		else if (w)
			w->ready(w, events[i].events);
	}
	return due;
}

static void wind_up(struct wi_keeper *k)
{
	for (struct wi_job *job = k->jobs; job; job = job->next)
		if (job->wind_up)
			job->wind_up(job);
}

static void *keeper_main(void *arg)
{
	struct wi_keeper *k = arg;

	self = k;
	while (!all_finished(k))
		wi_keeper_round(k, true);
	wind_up(k);
	/*
	 * [keeper:R2] all that was done here; pairs with A2. [keeper:A3] sees abandon's arguments;
	 * pairs with R3.
	 */
	if (wi_swap_acq_rel(&k->fate, DONE) == ABANDONED) {
		k->abandon(k->abandon_arg);
		return NULL;
	}
	k->world->wake(&k->fate);
	return NULL;
}

weir_status wi_keeper_start(struct wi_keeper *k, weir_error *error)
{
	sigset_t all, before;
	int e;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	e = pthread_create(&k->thread, NULL, keeper_main, k);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (e) {
		char why[64];

		return wi_fail(error, WEIR_SYSTEM, "cannot start the keeper thread: %s",
		               strerror_r(e, why, sizeof(why)));
	}
	k->started = true;
	pthread_setname_np(k->thread, "weir-keeper");
	return WEIR_OK;
}

/* Waits for DONE; false: the deadline came first and the keeper is abandoned. */
static bool await_done(struct wi_keeper *k, int64_t deadline_ns, bool (*is_held)(void *), void *arg)
{
	bool patient = false;

	while (wi_load_acq(&k->fate) != DONE) {
		int64_t now_ns = k->world->now();

		if (now_ns >= deadline_ns && !patient && is_held && !is_held(arg)) {
			patient = true;
			deadline_ns = now_ns + PATIENCE_NS;
		}
		if (now_ns >= deadline_ns) {
			/* [keeper:R3] publishes abandon's arguments; pairs with A3. */
			return wi_swap_acq_rel(&k->fate, ABANDONED) == DONE;
		}
		k->world->park(&k->fate, RUNNING, deadline_ns);
	}
	return true;
}

bool wi_keeper_stop(struct wi_keeper *k, int64_t deadline_ns, bool (*is_held)(void *),
                    void (*abandon)(void *), void *arg)
{
	pthread_t thread = k->thread; /* once abandoned, the keeper may be gone at any moment */

	wi_store_rel(&k->stopping, 1);
	if (!k->started) {
		while (!all_finished(k) && k->world->now() < deadline_ns)
			wi_keeper_round(k, false);
		if (!all_finished(k))
			return false;
		wind_up(k);
		return true;
	}
	k->abandon = abandon;
	k->abandon_arg = arg;
	wi_keeper_ring(k);
	/* [keeper:A2] sees all that the keeper did; pairs with R2. */
	if (await_done(k, deadline_ns, is_held, arg)) {
		pthread_join(thread, NULL);
		return true;
	}
	pthread_detach(thread);
	return false;
}
