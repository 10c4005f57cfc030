/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A lookup is a chore that calls getaddrinfo. There is one for a name at a time in a process:
 * whoever asks for the same name meanwhile joins it, also one whose askers have all gone, so a dead
 * resolver costs a thread for a name, however often and by how many pools it is asked.
 *
 * Why not getaddrinfo_a, which does the same: its pool of threads does not survive a fork, and a
 * child's lookups would never end.
 */
#include "pool/resolve.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/alloc.h"
#include "base/atomic.h"
#include "base/line.h"
#include "base/text.h"
#include "pool/chore.h"

/* (l) as in chore.h; the thread's: the thread's until the chore is done, then its askers' to read.
 */
struct lookup {
	struct wi_chore chore;
	char host[256];              /* (c) */
	int error;                   /* the thread's: of getaddrinfo */
	struct wi_addresses found;   /* the thread's */
	struct lookup *next, **prev; /* (l) list of all that are not freed yet */
};

/* One who asks; his alone. */
struct asking {
	struct lookup *of;
	struct wi_chore_ring ring; /* (l) */
	bool joined;               /* or he began it */
};

static struct lookup *lookups; /* (l) */

bool wi_host_is_literal(const char *host)
{
	struct in6_addr any;

	return host[0] == '\0' || host[0] == '/' || host[0] == '@' ||
	       inet_pton(AF_INET, host, &any) == 1 || inet_pton(AF_INET6, host, &any) == 1;
}

/* ---- on the thread ---- */

bool wi_addresses_have(const struct wi_addresses *found, const char *address)
{
	for (uint32_t i = 0; i < found->n; i++)
		if (strcmp(found->address[i], address) == 0)
			return true;
	return false;
}

static void collect(struct wi_addresses *found, const struct addrinfo *results)
{
	for (const struct addrinfo *a = results; a && found->n < WI_ADDRESSES; a = a->ai_next) {
		char address[WI_ADDRESS];

		if ((a->ai_family == AF_INET || a->ai_family == AF_INET6) &&
		    getnameinfo(a->ai_addr, a->ai_addrlen, address, sizeof(address), NULL, 0,
		                NI_NUMERICHOST) == 0 &&
		    !wi_addresses_have(found, address))
			wi_copy(found->address[found->n++], WI_ADDRESS, address);
	}
}

static void look_up(struct wi_chore *chore)
{
	const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG};
	struct lookup *l = WI_CONTAINER_OF(chore, struct lookup, chore);
	struct addrinfo *results = NULL;

	l->error = getaddrinfo(l->host, NULL, &hints, &results);
	if (l->error)
		return;
	collect(&l->found, results);
	freeaddrinfo(results);
}

static void dispose(struct wi_chore *chore)
{
	struct lookup *l = WI_CONTAINER_OF(chore, struct lookup, chore);

	wi_chore_lock();
	if (l->prev) { /* else it never began */
		*l->prev = l->next;
		if (l->next)
			l->next->prev = l->prev;
	}
	wi_chore_unlock();
	wi_free(l, sizeof(*l));
}

/* ---- the askers ---- */

static bool join(struct asking *a, const char *host, struct wi_keeper *keeper)
{
	struct lookup *l;

	wi_chore_lock();
	for (l = lookups; l; l = l->next)
		if (strcmp(l->host, host) == 0 && wi_chore_join_locked(&l->chore, &a->ring, keeper))
			break;
	wi_chore_unlock();
	a->of = l;
	a->joined = true;
	return l != NULL;
}

static bool begin(struct asking *a, const char *host, struct wi_keeper *keeper)
{
	struct lookup *l = wi_alloc(sizeof(*l));

	if (!l)
		return false;
	wi_copy(l->host, sizeof(l->host), host);
	l->chore.run = look_up;
	l->chore.dispose = dispose;
	a->of = l;
	a->joined = false;
	if (!wi_chore_start(&l->chore, WI_CHORE_LOOKUP, keeper)) {
		wi_chore_drop(&l->chore, NULL);
		return false;
	}
	/* Shown only now: whoever finds it joins it, and start counts one asker alone. */
	wi_chore_lock();
	l->next = lookups;
	l->prev = &lookups;
	if (lookups)
		lookups->prev = &l->next;
	lookups = l;
	wi_chore_unlock();
	return true;
}

void *wi_resolve_start(const char *host, struct wi_keeper *keeper)
{
	struct asking *a = wi_alloc(sizeof(*a));

	if (a && (join(a, host, keeper) || begin(a, host, keeper)))
		return a;
	wi_free(a, sizeof(*a));
	return NULL;
}

/* So that new connections spread over a name's addresses, and a dead one is not insisted on. */
void wi_addresses_shuffle(struct wi_addresses *found)
{
	uint32_t chance[WI_ADDRESSES] = {0};
	char kept[WI_ADDRESS];

	(void)!getrandom(chance, sizeof(chance), GRND_NONBLOCK);
	for (uint32_t i = found->n; i > 1; i--) {
		uint32_t k = chance[i - 1] % i;

		memcpy(kept, found->address[k], WI_ADDRESS);
		memcpy(found->address[k], found->address[i - 1], WI_ADDRESS);
		memcpy(found->address[i - 1], kept, WI_ADDRESS);
	}
}

bool wi_address_may_differ(enum wi_fault fault)
{
	return fault == WI_FAULT_REFUSED || fault == WI_FAULT_TIMEOUT || fault == WI_FAULT_LOST ||
	       fault == WI_FAULT_STARTING;
}

void wi_addresses_say_none(uint32_t tried, struct wi_failure *last)
{
	const struct wi_failure said = *last;
	struct wi_text t;

	if (tried < 2 || !wi_address_may_differ(last->fault))
		return;
	wi_text_init(&t, last->text, sizeof(last->text));
	wi_text_add(&t, "none of %u addresses answered; the last: %.400s", tried, said.text);
}

static void say_why(const struct lookup *l, int polled, struct wi_failure *failure)
{
	const char *why = "no address";
	struct wi_text t;

	if (polled < 0)
		why = "the lookup was lost";
	else if (l->error)
		why = gai_strerror(l->error);
	*failure = (struct wi_failure){.fault = WI_FAULT_RESOLVE};
	wi_text_init(&t, failure->text, sizeof(failure->text));
	wi_text_add(&t, "cannot look up \"%s\": %s", l->host, why);
}

int wi_resolve_poll(void *asking, struct wi_addresses *found, struct wi_failure *failure)
{
	struct asking *a = asking;
	struct lookup *l = a->of;
	int polled = wi_chore_poll(&l->chore);

	if (polled == 0)
		return 0;
	if (polled > 0 && l->found.n) {
		*found = l->found;
		wi_addresses_shuffle(found);
	} else {
		say_why(l, polled, failure);
		polled = -1;
	}
	wi_resolve_drop(a);
	return polled;
}

void wi_resolve_drop(void *asking)
{
	struct asking *a = asking;

	if (!a)
		return;
	wi_chore_drop(&a->of->chore, a->joined ? &a->ring : NULL);
	wi_free(a, sizeof(*a));
}
