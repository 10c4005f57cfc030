/* SPDX-License-Identifier: BSD-2-Clause */
/* The fault proxy's thread, and what a test tells it. */
#include "support/proxy.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "support/proxy_inside.h"

#define BACKLOG 512
#define NS_A_MS INT64_C(1000000)

int64_t proxy_now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void die(const char *what)
{
	fprintf(stderr, "fault proxy: %s: %s\n", what, strerror(errno));
	exit(EXIT_FAILURE);
}

static void changed(struct test_proxy *p)
{
	const uint64_t one = 1;

	pthread_cond_broadcast(&p->changed);
	(void)!write(p->bell, &one, sizeof(one));
}

/* ---- listening ---- */

static int listen_unix(struct test_proxy *p)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	snprintf(un.sun_path, sizeof(un.sun_path), "%s/.s.PGSQL.%d", p->directory, p->port);
	unlink(un.sun_path);
	if (fd < 0 || bind(fd, (struct sockaddr *)&un, sizeof(un)) != 0 || listen(fd, BACKLOG) != 0)
		die("cannot listen on a Unix socket");
	return fd;
}

static int listen_tcp(struct test_proxy *p, bool listens)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons((uint16_t)p->port)};
	socklen_t size = sizeof(in);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	inet_pton(AF_INET, p->address, &in.sin_addr);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int)) != 0 ||
	    bind(fd, (struct sockaddr *)&in, sizeof(in)) != 0 ||
	    (listens && listen(fd, BACKLOG) != 0) ||
	    getsockname(fd, (struct sockaddr *)&in, &size) != 0)
		die("cannot listen");
	p->port = ntohs(in.sin_port);
	return fd;
}

/* Opens the listener anew. Without `listens` the port stays ours, and nobody is let in. */
static void open_listener(struct test_proxy *p, bool listens)
{
	if (p->listener >= 0)
		close(p->listener);
	p->listener = -1;
	p->listens = listens;
	if (!p->directory[0])
		p->listener = listen_tcp(p, listens);
	else if (listens)
		p->listener = listen_unix(p);
}

/* ---- the loop ---- */

static void add_link(struct test_proxy *p, struct proxy_link *l)
{
	if (p->links == p->room) {
		p->room = 2 * p->room + 16;
		p->link = realloc(p->link, p->room * sizeof(*p->link));
		if (!p->link)
			abort();
	}
	p->link[p->links++] = l;
	p->counts.connects++;
	p->counts.open++;
}

static void accept_all(struct test_proxy *p)
{
	int fd;

	if (!p->listens)
		return;
	while ((fd = accept4(p->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)) >= 0)
		add_link(p, proxy_link_open(p, fd));
}

static void remove_link(struct test_proxy *p, size_t i)
{
	proxy_link_free(p->link[i]);
	p->link[i] = p->link[--p->links];
	p->counts.open--;
}

/* The bell, the listener, and both ends of each link. How many. */
static nfds_t poll_list(struct test_proxy *p, struct pollfd **list, int64_t now_ns)
{
	nfds_t n = 0;

	*list = realloc(*list, (2 * p->links + 2) * sizeof(**list));
	if (!*list)
		abort();
	(*list)[n++] = (struct pollfd){.fd = p->bell, .events = POLLIN};
	(*list)[n++] = (struct pollfd){.fd = p->listens ? p->listener : -1, .events = POLLIN};
	for (size_t i = 0; i < p->links; i++)
		for (int end = 0; end < 2; end++) {
			short events = proxy_link_events(p->link[i], end, now_ns);

			(*list)[n++] = (struct pollfd){.fd = events ? p->link[i]->fd[end] : -1,
			                               .events = events};
		}
	return n;
}

static int poll_ms(const struct test_proxy *p, int64_t now_ns)
{
	int64_t due_ns = p->ends_ns;

	for (size_t i = 0; i < p->links; i++) {
		int64_t link_ns = proxy_link_due(p->link[i]);

		/* What is due already waits for room at its sink: poll tells. */
		if (link_ns > now_ns && link_ns < due_ns)
			due_ns = link_ns;
		if (p->link[i]->over)
			return 0;
	}
	return due_ns <= now_ns ? 0 : (int)((due_ns - now_ns + NS_A_MS - 1) / NS_A_MS);
}

static void count_held(struct test_proxy *p)
{
	p->counts.held = 0;
	for (size_t i = 0; i < p->links; i++)
		p->counts.held += p->link[i]->held;
}

static void round_of(struct test_proxy *p, const struct pollfd *list, nfds_t n)
{
	int64_t now_ns = proxy_now_ns();
	uint64_t rings;

	if (list[0].revents)
		(void)!read(p->bell, &rings, sizeof(rings));
	if (p->listens == p->refused)
		open_listener(p, !p->refused);
	for (size_t i = p->links; i-- > 0;) {
		size_t at = 2 * i + 2;
		short events[2] = {at < n ? list[at].revents : 0,
		                   at < n ? list[at + 1].revents : 0};

		if (!p->link[i]->over)
			proxy_link_serve(p, p->link[i], events, now_ns);
		if (p->link[i]->over)
			remove_link(p, i);
	}
	accept_all(p);
	count_held(p);
	pthread_cond_broadcast(&p->changed);
}

static void *proxy_main(void *arg)
{
	struct test_proxy *p = arg;
	struct pollfd *list = NULL;

	pthread_mutex_lock(&p->lock);
	while (!p->stopping && proxy_now_ns() < p->ends_ns) {
		int64_t now_ns = proxy_now_ns();
		nfds_t n = poll_list(p, &list, now_ns);
		int ms = poll_ms(p, now_ns);

		pthread_mutex_unlock(&p->lock);
		(void)poll(list, n, ms);
		pthread_mutex_lock(&p->lock);
		round_of(p, list, n);
	}
	while (p->links)
		remove_link(p, p->links - 1);
	if (p->listener >= 0)
		close(p->listener);
	p->listener = -1;
	p->ended = true;
	pthread_cond_broadcast(&p->changed);
	pthread_mutex_unlock(&p->lock);
	free(list);
	return NULL;
}

/* ---- beginning and end ---- */

static void name_it(struct test_proxy *p, const struct test_proxy_options *o)
{
	p->port = o->listen_port;
	p->server_port = o->port;
	snprintf(p->server, sizeof(p->server), "%s", o->host);
	snprintf(p->address, sizeof(p->address), "%s", o->address ? o->address : "127.0.0.1");
	if (!o->unix_socket)
		return;
	snprintf(p->directory, sizeof(p->directory), "/tmp/weir-proxy.XXXXXX");
	if (!mkdtemp(p->directory))
		die("cannot make a directory");
	if (!p->port)
		p->port = 5432;
}

static void init_lock(struct test_proxy *p)
{
	pthread_condattr_t attr;

	pthread_mutex_init(&p->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&p->changed, &attr);
	pthread_condattr_destroy(&attr);
}

struct test_proxy *test_proxy_start(const struct test_proxy_options *o)
{
	struct test_proxy *p = calloc(1, sizeof(*p));

	if (!p)
		die("no memory");
	init_lock(p);
	p->ends_ns = proxy_now_ns() + (o->max_seconds ? o->max_seconds : 120) * 1000 * NS_A_MS;
	p->listener = -1;
	p->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	name_it(p, o);
	open_listener(p, true);
	if (p->bell < 0 || pthread_create(&p->thread, NULL, proxy_main, p) != 0)
		die("cannot start");
	return p;
}

void test_proxy_stop(struct test_proxy **proxy)
{
	struct test_proxy *p = *proxy;
	char path[128];

	*proxy = NULL;
	if (!p)
		return;
	pthread_mutex_lock(&p->lock);
	p->stopping = true;
	changed(p);
	pthread_mutex_unlock(&p->lock);
	pthread_join(p->thread, NULL);
	close(p->bell);
	if (p->directory[0]) {
		snprintf(path, sizeof(path), "%s/.s.PGSQL.%d", p->directory, p->port);
		unlink(path);
		rmdir(p->directory);
	}
	free(p->link);
	pthread_cond_destroy(&p->changed);
	pthread_mutex_destroy(&p->lock);
	free(p);
}

const char *test_proxy_host(const struct test_proxy *p)
{
	return p->directory[0] ? p->directory : p->address;
}

int test_proxy_port(const struct test_proxy *p)
{
	return p->port;
}

/* ---- orders ---- */

void test_proxy_fault(struct test_proxy *p, enum test_proxy_whom whom,
                      const struct test_proxy_fault *fault)
{
	pthread_mutex_lock(&p->lock);
	if (whom != TEST_PROXY_PRESENT)
		p->fault = *fault;
	for (size_t i = 0; i < p->links && whom != TEST_PROXY_NEW; i++)
		proxy_link_fault(p->link[i], fault);
	changed(p);
	pthread_mutex_unlock(&p->lock);
}

void test_proxy_heal(struct test_proxy *p)
{
	pthread_mutex_lock(&p->lock);
	p->fault = (struct test_proxy_fault){0};
	for (size_t i = 0; i < p->links; i++) {
		proxy_link_fault(p->link[i], &p->fault);
		proxy_link_rush(p->link[i]);
		p->link[i]->held = false;
	}
	changed(p);
	pthread_mutex_unlock(&p->lock);
}

void test_proxy_blackhole(struct test_proxy *p)
{
	test_proxy_fault(
		p, TEST_PROXY_ALL,
		&(struct test_proxy_fault){.swallow = {true, true}, .keep_end = {true, true}});
}

void test_proxy_refuse(struct test_proxy *p, bool refused)
{
	pthread_mutex_lock(&p->lock);
	p->refused = refused;
	changed(p);
	while (p->listens == p->refused && !p->ended)
		pthread_cond_wait(&p->changed, &p->lock);
	pthread_mutex_unlock(&p->lock);
}

static void reset_one(struct proxy_link *l, void *arg)
{
	(void)arg;
	proxy_link_reset(l);
}

static void drop_one(struct proxy_link *l, void *arg)
{
	(void)arg;
	l->over = true;
}

static void half_close_one(struct proxy_link *l, void *way)
{
	int to = *(enum test_proxy_way *)way == TEST_TO_SERVER ? PROXY_SERVER : PROXY_CLIENT;

	shutdown(l->fd[to], SHUT_WR);
}

/* On every link that is there. How many. */
static int each(struct test_proxy *p, void (*deed)(struct proxy_link *l, void *arg), void *arg)
{
	int n;

	pthread_mutex_lock(&p->lock);
	n = (int)p->links;
	for (size_t i = 0; i < p->links; i++)
		deed(p->link[i], arg);
	changed(p);
	pthread_mutex_unlock(&p->lock);
	return n;
}

int test_proxy_reset(struct test_proxy *p)
{
	return each(p, reset_one, NULL);
}

int test_proxy_drop(struct test_proxy *p)
{
	return each(p, drop_one, NULL);
}

int test_proxy_half_close(struct test_proxy *p, enum test_proxy_way way)
{
	return each(p, half_close_one, &way);
}

int test_proxy_cancels_go(struct test_proxy *p)
{
	int n = 0;

	pthread_mutex_lock(&p->lock);
	for (size_t i = 0; i < p->links; i++) {
		n += p->link[i]->held;
		p->link[i]->held = false;
	}
	changed(p);
	pthread_mutex_unlock(&p->lock);
	return n;
}

void test_proxy_counts(struct test_proxy *p, struct test_proxy_counts *counts)
{
	pthread_mutex_lock(&p->lock);
	*counts = p->counts;
	pthread_mutex_unlock(&p->lock);
}

bool test_proxy_await(struct test_proxy *p, int64_t ms,
                      bool (*holds)(const struct test_proxy_counts *counts, void *arg), void *arg)
{
	int64_t until_ns = proxy_now_ns() + ms * NS_A_MS;
	struct timespec t = {.tv_sec = until_ns / 1000000000, .tv_nsec = until_ns % 1000000000};
	bool ok;

	pthread_mutex_lock(&p->lock);
	while (!(ok = holds(&p->counts, arg)) &&
	       pthread_cond_timedwait(&p->changed, &p->lock, &t) == 0)
		;
	pthread_mutex_unlock(&p->lock);
	return ok;
}
