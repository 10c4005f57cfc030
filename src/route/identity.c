/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which server answers at a host, and which of our hosts a standby follows. The keeper's thread.
 *
 * Several servers behind one name. A server's start never comes back: who answers with a start that
 * was seen before another one shares its name with that other one. Then the next connection may be
 * to either: nothing is promised of the host's position, and it has no vote.
 *
 * Whom a standby follows it says by the name or address in its own settings, which is ours only if
 * it is the same word, or the address that ours came to, and the same port. A standby that follows
 * a server on its own machine (localhost, a Unix socket) means a machine that we may call
 * otherwise.
 */
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "base/line.h"
#include "base/text.h"
#include "pool/trust.h"
#include "route/router.h"

#define SEVERAL_MS 300000 /* so long after it was last seen to change there and back */

void wi_identity_note(struct wi_host *h, int64_t now_ns)
{
	uint64_t started = h->probe.found.sight.started;

	if (!started || started == h->starts[0])
		return;
	for (size_t i = 1; i < WI_ARRAY_LEN(h->starts); i++)
		if (started == h->starts[i])
			h->several_until_ns = now_ns + SEVERAL_MS * WI_MS;
	memmove(&h->starts[1], &h->starts[0], sizeof(h->starts) - sizeof(h->starts[0]));
	h->starts[0] = started;
}

/* By its last answer: what is kept of a host that gives none now does not get better by waiting. */
bool wi_identity_is_several(const struct wi_host *h, int64_t now_ns)
{
	const struct wi_sight *s = &h->probe.found.sight;

	return h->several_until_ns > (s->answered ? s->answered_ns : now_ns);
}

static bool is_here(const char *host)
{
	struct wi_endpoint e = {.host = ""};

	wi_copy(e.host, sizeof(e.host), host);
	return wi_trust_is_local(&e);
}

static bool is_host(const struct wi_host *h, const char *name, const char *port)
{
	const struct wi_endpoint *e = h->endpoint;

	return strcmp(port, e->port[0] ? e->port : "5432") == 0 &&
	       /* the name of several addresses says of none that it is the one */
	       ((!h->group[0] && strcasecmp(name, e->host) == 0) ||
	        strcmp(name, e->hostaddr) == 0 || strcmp(name, h->probe.peer) == 0);
}

uint32_t wi_identity_followed(const weir_router *r, const struct wi_host *standby)
{
	const struct wi_finding *f = &standby->probe.found;
	const struct wi_host *h;

	if (!f->sight.answered || !f->sender[0] ||
	    (is_here(f->sender) && !wi_trust_is_local(standby->endpoint)))
		return 0;
	for (uint32_t i = 0; (h = wi_hosts_next(r, &i));)
		if (h != standby && is_host(h, f->sender, f->sender_port))
			return h->number + 1;
	return 0;
}
