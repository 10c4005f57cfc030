/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The thread that serves, and the connections it has.
 *
 * libmicrohttpd runs in a loop of ours, on one thread, so that time is ours, too. Its own limit is
 * for a connection on which nothing comes; a client that sends a byte now and then would keep its
 * place for hours. Here a request has so long, and then its socket is shut down, whatever it did.
 * Where there are too many connections, the one that has taken longest is shut down for the one
 * that comes: so a crowd of slow ones keeps nobody else out.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <microhttpd.h>

#include "http/http.h"

#define BACKLOG 128
/* An answer has its head in the memory of its connection, besides the request. */
#define ANSWER_HEAD_MAX 2048
/* A look that has not ended so long after its time is not waited for. */
#define LATE_MS 1000

/* ---- the socket ---- */

static socklen_t make_address(const struct wi_http_settings *s, struct sockaddr_storage *to)
{
	struct sockaddr_in *v4 = (void *)to;
	struct sockaddr_in6 *v6 = (void *)to;

	memset(to, 0, sizeof(*to));
	if (inet_pton(AF_INET, s->address, &v4->sin_addr) == 1) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons(s->port);
		return sizeof(*v4);
	}
	(void)inet_pton(AF_INET6, s->address, &v6->sin6_addr);
	v6->sin6_family = AF_INET6;
	v6->sin6_port = htons(s->port);
	return sizeof(*v6);
}

static uint16_t port_of(int fd)
{
	struct sockaddr_storage at;
	socklen_t length = sizeof(at);

	if (getsockname(fd, (void *)&at, &length) != 0)
		return 0;
	return ntohs(at.ss_family == AF_INET ? ((struct sockaddr_in *)&at)->sin_port
	                                     : ((struct sockaddr_in6 *)&at)->sin6_port);
}

static weir_status listen_on(struct weir_http *h, weir_error *error)
{
	const struct wi_http_settings *s = &h->settings;
	int on = 1, off = 0;
	struct sockaddr_storage at;
	socklen_t length = make_address(s, &at);
	int fd = socket(at.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd >= 0) {
		(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
		if (at.ss_family == AF_INET6) /* "::" is all of this machine, IPv4, too */
			(void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
	}
	if (fd < 0 || bind(fd, (void *)&at, length) != 0 || listen(fd, BACKLOG) != 0) {
		char words[128];
		const char *why = strerror_r(errno, words, sizeof(words));

		if (fd >= 0)
			close(fd);
		return wi_http_fail(error, WEIR_SYSTEM, "HTTP on %s port %u: %s", s->address,
		                    (unsigned)s->port, why);
	}
	h->listener = fd;
	h->port = port_of(fd);
	return WEIR_OK;
}

/* ---- connections ---- */

/* libmicrohttpd sees the end, and closes it. */
static void cut(struct wi_client *c)
{
	c->cut = true;
	shutdown(c->fd, SHUT_RDWR);
}

/* One of those that may be cut has to go: the one that has taken longest. */
static void make_room(struct weir_http *h, const struct wi_client *newest)
{
	struct wi_client *slowest = NULL;
	uint32_t n = 0;

	for (struct wi_client *c = h->clients; c; c = c->next) {
		n += !c->cut;
		if (c != newest && !c->cut && !c->waits &&
		    (!slowest || c->since_ms <= slowest->since_ms))
			slowest = c;
	}
	if (n > h->settings.connections_max && slowest)
		cut(slowest);
}

static void welcome(struct weir_http *h, struct MHD_Connection *connection, void **context)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
	struct wi_client *c = calloc(1, sizeof(*c));

	*context = c;
	if (!c)
		return; /* its requests are refused */
	c->connection = connection;
	c->fd = info->connect_fd;
	c->since_ms = wi_http_now_ms();
	c->next = h->clients;
	if (c->next)
		c->next->before = c;
	h->clients = c;
	make_room(h, c);
}

static void forget(struct weir_http *h, struct wi_client *c)
{
	if (!c)
		return;
	if (c->next)
		c->next->before = c->before;
	if (c->before)
		c->before->next = c->next;
	else
		h->clients = c->next;
	free(c);
	h->has_room = true;
}

static void on_connection(void *arg, struct MHD_Connection *connection, void **context,
                          enum MHD_ConnectionNotificationCode what)
{
	if (what == MHD_CONNECTION_NOTIFY_STARTED)
		welcome(arg, connection, context);
	else
		forget(arg, *context);
}

static struct wi_client *client_of(struct MHD_Connection *connection)
{
	return MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT)
	        ->socket_context;
}

static void on_completed(void *arg, struct MHD_Connection *connection, void **request,
                         enum MHD_RequestTerminationCode how)
{
	struct wi_client *c = client_of(connection);

	(void)arg;
	(void)request;
	(void)how;
	if (!c)
		return;
	c->since_ms = wi_http_now_ms();
	c->round = 0;
}

static enum MHD_Result on_request(void *arg, struct MHD_Connection *connection, const char *path,
                                  const char *method, const char *version, const char *data,
                                  size_t *data_size, void **request)
{
	struct wi_client *c = client_of(connection);
	bool is_whole = *request != NULL;

	(void)data;
	(void)data_size;
	*request = c;
	return c && wi_answer(arg, c, is_whole, path, method, version) ? MHD_YES : MHD_NO;
}

/* ---- waiting for a look ---- */

void wi_serve_wait(struct weir_http *h, struct wi_client *c, uint64_t round)
{
	c->round = round;
	c->waits = true;
	c->waits_until_ms = wi_http_now_ms() + h->settings.health_timeout_ms + LATE_MS;
	MHD_suspend_connection(c->connection);
}

/* What the look took was not the client's doing: it has as long as ever to take its answer. */
static void resume(struct wi_client *c)
{
	c->waits = false;
	c->since_ms = wi_http_now_ms();
	MHD_resume_connection(c->connection);
}

/* ---- the loop ---- */

/*
 * Ends what has taken too long and resumes who need not wait any more; when to look again. Who was
 * resumed is seen by the next run of the daemon only: nothing wakes that.
 */
static int64_t tend(struct weir_http *h)
{
	uint64_t finished = wi_look_finished(h);
	int64_t now_ms = wi_http_now_ms(), next_ms = INT64_MAX;

	for (struct wi_client *c = h->clients; c; c = c->next) {
		int64_t due_ms;

		if (c->waits && (finished >= c->round || now_ms >= c->waits_until_ms)) {
			resume(c);
			next_ms = 0;
		}
		due_ms = c->waits ? c->waits_until_ms : c->since_ms + h->settings.timeout_ms;
		if (c->cut)
			continue;
		if (!c->waits && now_ms >= due_ms)
			cut(c);
		else if (due_ms < next_ms)
			next_ms = due_ms;
	}
	return next_ms;
}

static int poll_ms(struct weir_http *h, int64_t next_ms)
{
	int64_t now_ms = wi_http_now_ms(), left_ms = next_ms - now_ms;
	MHD_UNSIGNED_LONG_LONG wanted;

	if (next_ms == INT64_MAX || left_ms > 60000)
		left_ms = 60000;
	/* The daemon listens again in its next run, and nothing wakes that, either. */
	if (left_ms < 0 || h->has_room)
		left_ms = 0;
	h->has_room = false;
	if (MHD_get_timeout(h->daemon, &wanted) == MHD_YES && (int64_t)wanted < left_ms)
		left_ms = (int64_t)wanted;
	return (int)left_ms;
}

static void *serve(void *arg)
{
	struct weir_http *h = arg;
	const union MHD_DaemonInfo *info = MHD_get_daemon_info(h->daemon, MHD_DAEMON_INFO_EPOLL_FD);
	struct pollfd p[2] = {{.fd = info->epoll_fd, .events = POLLIN},
	                      {.fd = h->bell, .events = POLLIN}};

	pthread_setname_np(pthread_self(), "weir-http");
	while (!atomic_load(&h->ending)) {
		uint64_t rings;
		ssize_t n;

		poll(p, 2, poll_ms(h, tend(h)));
		n = read(h->bell, &rings, sizeof(rings));
		(void)n; /* how often it has rung does not matter */
		MHD_run(h->daemon);
	}
	return NULL;
}

/* ---- start and stop ---- */

/* Paths stay as they are sent: none of ours needs decoding, and a "%00" would end one. */
static size_t leave_as_it_is(void *arg, struct MHD_Connection *connection, char *text)
{
	(void)arg;
	(void)connection;
	return strlen(text);
}

static struct MHD_Daemon *start_daemon(struct weir_http *h)
{
	const struct wi_http_settings *s = &h->settings;

	return MHD_start_daemon(
		MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME, h->port, NULL, NULL, on_request, h,
		MHD_OPTION_LISTEN_SOCKET, h->listener, MHD_OPTION_NOTIFY_CONNECTION, on_connection,
		h, MHD_OPTION_NOTIFY_COMPLETED, on_completed, h, MHD_OPTION_UNESCAPE_CALLBACK,
		leave_as_it_is, NULL,
		/* one more, so that one that comes makes another one go */
		MHD_OPTION_CONNECTION_LIMIT, s->connections_max + 1,
		MHD_OPTION_CONNECTION_MEMORY_LIMIT, s->request_max + ANSWER_HEAD_MAX,
		MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_END);
}

static bool start_thread(struct weir_http *h)
{
	sigset_t all, before;
	bool started;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	started = pthread_create(&h->thread, NULL, serve, h) == 0;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return started;
}

weir_status wi_serve_start(struct weir_http *h, weir_error *error)
{
	weir_status st = listen_on(h, error);

	if (st != WEIR_OK)
		return st;
	h->daemon = start_daemon(h);
	if (!h->daemon) {
		close(h->listener);
		return wi_http_fail(error, WEIR_SYSTEM, "libmicrohttpd does not start");
	}
	if (start_thread(h))
		return WEIR_OK;
	MHD_stop_daemon(h->daemon);
	return wi_http_fail(error, WEIR_SYSTEM, "no thread can be started");
}

void wi_serve_stop(struct weir_http *h)
{
	atomic_store(&h->ending, true);
	wi_http_ring(h);
	pthread_join(h->thread, NULL);
	for (struct wi_client *c = h->clients; c; c = c->next)
		if (c->waits)
			resume(c);
	MHD_stop_daemon(h->daemon); /* closes the listening socket, too */
}

/*
 * The daemon stays as it is in this process's memory: to stop it would shut down connections that
 * are the parent's.
 */
void wi_serve_abandon(struct weir_http *h)
{
	const union MHD_DaemonInfo *info = MHD_get_daemon_info(h->daemon, MHD_DAEMON_INFO_EPOLL_FD);

	close(info->epoll_fd);
	close(h->listener);
	for (struct wi_client *next, *c = h->clients; c; c = next) {
		next = c->next;
		close(c->fd);
		free(c);
	}
}
