/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A server that forks its workers before it serves: counters by name, over lines of text.
 *
 *     prefork [URL] [--port N] [--workers N]
 *
 *     GET visits   ->  visits 3        read from a replica
 *     ADD visits   ->  visits 4        written on the primary
 *
 * Each worker opens a router of its own after the fork: connections cannot be shared between
 * processes. What the server gives to all of them together is told once (server_budget), and how
 * many share it (pod_count). The parent makes the table, gives all its connections back before it
 * forks, starts a worker anew that ended, and on SIGTERM or Ctrl-C lets each finish what it is at.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* ppoll, accept4 */
#endif

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <libpq-fe.h>

#include <weir/weir.h>

#define MOST_WORKERS 64
#define BUDGET 32 /* connections that one server may give to all workers */

static volatile sig_atomic_t over;

static void on_signal(int number)
{
	over = over || number != SIGCHLD; /* a child's end only wakes the parent */
}

/* ---- the parent's part before the fork ---- */

/*
 * Until each replica that answers has the table, too, as any of them may be read from. One that is
 * stopped, or far behind, is waited for no longer than some ten seconds.
 */
static void await_replicas(weir_router *router, const weir_token *made)
{
	static weir_host_stats hosts[16];
	bool behind = true;

	for (time_t end = time(NULL) + 10; behind && time(NULL) < end; usleep(20000)) {
		size_t n = weir_router_probe(router, 10000) == WEIR_OK
		                   ? weir_router_stats_get(router, hosts, 16)
		                   : 0;

		behind = false;
		for (size_t k = 0; k < n && k < 16; k++)
			behind |= hosts[k].role == WEIR_ROLE_REPLICA && hosts[k].lsn < made->lsn;
	}
}

static bool make_table(const char *url)
{
	weir_router *router = NULL;
	weir_token made;
	weir_error error;
	bool ok = false;

	if (weir_router_open(url, NULL, &router, &error) == WEIR_OK) {
		WEIR_SCOPED weir_conn *c = NULL;

		ok = weir_checkout(router, WEIR_WRITE, &c, &error) == WEIR_OK &&
		     weir_exec(c,
		               "CREATE TABLE IF NOT EXISTS prefork_counter"
		               "(name text PRIMARY KEY, n bigint NOT NULL)",
		               10000, &error) == WEIR_OK &&
		     weir_token_take(c, 10000, &made, &error) == WEIR_OK;
	}
	if (ok)
		await_replicas(router, &made);
	else
		fprintf(stderr, "prefork: %s\n", error.text);
	return weir_router_close(&router, 5000) == WEIR_OK && ok;
}

static int listen_at(int port)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
	socklen_t size = sizeof(in);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), on = 1;

	in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(fd, (struct sockaddr *)&in, sizeof(in)) || listen(fd, 128) ||
	    getsockname(fd, (struct sockaddr *)&in, &size)) {
		fprintf(stderr, "prefork: port %d: %s\n", port, strerror(errno));
		exit(71);
	}
	printf("listening on 127.0.0.1:%d\n", ntohs(in.sin_port));
	fflush(stdout);
	return fd;
}

/* ---- a worker ---- */

#define READ "SELECT coalesce((SELECT n FROM prefork_counter WHERE name = $1), 0)"
#define ADD                                                                                        \
	"INSERT INTO prefork_counter VALUES ($1, 1) ON CONFLICT (name) "                           \
	"DO UPDATE SET n = prefork_counter.n + 1 RETURNING n"

/* One line in, one line out. */
static void answer(weir_router *router, int client, char *line)
{
	char *word = strtok(line, " \r\n"), *name = strtok(NULL, " \r\n");
	bool add = word && strcmp(word, "ADD") == 0;
	PGresult *result = NULL;
	weir_error error;

	if (!name || (!add && strcmp(word, "GET") != 0)) {
		dprintf(client, "? GET name, or ADD name\n");
		return;
	}
	if (weir_query(router, add ? WEIR_WRITE : WEIR_READ, add ? ADD : READ, 1,
	               (const char *const[]){name}, &result, &error) == WEIR_OK)
		dprintf(client, "%s %s\n", name, PQgetvalue(result, 0, 0));
	else
		dprintf(client, "! %s\n", error.text);
	PQclear(result);
}

/* A client says one line or several; one that is silent for five seconds is let go. */
static void serve(weir_router *router, int client)
{
	struct timeval patience = {.tv_sec = 5};
	FILE *lines = fdopen(client, "r");
	char line[256];

	if (!lines) {
		close(client);
		return;
	}
	setsockopt(client, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	setsockopt(client, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	while (!over && fgets(line, sizeof(line), lines))
		answer(router, client, line);
	fclose(lines);
}

static int work(const char *url, int listener, int workers, const sigset_t *asleep)
{
	struct pollfd wait = {.fd = listener, .events = POLLIN};
	weir_router *router = NULL;
	weir_options options;
	weir_error error;

	weir_options_init(&options);
	options.pool_min = 1;
	options.server_budget = BUDGET;
	options.pod_count = workers;
	if (weir_router_open(url, &options, &router, &error) != WEIR_OK) {
		fprintf(stderr, "prefork: %s\n", error.text);
		return 64;
	}
	while (!over) {
		/* Signals arrive while it waits here, and nowhere else: none is missed. */
		int fd = ppoll(&wait, 1, NULL, asleep) == 1
		                 ? accept4(listener, NULL, NULL, SOCK_CLOEXEC)
		                 : -1;

		if (fd >= 0)
			serve(router, fd); /* another worker may have been faster: then -1 */
	}
	return weir_router_close(&router, 5000) == WEIR_OK ? 0 : 1;
}

/* ---- the parent's part after it ---- */

static pid_t start(const char *url, int listener, int workers, const sigset_t *asleep)
{
	pid_t self = getpid(), pid = fork();

	if (pid == 0) {
		/* No worker outlives its parent, which may be gone already. */
		prctl(PR_SET_PDEATHSIG, SIGTERM);
		_exit(getppid() == self ? work(url, listener, workers, asleep) : 0);
	}
	return pid;
}

static int parent(const char *url, int listener, int workers, const sigset_t *asleep)
{
	pid_t worker[MOST_WORKERS];
	int status, failed = 0;

	for (int i = 0; i < workers; i++)
		worker[i] = start(url, listener, workers, asleep);
	while (!over) {
		ppoll(NULL, 0, NULL, asleep);
		for (int i = 0; i < workers && !over; i++) {
			if (waitpid(worker[i], &status, WNOHANG) <= 0)
				continue;
			if (WIFEXITED(status) && WEXITSTATUS(status) == 64) {
				over = 1; /* it would not do better a second time */
				failed = 64;
			} else {
				worker[i] = start(url, listener, workers, asleep);
			}
		}
	}
	for (int i = 0; i < workers; i++)
		kill(worker[i], SIGTERM);
	for (int i = 0; i < workers; i++)
		if (waitpid(worker[i], &status, 0) == worker[i] && status && !failed)
			failed = 1;
	return failed;
}

int main(int argc, char **argv)
{
	const struct sigaction action = {.sa_handler = on_signal};
	const int numbers[] = {SIGTERM, SIGINT, SIGCHLD};
	const char *url = NULL; /* the environment: DATABASE_URL, ... */
	int port = 0, workers = 4;
	sigset_t held, asleep;

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--port") == 0 && i + 1 < argc)
			port = atoi(argv[++i]);
		else if (strcmp(argv[i], "--workers") == 0 && i + 1 < argc)
			workers = atoi(argv[++i]);
		else
			url = argv[i];
	}
	if (workers < 1 || workers > MOST_WORKERS) {
		fprintf(stderr, "prefork: --workers: 1 to %d\n", MOST_WORKERS);
		return 64;
	}
	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&held);
	for (size_t i = 0; i < sizeof(numbers) / sizeof(*numbers); i++) {
		sigaction(numbers[i], &action, NULL);
		sigaddset(&held, numbers[i]);
	}
	sigprocmask(SIG_BLOCK, &held, &asleep);
	if (!make_table(url))
		return 1;
	return parent(url, listen_at(port), workers, &asleep);
}
