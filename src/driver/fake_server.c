/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The fake driver's server: its sessions, and the thread that ends them in time.
 *
 * States of a session.
 *
 *     open ----- close ----> leaving ----- its time has come ----> ended
 *       `------------------- killed, or a fault of its own ---------'^
 *
 *   open: in the list, ends = WI_FOREVER. leaving: in the list, ends = a time, nobody holds it.
 *   ended: out of the list, the server's end is closed; freed by the server if nobody holds it,
 *   else by close.
 *
 * Invariants. I1: server->sessions = length of the list. I2: a session in the list has an open fd.
 * I3: a session is freed once: by who finds it both ended and not held, under the lock.
 *
 * Orderings. [fake:R1] on killed: who has been woken by the end of the stream finds the reason. The
 * counters are only numbers.
 *
 * Limits. A session takes two descriptors of this process. The timer thread is started by the first
 * close that takes time on the real clock; where it cannot be, such a goodbye takes no time.
 */
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "base/atomic.h"
#include "base/clock.h"
#include "driver/fake_conn.h"

int64_t wi_fake_now(const struct wi_fake_server *server)
{
	return server->now ? server->now() : wi_now_ns();
}

void wi_fake_server_init(struct wi_fake_server *server)
{
	pthread_condattr_t attr;

	memset(server, 0, sizeof(*server));
	pthread_mutex_init(&server->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&server->change, &attr);
	pthread_condattr_destroy(&attr);
	wi_store_rlx(&server->timeline, 1);
	wi_store_rlx(&server->lsn, 1);
	wi_store_rlx(&server->system, 1);
}

pid_t wi_fake_fork(struct wi_fake_server *server)
{
	pid_t child;

	pthread_mutex_lock(&server->lock);
	child = fork();
	pthread_mutex_unlock(&server->lock); /* in the child it is the only thread's as well */
	return child;
}

static void count_session(struct wi_fake_server *server)
{
	int now = wi_add_rlx(&server->sessions, 1) + 1;

	if (now > wi_load_rlx(&server->sessions_peak)) /* raised under the lock only */
		wi_store_rlx(&server->sessions_peak, now);
}

void wi_fake_session_free(struct wi_fake_session *s)
{
	wi_free(s, sizeof(*s));
}

/* Puts a session into the list, its client's end into c; false: no memory or no descriptor. */
bool wi_fake_open_locked(struct fake_conn *c)
{
	struct wi_fake_server *server = c->server;
	struct wi_fake_session *s = wi_alloc(sizeof(*s));
	int pair[2];

	if (!s)
		return false;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) != 0) {
		wi_fake_session_free(s);
		return false;
	}
	*s = (struct wi_fake_session){
		.next = server->first,
		.server = server,
		.serial = c->serial,
		.ends = WI_FOREVER,
		.fd = pair[0],
		.held = true,
	};
	if (s->next)
		s->next->previous = s;
	server->first = s;
	count_session(server);
	c->session = s;
	c->fd = pair[1];
	return true;
}

/* From open or leaving to ended. */
void wi_fake_end_locked(struct wi_fake_session *s)
{
	struct wi_fake_server *server = s->server;

	if (s->previous)
		s->previous->next = s->next;
	else
		server->first = s->next;
	if (s->next)
		s->next->previous = s->previous;
	s->ended = true;
	wi_sub_rlx(&server->sessions, 1);
	close(s->fd);
	if (!s->held)
		wi_fake_session_free(s);
}

/* By the server's will: the client reads why before it reads the end. */
static void kill_locked(struct wi_fake_session *s)
{
	/* [fake:R1] the reason is there before the end-of-file is; pairs with [fake:A1]. */
	wi_store_rel(&s->killed, true);
	wi_fake_end_locked(s);
}

int64_t wi_fake_settle_locked(struct wi_fake_server *server)
{
	int64_t now = wi_fake_now(server), next = WI_FOREVER;
	struct wi_fake_session *s, *after;

	for (s = server->first; s; s = after) {
		after = s->next;
		if (s->ends <= now)
			wi_fake_end_locked(s);
		else if (s->ends < next)
			next = s->ends;
	}
	return next;
}

int64_t wi_fake_settle(struct wi_fake_server *server)
{
	int64_t next;

	pthread_mutex_lock(&server->lock);
	next = wi_fake_settle_locked(server);
	pthread_mutex_unlock(&server->lock);
	return next;
}

static void *run_timer(void *arg)
{
	struct wi_fake_server *server = arg;

	pthread_mutex_lock(&server->lock);
	while (!server->stopping) {
		int64_t next = wi_fake_settle_locked(server);
		struct timespec at = {.tv_sec = next / WI_SEC, .tv_nsec = next % WI_SEC};

		if (next == WI_FOREVER)
			pthread_cond_wait(&server->change, &server->lock);
		else
			pthread_cond_timedwait(&server->change, &server->lock, &at);
	}
	pthread_mutex_unlock(&server->lock);
	return NULL;
}

/* Whether a timer runs now. It takes no signals: they are for the threads of the host. */
static bool start_timer_locked(struct wi_fake_server *server)
{
	sigset_t all, before;

	if (server->has_timer)
		return true;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	server->has_timer = pthread_create(&server->timer, NULL, run_timer, server) == 0;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return server->has_timer;
}

static void stop_timer(struct wi_fake_server *server)
{
	pthread_mutex_lock(&server->lock);
	server->stopping = true;
	pthread_cond_signal(&server->change);
	pthread_mutex_unlock(&server->lock);
	if (server->has_timer)
		pthread_join(server->timer, NULL);
}

/*
 * The server has noticed the client's end: from open to leaving, and on to ended if that takes no
 * time.
 */
void wi_fake_depart_locked(struct wi_fake_session *s)
{
	struct wi_fake_server *server = s->server;
	int64_t goodbye = wi_load_rlx(&server->goodbye_ns);

	if (goodbye <= 0 || (!server->now && !start_timer_locked(server))) {
		wi_fake_end_locked(s);
	} else if (s->ends == WI_FOREVER) {
		s->ends = wi_fake_now(server) + goodbye;
		pthread_cond_signal(&server->change);
	}
}

void wi_fake_server_fini(struct wi_fake_server *server)
{
	stop_timer(server);
	while (server->first) {
		wi_check(server->first->ends != WI_FOREVER); /* a connection was not closed */
		wi_fake_end_locked(server->first);
	}
	pthread_cond_destroy(&server->change);
	pthread_mutex_destroy(&server->lock);
}

int wi_fake_kill(struct wi_fake_server *server)
{
	int n = 0;

	pthread_mutex_lock(&server->lock);
	for (; server->first; n++)
		kill_locked(server->first);
	pthread_mutex_unlock(&server->lock);
	return n;
}

bool wi_fake_kill_one(struct wi_fake_server *server, uint64_t serial)
{
	struct wi_fake_session *s;

	pthread_mutex_lock(&server->lock);
	for (s = server->first; s && s->serial != serial; s = s->next)
		continue;
	if (s)
		kill_locked(s);
	pthread_mutex_unlock(&server->lock);
	return s != NULL;
}
