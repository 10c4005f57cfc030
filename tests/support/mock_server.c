/* SPDX-License-Identifier: BSD-2-Clause */
/* The mock server's thread: one poll, everybody's bytes in and out, and what time does. */
#include "support/mock_inside.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
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

#define HEARD_MOST (1 << 20)
#define BACKLOG 512
#define NS_A_MS 1000000

int64_t mock_now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void die(const char *what)
{
	fprintf(stderr, "mock server: %s: %s\n", what, strerror(errno));
	exit(EXIT_FAILURE);
}

/* ---- who waits, and ringing ---- */

static void count_held(struct test_mock *m)
{
	m->counts.held = 0;
	for (size_t i = 0; i < m->sessions; i++)
		m->counts.held += m->session[i]->held;
}

void mock_changed(struct test_mock *m)
{
	const uint64_t one = 1;

	count_held(m);
	pthread_cond_broadcast(&m->changed);
	(void)!write(m->bell, &one, sizeof(one));
}

/* ---- listening ---- */

static int listen_unix(struct test_mock *m)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	snprintf(un.sun_path, sizeof(un.sun_path), "%s/.s.PGSQL.%d", m->directory, m->port);
	unlink(un.sun_path);
	if (fd < 0 || bind(fd, (struct sockaddr *)&un, sizeof(un)) != 0 || listen(fd, BACKLOG) != 0)
		die("cannot listen on a Unix socket");
	return fd;
}

static int listen_tcp(struct test_mock *m, bool listens)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons((uint16_t)m->port)};
	socklen_t size = sizeof(in);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	inet_pton(AF_INET, m->address, &in.sin_addr);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int)) != 0 ||
	    bind(fd, (struct sockaddr *)&in, sizeof(in)) != 0 ||
	    (listens && listen(fd, BACKLOG) != 0) ||
	    getsockname(fd, (struct sockaddr *)&in, &size) != 0)
		die("cannot listen");
	m->port = ntohs(in.sin_port);
	return fd;
}

/* Opens the listener anew. Without `listens` the port stays ours, and nobody is let in. */
static void open_listener(struct test_mock *m, bool listens)
{
	if (m->listener >= 0)
		close(m->listener);
	m->listener = -1;
	m->listens = listens;
	if (!m->directory[0])
		m->listener = listen_tcp(m, listens);
	else if (listens)
		m->listener = listen_unix(m);
}

void test_mock_door(struct test_mock *m, enum test_mock_door door)
{
	pthread_mutex_lock(&m->lock);
	m->door = door;
	mock_changed(m);
	while (m->listens != (m->door != TEST_MOCK_REFUSED) && !m->over)
		pthread_cond_wait(&m->changed, &m->lock);
	pthread_mutex_unlock(&m->lock);
}

/* ---- coming and going ---- */

static void add_session(struct test_mock *m, struct mock_session *s)
{
	if (m->sessions == m->room) {
		m->room = 2 * m->room + 16;
		m->session = realloc(m->session, m->room * sizeof(*m->session));
		if (!m->session)
			abort();
	}
	m->session[m->sessions++] = s;
}

static void note_connect(struct test_mock *m)
{
	if (m->counts.connects == m->connected_room) {
		m->connected_room = 2 * m->connected_room + 64;
		m->connected_ns =
			realloc(m->connected_ns, m->connected_room * sizeof(*m->connected_ns));
		if (!m->connected_ns)
			abort();
	}
	m->connected_ns[m->counts.connects++] = mock_now_ns();
	if (++m->counts.open > m->counts.most_open)
		m->counts.most_open = m->counts.open;
}

static void take_in(struct test_mock *m, int fd)
{
	struct mock_session *s = calloc(1, sizeof(*s));

	if (!s)
		abort();
	s->fd = fd;
	s->pid = ++m->last_pid;
	s->secret = (uint32_t)s->pid * 2654435761u ^ (uint32_t)mock_now_ns();
	s->due_ns = MOCK_NEVER;
	s->drips = m->door == TEST_MOCK_DRIP;
	s->stage = m->door == TEST_MOCK_SILENT ? MOCK_DEAF : MOCK_FIRST;
	s->transaction = 'I';
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
	if (m->door == TEST_MOCK_HANG_UP)
		mock_session_end(s, TEST_MOCK_END_FIN, NULL);
	else if (m->door == TEST_MOCK_RESET)
		mock_session_end(s, TEST_MOCK_END_RST, NULL);
	add_session(m, s);
	note_connect(m);
}

static void accept_all(struct test_mock *m)
{
	int fd;

	if (m->door == TEST_MOCK_REFUSED)
		return;
	while ((fd = accept4(m->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)) >= 0)
		take_in(m, fd);
}

static void remove_session(struct test_mock *m, size_t i)
{
	struct mock_session *s = m->session[i];

	m->counts.open--;
	m->counts.sessions -= s->counted;
	m->counts.ends += s->fin_seen;
	mock_session_free(s);
	m->session[i] = m->session[--m->sessions];
}

/* ---- bytes ---- */

static void hear(struct test_mock *m, const char *bytes, size_t n)
{
	size_t left = HEARD_MOST - m->heard.len;

	mock_add(&m->heard, bytes, n < left ? n : left);
}

/* false: the client has ended it. */
static bool read_some(struct test_mock *m, struct mock_session *s)
{
	char bytes[16384];
	ssize_t n;

	while ((n = recv(s->fd, bytes, sizeof(bytes), 0)) > 0) {
		hear(m, bytes, (size_t)n);
		mock_add(&s->in, bytes, (size_t)n);
	}
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return true;
	s->fin_seen = true;
	return false;
}

/* false: it cannot be written to. */
static bool write_some(struct test_mock *m, struct mock_session *s, int64_t now_ns)
{
	while (s->out.len) {
		ssize_t n;

		if (s->drips && now_ns < s->drip_ns)
			return true;
		n = send(s->fd, s->out.at, s->drips ? 1 : s->out.len, MSG_NOSIGNAL);
		if (n < 0)
			return errno == EAGAIN || errno == EINTR;
		mock_drop_front(&s->out, (size_t)n);
		s->drip_ns = now_ns + m->drip_ns;
	}
	return true;
}

/* false: it is over. */
static bool serve(struct test_mock *m, struct mock_session *s, short events, int64_t now_ns)
{
	bool alive = true;

	if (events & (POLLIN | POLLHUP | POLLERR))
		alive = read_some(m, s);
	mock_session_read(m, s);
	if (now_ns >= s->due_ns)
		mock_session_go(m, s);
	if (!write_some(m, s, now_ns))
		return false;
	if (s->stage == MOCK_ENDING)
		return s->out.len > 0 && alive;
	return alive;
}

/* ---- the loop ---- */

static int poll_ms(struct test_mock *m, int64_t now_ns)
{
	int64_t due_ns = m->ends_ns;

	for (size_t i = 0; i < m->sessions && !m->frozen; i++) {
		const struct mock_session *s = m->session[i];

		if (s->due_ns < due_ns)
			due_ns = s->due_ns;
		if (s->drips && s->out.len && s->drip_ns < due_ns)
			due_ns = s->drip_ns;
	}
	return due_ns <= now_ns ? 0 : (int)((due_ns - now_ns + NS_A_MS - 1) / NS_A_MS);
}

/* Fills in what to poll for; the bell, the listener, the sessions. How many. */
static nfds_t poll_list(struct test_mock *m, struct pollfd **list)
{
	nfds_t n = 0;

	*list = realloc(*list, (m->sessions + 2) * sizeof(**list));
	if (!*list)
		abort();
	(*list)[n++] = (struct pollfd){.fd = m->bell, .events = POLLIN};
	if (m->frozen)
		return n;
	(*list)[n++] = (struct pollfd){.fd = m->door == TEST_MOCK_REFUSED ? -1 : m->listener,
	                               .events = POLLIN};
	for (size_t i = 0; i < m->sessions; i++)
		(*list)[n++] = (struct pollfd){
			.fd = m->session[i]->fd,
			.events = (short)(m->session[i]->out.len && !m->session[i]->drips
		                                  ? POLLIN | POLLOUT
		                                  : POLLIN)};
	return n;
}

static void round_of(struct test_mock *m, const struct pollfd *list, nfds_t n)
{
	int64_t now_ns = mock_now_ns();
	uint64_t rings;

	if (list[0].revents)
		(void)!read(m->bell, &rings, sizeof(rings));
	/* Here, because a poll that goes on would keep a closed listener alive. */
	if (m->listens != (m->door != TEST_MOCK_REFUSED)) {
		open_listener(m, !m->listens);
		pthread_cond_broadcast(&m->changed);
	}
	if (m->frozen)
		return;
	for (size_t i = m->sessions; i-- > 0;) {
		short events =
			i + 2 < n && list[i + 2].fd == m->session[i]->fd ? list[i + 2].revents : 0;

		if (!serve(m, m->session[i], events, now_ns))
			remove_session(m, i);
	}
	accept_all(m);
	count_held(m);
	pthread_cond_broadcast(&m->changed);
}

static void *server_main(void *arg)
{
	struct test_mock *m = arg;
	struct pollfd *list = NULL;

	pthread_mutex_lock(&m->lock);
	while (!m->stopping && mock_now_ns() < m->ends_ns) {
		nfds_t n = poll_list(m, &list);
		int ms = poll_ms(m, mock_now_ns());

		pthread_mutex_unlock(&m->lock);
		(void)poll(list, n, ms);
		pthread_mutex_lock(&m->lock);
		round_of(m, list, n);
	}
	while (m->sessions)
		remove_session(m, m->sessions - 1);
	if (m->listener >= 0)
		close(m->listener);
	m->listener = -1;
	m->over = true;
	pthread_cond_broadcast(&m->changed);
	pthread_mutex_unlock(&m->lock);
	free(list);
	return NULL;
}

/* ---- beginning and end ---- */

static void usual_facts(struct test_mock *m)
{
	static const struct {
		const char *name, *value;
		bool reported;
	} usual[] = {
		{"server_version", "15.20", true},
		{"server_encoding", "UTF8", true},
		{"client_encoding", "UTF8", true},
		{"application_name", "", true},
		{"is_superuser", "off", true},
		{"session_authorization", "app", true},
		{"DateStyle", "ISO, MDY", true},
		{"IntervalStyle", "postgres", true},
		{"TimeZone", "UTC", true},
		{"integer_datetimes", "on", true},
		{"standard_conforming_strings", "on", true},
		{"in_hot_standby", "off", true},
		{"default_transaction_read_only", "off", true},
		{"server_version_num", "150020", false},
		{"search_path", "\"$user\", public", false},
		{"statement_timeout", "0", false},
		{"lock_timeout", "0", false},
		{"idle_in_transaction_session_timeout", "0", false},
		{"idle_session_timeout", "0", false},
		{"tcp_keepalives_idle", "7200", false},
		{"tcp_keepalives_interval", "75", false},
		{"tcp_keepalives_count", "9", false},
		{"tcp_user_timeout", "0", false},
		{"transaction_read_only", "off", false},
		{"system_identifier", "7000000000000000001", false},
		{"started", "1732145109.5", false},
		{"lsn", "0/1000100", false},
		{"timeline", "00000001", false},
		{"wal_block_size", "8192", false},
		{"wal_segment_size", "16MB", false},
	};

	for (size_t i = 0; i < sizeof(usual) / sizeof(usual[0]); i++) {
		mock_fact_set(&m->facts, usual[i].name, usual[i].value);
		m->facts.row[i].reported = usual[i].reported;
	}
}

static void name_it(struct test_mock *m, const struct test_mock_options *o)
{
	m->port = o->port;
	snprintf(m->address, sizeof(m->address), "%s", o->address ? o->address : "127.0.0.1");
	if (!o->unix_socket)
		return;
	snprintf(m->directory, sizeof(m->directory), "/tmp/weir-mock.XXXXXX");
	if (!mkdtemp(m->directory))
		die("cannot make a directory");
	if (!m->port)
		m->port = 5432;
}

static void init_lock(struct test_mock *m)
{
	pthread_condattr_t attr;

	pthread_mutex_init(&m->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&m->changed, &attr);
	pthread_condattr_destroy(&attr);
}

struct test_mock *test_mock_start(const struct test_mock_options *options)
{
	static const struct test_mock_options none;
	const struct test_mock_options *o = options ? options : &none;
	struct test_mock *m = calloc(1, sizeof(*m));

	if (!m)
		die("no memory");
	init_lock(m);
	m->last_pid = 1000;
	m->drip_ns = (int64_t)1000 * NS_A_MS;
	m->ends_ns =
		mock_now_ns() + (int64_t)(o->max_seconds ? o->max_seconds : 120) * 1000 * NS_A_MS;
	m->listener = -1;
	m->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	usual_facts(m);
	name_it(m, o);
	open_listener(m, true);
	snprintf(m->conninfo, sizeof(m->conninfo),
	         "host=%s port=%d user=app dbname=shop sslmode=disable gssencmode=disable",
	         test_mock_host(m), m->port);
	if (m->bell < 0 || pthread_create(&m->thread, NULL, server_main, m) != 0)
		die("cannot start");
	return m;
}

static void remove_directory(const struct test_mock *m)
{
	char path[128];

	if (!m->directory[0])
		return;
	snprintf(path, sizeof(path), "%s/.s.PGSQL.%d", m->directory, m->port);
	unlink(path);
	rmdir(m->directory);
}

static void free_all(struct test_mock *m)
{
	test_mock_unscript(m);
	for (size_t i = 0; i < m->queries; i++)
		free(m->query[i].text);
	free(m->query);
	free(m->session);
	free(m->connected_ns);
	free(m->password);
	free(m->refused_parameter);
	free(m->cancel_query);
	mock_bytes_free(&m->heard);
	mock_facts_free(&m->facts);
	mock_facts_free(&m->startup);
	pthread_cond_destroy(&m->changed);
	pthread_mutex_destroy(&m->lock);
	free(m);
}

void test_mock_stop(struct test_mock **mock)
{
	struct test_mock *m = *mock;

	*mock = NULL;
	if (!m)
		return;
	pthread_mutex_lock(&m->lock);
	m->stopping = true;
	mock_changed(m);
	pthread_mutex_unlock(&m->lock);
	pthread_join(m->thread, NULL);
	close(m->bell);
	remove_directory(m);
	free_all(m);
}

const char *test_mock_conninfo(const struct test_mock *m)
{
	return m->conninfo;
}

const char *test_mock_host(const struct test_mock *m)
{
	return m->directory[0] ? m->directory : m->address;
}

int test_mock_port(const struct test_mock *m)
{
	return m->port;
}
