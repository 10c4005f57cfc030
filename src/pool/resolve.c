/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A lookup is a thread that calls getaddrinfo and ends. It shares one small object with whoever
 * asked: the asker polls `state`, and the last of the two to let go frees it. A dead resolver thus
 * costs a sleeping thread a lookup for as long as the system's resolver takes to give up, and never
 * a caller's or the keeper's time; the breaker keeps such lookups few.
 *
 * Why not getaddrinfo_a, which does the same: its pool of threads does not survive a fork, and a
 * child's lookups would never end.
 *
 * Orderings. R1, A1: the asker sees what the thread found. R2, A2: who frees it sees that the other
 * is done.
 */
#include "pool/resolve.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "base/alloc.h"
#include "base/atomic.h"
#include "base/text.h"

struct lookup {
	_Atomic uint32_t holders; /* (a) 2: thread and asker */
	_Atomic uint32_t done;    /* (a) 1: error and results are there */
	int error;                /* the thread's until done */
	struct addrinfo *results; /* the same */
	char host[256];           /* (c) */
};

bool wi_host_is_literal(const char *host)
{
	struct in6_addr any;

	return host[0] == '\0' || host[0] == '/' || host[0] == '@' ||
	       inet_pton(AF_INET, host, &any) == 1 || inet_pton(AF_INET6, host, &any) == 1;
}

static void let_go(struct lookup *l)
{
	/*
	 * [resolve:R2] this side is done with it; pairs with A2. [resolve:A2] the other side is,
	 * too; pairs with R2.
	 */
	if (wi_sub_acq_rel(&l->holders, 1) != 1)
		return;
	if (l->results)
		freeaddrinfo(l->results);
	wi_free(l, sizeof(*l));
}

/*
 * A fork while a thread is inside getaddrinfo may leave a lock of the C library's held in the child
 * for ever, and no name could be looked up there again, by anybody. So a fork waits for lookups
 * under way, but not for long: one that waits for an answer from the network holds no such lock.
 * Flag and count are a Dekker pair.
 */
#define FORK_WAITS_MS 200

static _Atomic uint32_t running; /* (a) threads in getaddrinfo */
static _Atomic uint32_t forking; /* (a) 1: a fork is about to happen */

static void a_millisecond(void)
{
	nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

static void before_fork(void)
{
	wi_store_seq(&forking, 1);
	for (int i = 0; i < FORK_WAITS_MS && wi_load_seq(&running); i++)
		a_millisecond();
}

static void after_fork_parent(void)
{
	wi_store_seq(&forking, 0);
}

static void after_fork_child(void)
{
	wi_store_seq(&running, 0);
	wi_store_seq(&forking, 0);
}

static void install_handlers(void)
{
	pthread_atfork(before_fork, after_fork_parent, after_fork_child);
}

static void begin_running(void)
{
	for (;;) {
		wi_add_seq(&running, 1);
		if (!wi_load_seq(&forking))
			return;
		wi_sub_seq(&running, 1);
		while (wi_load_seq(&forking))
			a_millisecond();
	}
}

static void *look_up(void *arg)
{
	const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG};
	struct lookup *l = arg;

	begin_running();
	l->error = getaddrinfo(l->host, NULL, &hints, &l->results);
	wi_sub_seq(&running, 1);
	/* [resolve:R1] publishes error and results; pairs with A1. */
	wi_store_rel(&l->done, 1);
	let_go(l);
	return NULL;
}

/* A detached thread that takes no signals of the host program's. */
static bool start_thread(struct lookup *l)
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
	ok = pthread_create(&thread, &attr, look_up, l) == 0;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attr);
	return ok;
}

void *wi_resolve_start(const char *host)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	struct lookup *l = wi_alloc(sizeof(*l));

	if (!l)
		return NULL;
	pthread_once(&once, install_handlers);
	wi_copy(l->host, sizeof(l->host), host);
	atomic_init(&l->holders, 2);
	if (start_thread(l))
		return l;
	wi_free(l, sizeof(*l));
	return NULL;
}

/*
 * One of the results at random: with several addresses a name, new connections spread and a dead
 * one is not insisted on.
 */
static bool pick(const struct addrinfo *results, char address[WI_ADDRESS])
{
	uint32_t n = 0, k = 0;

	for (const struct addrinfo *a = results; a; a = a->ai_next)
		n += a->ai_family == AF_INET || a->ai_family == AF_INET6;
	if (!n)
		return false;
	(void)!getrandom(&k, sizeof(k), GRND_NONBLOCK);
	k %= n;
	for (const struct addrinfo *a = results; a; a = a->ai_next) {
		if (a->ai_family != AF_INET && a->ai_family != AF_INET6)
			continue;
		if (k-- == 0)
			return getnameinfo(a->ai_addr, a->ai_addrlen, address, WI_ADDRESS, NULL, 0,
			                   NI_NUMERICHOST) == 0;
	}
	return false;
}

int wi_resolve_poll(void *lookup, char address[WI_ADDRESS], struct wi_failure *failure)
{
	struct lookup *l = lookup;
	struct wi_text t;
	int found;

	/* [resolve:A1] sees what the thread found; pairs with R1. */
	if (!wi_load_acq(&l->done))
		return 0;
	found = l->error == 0 && pick(l->results, address) ? 1 : -1;
	if (found < 0) {
		*failure = (struct wi_failure){.fault = WI_FAULT_RESOLVE};
		wi_text_init(&t, failure->text, sizeof(failure->text));
		wi_text_add(&t, "cannot look up \"%s\": %s", l->host,
		            l->error ? gai_strerror(l->error) : "no address");
	}
	let_go(l);
	return found;
}

void wi_resolve_drop(void *lookup)
{
	if (lookup)
		let_go(lookup);
}
