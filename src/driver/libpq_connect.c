/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Connecting. Errors are verbose while it goes on, which is the only way to a SQLSTATE there.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/alloc.h"
#include "base/atomic.h"
#include "base/clock.h"
#include "base/text.h"
#include "driver/fault.h"
#include "driver/libpq.h"
#include "driver/tls.h"

void *wi_pq_connect(const struct wi_target *target, const char *address)
{
	struct pq_conn *c = wi_alloc(sizeof(*c));

	if (!c)
		return NULL;
	c->target = target;
	c->waits_to_send = true;
	wi_store_rlx(&c->fd, -1);
	c->pg = wi_pq_start(target, target->endpoint, address);
	if (!c->pg || !PQregisterEventProc(c->pg, wi_pq_hear_event, "weir", NULL) ||
	    !PQsetInstanceData(c->pg, wi_pq_hear_event, c)) {
		PQfinish(c->pg);
		wi_free(c, sizeof(*c));
		return NULL;
	}
	PQsetErrorVerbosity(c->pg, PQERRORS_VERBOSE);
	wi_pq_hear_from_now_on(c);
	return c;
}

/* Whether the descriptor is ready now; an error or hang-up is, too. */
bool wi_pq_is_ready(int fd, short events)
{
	struct pollfd p = {.fd = fd, .events = events};
	int n;

	do
		n = poll(&p, 1, 0);
	while (n < 0 && errno == EINTR);
	return n != 0;
}

static enum wi_step wait_for(struct pq_conn *c, bool to_send)
{
	c->waits_to_send = to_send;
	return to_send ? WI_STEP_WRITE : WI_STEP_READ;
}

static void hold_tls(struct pq_conn *c)
{
	void *ssl = c->tls ? NULL : PQsslStruct(c->pg, "OpenSSL");

	if (ssl)
		c->tls = wi_tls_hold(ssl);
}

void wi_pq_drop_tls(struct pq_conn *c)
{
	wi_tls_drop(c->tls);
	c->tls = NULL;
}

/*
 * The step in which libpq begins a handshake sends the first message and looks for the answer at
 * once. If that is there already and the certificate bad, the state is gone before anybody could
 * take hold of it: so the message is kept back until somebody has. (Busy machines do that often:
 * the server is woken by the message, and runs first.)
 */
static void cork(const struct pq_conn *c, int on)
{
	if (PQsocket(c->pg) >= 0) /* libpq has closed it where it failed */
		setsockopt(PQsocket(c->pg), IPPROTO_TCP, TCP_CORK, &on, sizeof(on));
}

/* Adds what libpq does not say: which check a certificate failed, and whose wish the check was. */
static void explain_tls(struct pq_conn *c, struct wi_failure *failure)
{
	struct wi_text text;
	char why[200];

	if (failure->fault != WI_FAULT_TLS)
		return;
	text = (struct wi_text){failure->text, sizeof(failure->text), strlen(failure->text)};
	/* Else it was looked at and let pass, as for sslmode=require. */
	if (strstr(failure->text, "certificate verify failed") &&
	    wi_tls_why(c->tls, why, sizeof(why)))
		wi_text_add(&text, ": %s", why);
	if (c->target->strict)
		wi_text_add(&text, "; no sslmode was given, so weir asked for verify-full");
}

static enum wi_step connected(struct pq_conn *c)
{
	struct stat status;

	wi_pq_drop_tls(c);
	PQsetErrorVerbosity(c->pg, PQERRORS_DEFAULT);
	if (fstat(PQsocket(c->pg), &status) == 0)
		c->inode = status.st_ino;
	wi_pq_mark_clean(c);
	wi_store_rlx(&c->fd, PQsocket(c->pg));
	return WI_STEP_DONE;
}

static PostgresPollingStatusType step_on(struct pq_conn *c)
{
	bool kept = !c->tls && PQstatus(c->pg) == CONNECTION_SSL_STARTUP;
	PostgresPollingStatusType result;

	if (kept)
		cork(c, 1);
	result = PQconnectPoll(c->pg);
	hold_tls(c);
	if (kept)
		cork(c, 0);
	return result;
}

enum wi_step wi_pq_connect_step(void *conn, struct wi_failure *failure)
{
	struct pq_conn *c = conn;

	if (!wi_pq_is_connecting(c))
		return WI_STEP_DONE;
	/*
	 * libpq takes any call for the event it waits for: before connect(2) is through, it sends.
	 */
	if (PQstatus(c->pg) != CONNECTION_BAD &&
	    !wi_pq_is_ready(PQsocket(c->pg), c->waits_to_send ? POLLOUT : POLLIN))
		return wait_for(c, c->waits_to_send);
	switch (step_on(c)) {
	case PGRES_POLLING_READING:
		return wait_for(c, false);
	case PGRES_POLLING_WRITING:
		return wait_for(c, true);
	case PGRES_POLLING_OK:
		return connected(c);
	case PGRES_POLLING_FAILED:
	case PGRES_POLLING_ACTIVE:
		break;
	}
	wi_failure_of_connect(failure, PQerrorMessage(c->pg), wi_pq_secret_of(c));
	explain_tls(c, failure);
	return WI_STEP_FAILED;
}

const char *wi_pq_password(void *conn)
{
	return wi_pq_secret_of(conn);
}

int wi_pq_fd(void *conn)
{
	return PQsocket(((struct pq_conn *)conn)->pg);
}

int64_t wi_pq_due(void *conn)
{
	(void)conn;
	return WI_FOREVER;
}
