/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The driver for libpq: its table, and the end of a connection. libpq_param.c tells libpq what to
 * connect to, libpq_connect.c connects, libpq_ask.c asks, libpq_hear.c hears and looks; nothing
 * else in the library includes libpq's headers.
 *
 * Waiting. libpq's sockets never block by themselves; libpq waits in poll(2) if it is in blocking
 * mode and its output does not fit. It is in that mode only while a holder has it, see driver.h.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/atomic.h"
#include "driver/libpq.h"

static void pq_facts(void *conn, struct wi_facts *facts)
{
	const struct pq_conn *c = conn;
	PGconn *pg = c->pg;
	const char *standby = PQparameterStatus(pg, "in_hot_standby");
	const char *protocol = PQsslAttribute(pg, "protocol");
	const char *cipher = PQsslAttribute(pg, "cipher");

	*facts = (struct wi_facts){
		.backend_pid = PQbackendPID(pg),
		.server_version = PQserverVersion(pg),
		.in_hot_standby = standby && strcmp(standby, "on") == 0,
		.in_failed_tx = PQtransactionStatus(pg) == PQTRANS_INERROR,
		.succeeded = c->succeeded,
		.commits = c->commits,
		.turns = c->turns,
		.tls = "off",
	};
	if (facts->in_failed_tx)
		memcpy(facts->failed_by, c->failed_by, sizeof(facts->failed_by));
	if (PQsslInUse(pg))
		snprintf(facts->tls, sizeof(facts->tls), "%s %s", protocol ? protocol : "TLS",
		         cipher ? cipher : "");
}

static struct pg_conn *pq_pg(void *conn)
{
	return ((struct pq_conn *)conn)->pg;
}

/* ---- ending ---- */

/*
 * libpq may close the socket at any moment, and its number may then be another's: take hold of
 * whatever has the number first, and look whether it is ours.
 */
static void pq_cut(void *conn)
{
	struct pq_conn *c = conn;
	struct stat status;
	int fd = fcntl(wi_load_rlx(&c->fd), F_DUPFD_CLOEXEC, 0);

	if (fd < 0)
		return;
	if (fstat(fd, &status) == 0 && S_ISSOCK(status.st_mode) && status.st_ino == c->inode)
		shutdown(fd, SHUT_WR);
	close(fd);
}

static void free_conn(struct pq_conn *c)
{
	wi_pq_drop_error(c);
	wi_pq_forget_calls(c);
	if (wi_pq_is_connecting(c))
		wi_pq_drop_tls(c);
	else
		wi_plans_free(c->plans);
	PQfinish(c->pg);
	wi_free(c->last_words, sizeof(*c->last_words));
	wi_free(c, sizeof(*c));
}

/*
 * Another hold on the socket if a server process has it, so that the end can be awaited after
 * PQfinish has closed libpq's. Without a free descriptor there is no waiting: -1.
 */
static int hold_socket(const PGconn *pg)
{
	ConnStatusType status = PQstatus(pg);

	if (status == CONNECTION_BAD || status == CONNECTION_NEEDED ||
	    status == CONNECTION_STARTED) /* nobody has accepted yet */
		return -1;
	return fcntl(PQsocket(pg), F_DUPFD_CLOEXEC, 0);
}

static int pq_close(void *conn)
{
	struct pq_conn *c = conn;
	int fd = hold_socket(c->pg);

	/*
	 * PQfinish must not wait until its farewell is sent. After an answer there is room for it:
	 * the server has read all that came before. But what a holder left of a COPY may not fit:
	 * so where something is under way, the socket says no more.
	 */
	if (PQtransactionStatus(c->pg) == PQTRANS_ACTIVE)
		shutdown(PQsocket(c->pg), SHUT_WR);
	free_conn(c);
	/* For a server that did not get the farewell, the end of the stream is one. */
	if (fd >= 0)
		shutdown(fd, SHUT_WR);
	return fd;
}

static void pq_abandon(void *conn)
{
	struct pq_conn *c = conn;
	int fd = PQsocket(c->pg);
	int blank = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0); /* connected to nobody */

	if (fd >= 0 && (blank < 0 || dup2(blank, fd) < 0))
		close(fd);
	if (blank >= 0)
		close(blank);
	free_conn(c);
}

const struct wi_driver wi_driver_libpq = {
	.name = "libpq",
	.check = wi_pq_check,
	.connect = wi_pq_connect,
	.connect_step = wi_pq_connect_step,
	.password = wi_pq_password,
	.fd = wi_pq_fd,
	.due = wi_pq_due,
	.send = wi_pq_send,
	.send_two = wi_pq_send_two,
	.answer_step = wi_pq_answer_step,
	.send_calls = wi_pq_send_calls,
	.results_step = wi_pq_results_step,
	.result_free = wi_pq_result_free,
	.drain_step = wi_pq_drain_step,
	.cancel_make = wi_pq_cancel_make,
	.cancel_ask = wi_pq_cancel_ask,
	.cancel_free = wi_pq_cancel_free,
	.look = wi_pq_look,
	.tidy = wi_pq_tidy,
	.tidy_and_look = wi_pq_tidy_and_look,
	.heard = wi_pq_heard,
	.refused = wi_pq_refused,
	.mark_clean = wi_pq_mark_clean,
	.peek = wi_pq_peek,
	.facts = pq_facts,
	.pg = pq_pg,
	.cut = pq_cut,
	.close = pq_close,
	.abandon = pq_abandon,
};
