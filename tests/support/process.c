/* SPDX-License-Identifier: BSD-2-Clause */
#include "support/process.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

static int entries(const char *path)
{
	DIR *dir = opendir(path);
	const struct dirent *e;
	int n = 0;

	if (!dir)
		return -1;
	while ((e = readdir(dir)))
		n += e->d_name[0] != '.';
	closedir(dir);
	return n;
}

int test_descriptors(void)
{
	int n = entries("/proc/self/fd");

	return n < 0 ? n : n - 1; /* not the one that was open to count */
}

int test_thread_count(void)
{
	return entries("/proc/self/task");
}

size_t test_resident_bytes(void)
{
	unsigned long size = 0, resident = 0;
	FILE *f = fopen("/proc/self/statm", "re");
	int got;

	if (!f)
		return 0;
	got = fscanf(f, "%lu %lu", &size, &resident);
	fclose(f);
	return got == 2 ? resident * (size_t)sysconf(_SC_PAGESIZE) : 0;
}

double test_cpu_seconds(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
	       (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

/* ---- one descriptor a thread, for as long as it lives ---- */

static pthread_once_t key_once = PTHREAD_ONCE_INIT;
static pthread_key_t key;
static _Thread_local int schedstat; /* the descriptor and one; 0: not open yet */

static void close_mine(void *unused)
{
	(void)unused;
	if (schedstat > 0)
		close(schedstat - 1);
	schedstat = 0;
}

static void make_key(void)
{
	pthread_key_create(&key, close_mine);
}

/* The main thread ends by leaving main: no destructor of a key is called for it. */
__attribute__((destructor)) static void close_mine_at_exit(void)
{
	close_mine(NULL);
}

int64_t test_ready_ns(void)
{
	char text[80], *at;
	ssize_t n;

	if (!schedstat) {
		pthread_once(&key_once, make_key);
		schedstat = open("/proc/thread-self/schedstat", O_RDONLY | O_CLOEXEC) + 1;
		pthread_setspecific(key, &schedstat);
	}
	if (schedstat <= 0)
		return 0;
	n = pread(schedstat - 1, text, sizeof(text) - 1, 0);
	text[n > 0 ? n : 0] = '\0';
	(void)strtoll(text, &at, 10); /* the first is the time on a processor */
	return strtoll(at, NULL, 10);
}
