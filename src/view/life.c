/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A process is known by its number and by when it was started, since numbers are used again; and a
 * number only means something in the namespace it was given in.
 */
#include "view/life.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "view/format.h"

/* The first bytes of a small file; how many, 0: none. */
static size_t read_small(const char *path, char *text, size_t room)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return 0;
	n = read(fd, text, room - 1);
	close(fd);
	if (n < 0)
		n = 0;
	text[n] = '\0';
	return (size_t)n;
}

/* The state letter and the start of a process; false: there is none. */
static bool read_stat(int64_t pid, char *state, uint64_t *start)
{
	char path[64], text[1024];
	const char *at;

	snprintf(path, sizeof(path), "/proc/%lld/stat", (long long)pid);
	if (pid <= 0 || !read_small(path, text, sizeof(text)))
		return false;
	at = strrchr(text, ')'); /* the name before it may hold anything */
	if (!at || at[1] != ' ')
		return false;
	*state = at[2];
	/* proc(5): the state is field 3, the start is field 22. */
	for (int field = 2; at && field < 22; field++)
		at = strchr(at + 1, ' ');
	if (!at)
		return false;
	*start = strtoull(at + 1, NULL, 10);
	return true;
}

uint64_t wi_life_start(int64_t pid)
{
	uint64_t start;
	char state;

	return read_stat(pid, &state, &start) ? start : 0;
}

uint64_t wi_life_pid_space(void)
{
	struct stat s;

	return stat("/proc/self/ns/pid", &s) ? 0 : (uint64_t)s.st_ino;
}

enum wi_life_state wi_life_of(int64_t pid, uint64_t start, uint64_t pid_space)
{
	uint64_t now_start;
	char state;

	if (pid_space != wi_life_pid_space())
		return WI_LIFE_UNKNOWN;
	if (!start || !wi_life_start(getpid())) /* without /proc */
		return pid > 0 && pid <= INT32_MAX && (!kill((pid_t)pid, 0) || errno == EPERM)
		               ? WI_LIFE_RUNS
		               : WI_LIFE_ENDED;
	if (!read_stat(pid, &state, &now_start) || now_start != start)
		return WI_LIFE_ENDED;
	switch (state) {
	case 'Z':
	case 'X':
	case 'x':
		return WI_LIFE_ENDED;
	case 'T':
	case 't':
		return WI_LIFE_STOPPED;
	default:
		return WI_LIFE_RUNS;
	}
}

bool wi_life_has_thread(int64_t pid, int32_t thread)
{
	char path[64];
	struct stat s;

	snprintf(path, sizeof(path), "/proc/%lld/task/%d", (long long)pid, (int)thread);
	return !stat(path, &s) || errno != ENOENT;
}

void wi_life_thread_name(int64_t pid, int32_t thread, char *name, size_t room)
{
	char path[64], text[64];
	size_t n;

	snprintf(path, sizeof(path), "/proc/%lld/task/%d/comm", (long long)pid, (int)thread);
	n = read_small(path, text, sizeof(text));
	if (n && text[n - 1] == '\n')
		n--;
	wi_view_text_get(name, room, text, n);
}
