/* SPDX-License-Identifier: BSD-2-Clause */
#include "support/coprocess.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

bool test_coprocess_fail(struct test_coprocess *co, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(co->error, sizeof(co->error), format, args);
	va_end(args);
	return false;
}

/* The child gets an empty signal mask, whatever the calling thread has blocked. */
static int spawn(const char *path, char *const *words, int socket, pid_t *child)
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	sigset_t none;
	int error;

	sigemptyset(&none);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, socket, STDIN_FILENO);
	posix_spawn_file_actions_adddup2(&actions, socket, STDOUT_FILENO);
	posix_spawnattr_init(&attributes);
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
	posix_spawnattr_setsigmask(&attributes, &none);
	error = posix_spawn(child, path, &actions, &attributes, words, environ);
	posix_spawnattr_destroy(&attributes);
	posix_spawn_file_actions_destroy(&actions);
	return error;
}

bool test_coprocess_init(struct test_coprocess *co, const char *path, char *const *words,
                         int answer_ms)
{
	int ends[2], error;

	memset(co, 0, sizeof(*co));
	co->socket = -1;
	co->answer_ms = answer_ms;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
		return test_coprocess_fail(co, "socketpair: %s", strerror(errno));
	co->socket = ends[0];
	error = spawn(path, words, ends[1], &co->child);
	close(ends[1]);
	if (error)
		co->child = 0;
	return error ? test_coprocess_fail(co, "%s: %s", path, strerror(error)) : true;
}

/* Waits until the socket is ready, or the time is over. */
static bool await(struct test_coprocess *co, short events, int64_t end)
{
	struct pollfd fd = {.fd = co->socket, .events = events};
	int64_t left;

	while ((left = end - now_ms()) > 0) {
		int n = poll(&fd, 1, (int)left);

		if (n > 0)
			return true;
		if (n < 0 && errno != EINTR)
			break;
	}
	return test_coprocess_fail(co, "no answer within %d s", co->answer_ms / 1000);
}

static bool for_now(void)
{
	return errno == EINTR || errno == EAGAIN;
}

bool test_coprocess_tell(struct test_coprocess *co, const char *text)
{
	int64_t end = now_ms() + co->answer_ms;
	size_t left = strlen(text);

	while (left > 0) {
		ssize_t n;

		if (!await(co, POLLOUT, end))
			return false;
		n = send(co->socket, text, left, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0 && !for_now())
			return test_coprocess_fail(co, "the program has ended");
		if (n > 0) {
			text += n;
			left -= (size_t)n;
		}
	}
	return true;
}

static bool make_room(struct test_coprocess *co)
{
	char *bigger;

	if (co->room - co->length > 4096)
		return true;
	bigger = realloc(co->answer, co->room + 65536);
	if (!bigger)
		return test_coprocess_fail(co, "out of memory");
	co->answer = bigger;
	co->room += 65536;
	return true;
}

/* There is never more than one line under way: each has been asked for. */
bool test_coprocess_hear(struct test_coprocess *co)
{
	int64_t end = now_ms() + co->answer_ms;

	co->length = 0;
	while (make_room(co) && await(co, POLLIN, end)) {
		ssize_t n = recv(co->socket, co->answer + co->length, co->room - co->length - 1,
		                 MSG_DONTWAIT);

		if (n == 0 || (n < 0 && !for_now()))
			return test_coprocess_fail(co, "the program has ended");
		if (n > 0)
			co->length += (size_t)n;
		co->answer[co->length] = '\0';
		if (co->length > 0 && co->answer[co->length - 1] == '\n')
			return true;
	}
	return false;
}

/* Reads until the child closes its end, which it does when it ends. */
static bool await_end(struct test_coprocess *co)
{
	int64_t end = now_ms() + co->answer_ms;
	char rest[512];

	if (co->socket < 0)
		return false;
	shutdown(co->socket, SHUT_WR);
	while (await(co, POLLIN, end)) {
		ssize_t n = recv(co->socket, rest, sizeof(rest), MSG_DONTWAIT);

		if (n == 0 || (n < 0 && !for_now()))
			return true;
	}
	return false;
}

bool test_coprocess_fini(struct test_coprocess *co)
{
	bool ended = await_end(co);
	int status = -1;

	if (co->child > 0) {
		if (!ended)
			kill(co->child, SIGKILL);
		while (waitpid(co->child, &status, 0) < 0 && errno == EINTR)
			continue;
	}
	if (co->socket >= 0)
		close(co->socket);
	free(co->answer);
	co->answer = NULL;
	co->socket = -1;
	co->child = 0;
	return ended && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}
