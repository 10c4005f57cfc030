/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * POSIX in the modelled world: thread-specific values, threads that the library starts (each is run
 * by a thread of the scenario that calls sched_run_started), and waits on descriptors. Descriptors
 * are the kernel's; only the waiting is modelled.
 */
#include <poll.h>
#include <sys/epoll.h>

#include "sched/engine.h"

/* ---- thread-specific values ---- */

int sched_once(pthread_once_t *once, void (*init)(void))
{
	if (*once == PTHREAD_ONCE_INIT) {
		*once = PTHREAD_ONCE_INIT + 1;
		init();
	}
	return 0;
}

int sched_key_create(pthread_key_t *key, void (*end)(void *))
{
	struct engine *e = sched_engine;

	if (e->keys == KEYS)
		return -1;
	e->key_end[e->keys] = end;
	*key = (pthread_key_t)e->keys++;
	return 0;
}

int sched_setspecific(pthread_key_t key, const void *value)
{
	struct engine *e = sched_engine;
	int who = e->alone ? e->acting : e->current;

	if (who >= 0)
		e->fibre[who].specific[key] = value;
	return 0;
}

/* ---- threads ---- */

void *sched_thread_pointer(void)
{
	struct engine *e = sched_engine;
	int who = e->alone ? e->acting : e->current;

	return who >= 0 ? e->fibre[who].locals : e->locals_image;
}

static struct started {
	void *(*run)(void *);
	void *arg;
	bool ended;
} started[FIBRES];
static int n_started;

int sched_thread_create(pthread_t *thread, void *(*run)(void *), void *arg)
{
	if (n_started == FIBRES)
		return -1;
	started[n_started] = (struct started){run, arg, false};
	*thread = (pthread_t)n_started++;
	return 0;
}

static bool has_started(void *arg)
{
	return n_started > *(int *)arg;
}

void sched_run_started(int n)
{
	sched_await(has_started, &n);
	started[n].run(started[n].arg);
	started[n].ended = true;
}

bool sched_started_has_ended(int n)
{
	return started[n].ended;
}

static bool has_ended(void *arg)
{
	return ((const struct started *)arg)->ended;
}

void sched_thread_join(pthread_t thread)
{
	sched_await(has_ended, &started[thread]);
}

/* ---- descriptors ---- */

struct wait {
	struct pollfd *fds;
	nfds_t n;
};

static bool is_ready(void *arg)
{
	struct wait *w = arg;

	return (poll)(w->fds, w->n, 0) > 0;
}

int sched_poll(struct pollfd *fds, nfds_t n, int ms)
{
	struct engine *e = sched_engine;
	struct wait w = {fds, n};
	int64_t deadline_ns = ms < 0 ? INT64_MAX : e->clock + (int64_t)ms * 1000000;

	if (e->alone)
		return (poll)(fds, n, 0);
	if (ms)
		sched_await_until(is_ready, &w, deadline_ns);
	else
		sched_pause();
	return (poll)(fds, n, 0);
}

int sched_epoll_wait(int epoll, struct epoll_event *events, int room, int ms)
{
	struct pollfd p = {.fd = epoll, .events = POLLIN};

	sched_poll(&p, 1, ms);
	return (epoll_wait)(epoll, events, room, 0);
}
