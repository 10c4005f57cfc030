/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One connection through the fault proxy: two ends, and two ways between them. What is read into a
 * way waits there until it is due; so a delay keeps the order, and a way that is stopped fills up
 * its sender's window.
 */
#include "support/proxy_inside.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define CANCEL_REQUEST 80877102
#define SSL_REQUEST 80877103
#define GSS_REQUEST 80877104
#define BUFFERED_MOST (1 << 18)
#define NS_A_MS INT64_C(1000000)
#define NS_A_SEC INT64_C(1000000000)

/* The ends of a way. */
static int source(int way)
{
	return way == TEST_TO_SERVER ? PROXY_CLIENT : PROXY_SERVER;
}

static int sink(int way)
{
	return way == TEST_TO_SERVER ? PROXY_SERVER : PROXY_CLIENT;
}

/* ---- opening and ending ---- */

static int connect_unix(const struct test_proxy *p)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	snprintf(un.sun_path, sizeof(un.sun_path), "%.90s/.s.PGSQL.%d", p->server, p->server_port);
	if (fd >= 0 && connect(fd, (struct sockaddr *)&un, sizeof(un)) != 0 && errno != EAGAIN) {
		close(fd);
		return -1;
	}
	return fd;
}

static int connect_tcp(const struct test_proxy *p)
{
	struct sockaddr_in in = {.sin_family = AF_INET,
	                         .sin_port = htons((uint16_t)p->server_port)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	inet_pton(AF_INET, p->server, &in.sin_addr);
	if (fd < 0)
		return -1;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
	if (connect(fd, (struct sockaddr *)&in, sizeof(in)) != 0 && errno != EINPROGRESS) {
		close(fd);
		return -1;
	}
	return fd;
}

struct proxy_link *proxy_link_open(struct test_proxy *p, int client)
{
	struct proxy_link *l = calloc(1, sizeof(*l));

	if (!l)
		abort();
	setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
	l->fd[PROXY_CLIENT] = client;
	l->fd[PROXY_SERVER] = p->server[0] == '/' ? connect_unix(p) : connect_tcp(p);
	l->connecting = true;
	proxy_link_fault(l, &p->fault);
	if (l->fd[PROXY_SERVER] < 0)
		proxy_link_reset(l);
	return l;
}

void proxy_link_free(struct proxy_link *l)
{
	for (int i = 0; i < 2; i++) {
		if (l->fd[i] >= 0)
			close(l->fd[i]);
		mock_bytes_free(&l->way[i].bytes);
		free(l->way[i].chunk);
	}
	free(l);
}

void proxy_link_fault(struct proxy_link *l, const struct test_proxy_fault *fault)
{
	l->fault = *fault;
	for (int w = 0; w < 2; w++) {
		l->way[w].to_cut = fault->cut_after[w] ? fault->cut_after[w] : -1;
		l->way[w].next_ns = 0;
	}
}

void proxy_link_reset(struct proxy_link *l)
{
	static const struct linger at_once = {.l_onoff = 1, .l_linger = 0};

	for (int i = 0; i < 2; i++)
		if (l->fd[i] >= 0)
			setsockopt(l->fd[i], SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
	l->over = true;
}

void proxy_link_rush(struct proxy_link *l)
{
	for (int w = 0; w < 2; w++)
		for (size_t i = 0; i < l->way[w].chunks; i++)
			l->way[w].chunk[i].due_ns = 0;
}

/* ---- a way's bytes ---- */

static void push(struct proxy_way *w, const char *bytes, size_t n, int64_t due_ns)
{
	if (w->chunks == w->room) {
		w->room = 2 * w->room + 16;
		w->chunk = realloc(w->chunk, w->room * sizeof(*w->chunk));
		if (!w->chunk)
			abort();
	}
	w->chunk[w->chunks++] = (struct proxy_chunk){n, due_ns};
	mock_add(&w->bytes, bytes, n);
}

static void drop(struct proxy_way *w, size_t n)
{
	mock_drop_front(&w->bytes, n);
	w->chunk[0].n -= n;
	if (w->chunk[0].n)
		return;
	w->chunks--;
	memmove(w->chunk, w->chunk + 1, w->chunks * sizeof(*w->chunk));
}

/* When the next byte may go; NEVER: there is none, or it is held. */
static int64_t next_due(const struct proxy_link *l, int way)
{
	const struct proxy_way *w = &l->way[way];

	if (!w->chunks || (way == TEST_TO_SERVER && (!l->judged || l->held || l->connecting)))
		return PROXY_NEVER;
	return w->chunk[0].due_ns > w->next_ns ? w->chunk[0].due_ns : w->next_ns;
}

static bool is_read(const struct proxy_link *l, int way)
{
	const struct proxy_way *w = &l->way[way];

	return !w->ended && !l->fault.stop[way] && w->bytes.len < BUFFERED_MOST;
}

short proxy_link_events(const struct proxy_link *l, int end, int64_t now_ns)
{
	int in = end == PROXY_CLIENT ? TEST_TO_SERVER : TEST_TO_CLIENT;
	short events = 0;

	if (end == PROXY_SERVER && l->connecting)
		return POLLOUT;
	if (is_read(l, in))
		events |= POLLIN;
	if (next_due(l, !in) <= now_ns)
		events |= POLLOUT;
	return events;
}

int64_t proxy_link_due(const struct proxy_link *l)
{
	int64_t a = next_due(l, TEST_TO_SERVER), b = next_due(l, TEST_TO_CLIENT);

	return a < b ? a : b;
}

/* ---- the first packet ---- */

static void answer_ssl(struct proxy_link *l, int64_t now_ns)
{
	static const char garbage[] = "HTTP/1.1 400 Bad Request\r\n\r\n";

	switch (l->fault.ssl) {
	case TEST_PROXY_SSL_PASS:
		l->asked = true;
		return;
	case TEST_PROXY_SSL_STUFFED:
		l->stuff = true;
		return;
	case TEST_PROXY_SSL_NO:
		push(&l->way[TEST_TO_CLIENT], "N", 1, now_ns);
		l->judged = false; /* the startup packet follows */
		break;
	case TEST_PROXY_SSL_STALL:
		push(&l->way[TEST_TO_CLIENT], "S", 1, now_ns);
		l->deaf = true;
		break;
	case TEST_PROXY_SSL_GARBAGE:
		push(&l->way[TEST_TO_CLIENT], "S", 1, now_ns);
		/* By itself: what came with the 'S' would not be taken for the handshake. */
		push(&l->way[TEST_TO_CLIENT], garbage, strlen(garbage), now_ns + 20 * NS_A_MS);
		l->deaf = true;
		break;
	}
	while (l->way[TEST_TO_SERVER].chunks)
		drop(&l->way[TEST_TO_SERVER], l->way[TEST_TO_SERVER].chunk[0].n);
}

/* What the client wants, by its first eight bytes. */
static void judge(struct test_proxy *p, struct proxy_link *l, int64_t now_ns)
{
	struct proxy_way *w = &l->way[TEST_TO_SERVER];
	uint32_t code;

	if (l->judged || w->bytes.len < 8)
		return;
	l->judged = true;
	code = mock_read_int(w->bytes.at + 4, 4);
	if (code == SSL_REQUEST || code == GSS_REQUEST) {
		p->counts.ssl_requests++;
		answer_ssl(l, now_ns);
	} else if (code == CANCEL_REQUEST) {
		p->counts.cancels++;
		l->is_cancel = true;
		l->held = l->fault.cancel_hold;
		for (size_t i = 0; i < w->chunks; i++)
			w->chunk[i].due_ns += l->fault.cancel_delay_ms * NS_A_MS;
	} else {
		p->counts.sessions++;
	}
}

/* ---- moving ---- */

static void heard(struct test_proxy *p, struct proxy_link *l, int way, const char *bytes, size_t n,
                  int64_t now_ns)
{
	struct proxy_way *w = &l->way[way];

	if (l->fault.swallow[way] || l->deaf) {
		p->counts.lost[way] += n;
		return;
	}
	push(w, bytes, n, now_ns + l->fault.delay_ms[way] * NS_A_MS);
	if (way == TEST_TO_SERVER && l->asked && n >= 8 && mock_read_int(bytes + 4, 4) >> 16 == 3)
		p->counts.sessions++; /* in plain, after a server's 'N' */
	if (way == TEST_TO_SERVER)
		judge(p, l, now_ns);
	if (way == TEST_TO_CLIENT && l->stuff) {
		static const char company[] = "R\0\0\0\10\0\0\0\0"; /* AuthenticationOk */

		l->stuff = false;
		push(w, company, 9, now_ns + l->fault.delay_ms[way] * NS_A_MS);
		/* One write, so that both are there at once. */
		w->chunk[w->chunks - 2].n += 9;
		w->chunks--;
	}
}

/* One read, so that no connection starves the others. */
static void take(struct test_proxy *p, struct proxy_link *l, int way, int64_t now_ns)
{
	char bytes[16384];
	ssize_t n = recv(l->fd[source(way)], bytes, sizeof(bytes), 0);

	if (n > 0) {
		heard(p, l, way, bytes, (size_t)n, now_ns);
		return;
	}
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	l->way[way].ended = true;
	if (n < 0 && !l->fault.keep_end[way])
		proxy_link_reset(l);
}

static void cut(struct test_proxy *p, struct proxy_link *l)
{
	p->counts.cuts++;
	l->over = true;
	if (l->fault.cut_by_reset)
		proxy_link_reset(l);
}

/* How much may be written at once. */
static size_t portion(const struct proxy_link *l, int way)
{
	const struct proxy_way *w = &l->way[way];
	size_t n = w->chunk[0].n;

	if (l->fault.rate[way] && n > (size_t)l->fault.rate[way] / 50 + 1)
		n = (size_t)l->fault.rate[way] / 50 + 1;
	if (w->to_cut >= 0 && n > (size_t)w->to_cut)
		n = (size_t)w->to_cut;
	return n;
}

static void give(struct test_proxy *p, struct proxy_link *l, int way, int64_t now_ns)
{
	struct proxy_way *w = &l->way[way];

	while (!l->over && next_due(l, way) <= now_ns) {
		ssize_t n = send(l->fd[sink(way)], w->bytes.at, portion(l, way), MSG_NOSIGNAL);

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n < 0) {
			w->told = true;
			drop(w, w->chunk[0].n); /* nobody is there to have it */
			continue;
		}
		drop(w, (size_t)n);
		p->counts.bytes[way] += (uint64_t)n;
		if (l->fault.rate[way])
			w->next_ns = now_ns + n * NS_A_SEC / l->fault.rate[way];
		if (w->to_cut >= 0 && (w->to_cut -= n) == 0)
			cut(p, l);
	}
}

/* The end of one side is told to the other, after all that came before it. */
static void pass_end(struct proxy_link *l, int way)
{
	struct proxy_way *w = &l->way[way];

	if (!w->ended || w->told || w->chunks || l->fault.keep_end[way] || l->connecting)
		return;
	w->told = true;
	shutdown(l->fd[sink(way)], SHUT_WR);
}

static void connected(struct proxy_link *l)
{
	int error = 0;
	socklen_t size = sizeof(error);

	l->connecting = false;
	if (getsockopt(l->fd[PROXY_SERVER], SOL_SOCKET, SO_ERROR, &error, &size) != 0 || error)
		proxy_link_reset(l);
}

void proxy_link_serve(struct test_proxy *p, struct proxy_link *l, const short events[2],
                      int64_t now_ns)
{
	if (l->connecting && events[PROXY_SERVER])
		connected(l);
	for (int w = 0; w < 2 && !l->over; w++) {
		if (events[source(w)] & (POLLIN | POLLHUP | POLLERR) && is_read(l, w) &&
		    !(source(w) == PROXY_SERVER && l->connecting))
			take(p, l, w, now_ns);
		if (!l->over)
			give(p, l, w, now_ns);
		pass_end(l, w);
	}
	for (int w = 0; w < 2 && !l->over; w++)
		give(p, l, w, now_ns); /* what the proxy itself has answered */
	if (l->way[0].ended && l->way[1].ended && !l->way[0].chunks && !l->way[1].chunks &&
	    l->way[0].told && l->way[1].told)
		l->over = true;
}
