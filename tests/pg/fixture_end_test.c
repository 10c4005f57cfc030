/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Of the cluster that other tests stand on nothing is left, whoever dies first; and where there can
 * be none, it is told why. The oracle is /proc and the file system.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "support/cluster.h"
#include "support/watchdog.h"

#define PATH_ROOM 4096
#define SERVERS 2 /* a primary and a standby: all that a cluster consists of, twice */

static void check(struct test_cluster *cluster, bool done)
{
	if (!done)
		fail_msg("%s", test_cluster_error(cluster));
}

/* Polls something that has no event to wait for; the watchdog bounds it as well. */
static bool becomes_true(bool (*holds)(const void *), const void *arg)
{
	const struct timespec pause = {.tv_nsec = 10 * 1000 * 1000};

	for (int i = 0; i < 3000; i++) {
		if (holds(arg))
			return true;
		nanosleep(&pause, NULL);
	}
	return false;
}

/* What to look for when a cluster is gone. */
struct traces {
	char directory[PATH_ROOM];
	pid_t pids[SERVERS];
};

static void take_traces(struct test_cluster *cluster, struct traces *traces)
{
	snprintf(traces->directory, sizeof(traces->directory), "%s",
	         test_cluster_fact(cluster, "dir"));
	assert_int_equal(access(traces->directory, F_OK), 0);
	for (int i = 0; i < SERVERS; i++)
		assert_int_not_equal(traces->pids[i] = test_cluster_pid(cluster, i), 0);
}

/* A process of the cluster works in its directory; a zombie nowhere. */
static bool lives(pid_t pid, const char *directory)
{
	char link[64], place[PATH_ROOM];
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/%d/cwd", (int)pid);
	n = readlink(link, place, sizeof(place) - 1);
	if (n < 0)
		return false;
	place[n] = '\0';
	return strncmp(place, directory, strlen(directory)) == 0;
}

static bool is_gone(const void *arg)
{
	const struct traces *traces = arg;

	for (int i = 0; i < SERVERS; i++)
		if (lives(traces->pids[i], traces->directory))
			return false;
	return access(traces->directory, F_OK) != 0;
}

static void stop_leaves_nothing(void **state)
{
	const struct test_cluster_options options = {.standbys = SERVERS - 1};
	struct test_cluster *cluster = test_cluster_start_or_exit(&options);
	struct traces traces;

	(void)state;
	take_traces(cluster, &traces);
	assert_false(is_gone(&traces));
	check(cluster, test_cluster_pause(cluster, 0));
	check(cluster, test_cluster_kill(cluster, 1));
	assert_true(test_cluster_stop(&cluster));
	assert_null(cluster);
	assert_true(is_gone(&traces));
	assert_true(test_cluster_stop(&cluster));
}

static void signal_leaves_nothing(int signum)
{
	const struct test_cluster_options options = {.standbys = SERVERS - 1};
	struct test_cluster *cluster = test_cluster_start_or_exit(&options);
	struct traces traces;

	take_traces(cluster, &traces);
	check(cluster, test_cluster_pause(cluster, 0));
	check(cluster, test_cluster_kill(cluster, 1));
	assert_int_equal(kill(test_cluster_program(cluster), signum), 0);
	assert_true(becomes_true(is_gone, &traces));
	assert_null(test_cluster_sql(cluster, 1, "select 1"));
	assert_false(test_cluster_stop(&cluster));
}

static void a_killed_program_leaves_nothing(void **state)
{
	(void)state;
	signal_leaves_nothing(SIGKILL);
}

static void an_interrupted_program_leaves_nothing(void **state)
{
	(void)state;
	signal_leaves_nothing(SIGINT);
}

static void a_killed_test_leaves_nothing(void **state)
{
	struct traces traces = {.directory = ""};
	int ends[2];
	pid_t child;

	(void)state;
	assert_int_equal(pipe(ends), 0);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		static struct test_cluster *doomed;
		const struct test_cluster_options options = {.standbys = SERVERS - 1};

		doomed = test_cluster_start_or_exit(&options);
		take_traces(doomed, &traces);
		if (write(ends[1], &traces, sizeof(traces)) == (ssize_t)sizeof(traces))
			raise(SIGKILL);
		_exit(1);
	}
	close(ends[1]);
	assert_int_equal(read(ends[0], &traces, sizeof(traces)), sizeof(traces));
	close(ends[0]);
	assert_int_equal(waitpid(child, NULL, 0), child);
	assert_true(becomes_true(is_gone, &traces));
}

/* ---- no cluster, and why ---- */

static void a_machine_without_postgres_is_a_reason_to_skip(void **state)
{
	struct test_cluster_options options = {0};
	char why[512];
	bool missing = false;

	(void)state;
	assert_int_equal(setenv("PG_BINDIR", "/nonexistent", 1), 0);
	assert_null(test_cluster_start(&options, why, sizeof(why), &missing));
	unsetenv("PG_BINDIR");
	assert_true(missing);
	assert_non_null(strstr(why, "no PostgreSQL server"));
}

static void a_setting_that_the_server_refuses_is_a_failure(void **state)
{
	const char *const settings[] = {"shared_buffers=minus one", NULL};
	struct test_cluster_options options = {.settings = settings};
	char why[2048];
	bool missing = true;

	(void)state;
	assert_null(test_cluster_start(&options, why, sizeof(why), &missing));
	assert_false(missing);
	assert_non_null(strstr(why, "shared_buffers"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(stop_leaves_nothing),
		cmocka_unit_test(a_killed_program_leaves_nothing),
		cmocka_unit_test(an_interrupted_program_leaves_nothing),
		cmocka_unit_test(a_killed_test_leaves_nothing),
		cmocka_unit_test(a_machine_without_postgres_is_a_reason_to_skip),
		cmocka_unit_test(a_setting_that_the_server_refuses_is_a_failure),
	};

	test_watchdog(280, "the end of the fixture");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
