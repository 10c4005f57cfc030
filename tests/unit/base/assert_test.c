/* SPDX-License-Identifier: BSD-2-Clause */
/* A broken invariant is reported and ends the process; one that holds costs nothing. */
#include "base/assert.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static void kept_invariants_pass(void **state)
{
	(void)state;
	wi_check(1 + 1 == 2);
	wi_assert(1 + 1 == 2);
}

static void break_one(int report)
{
	const struct rlimit no_core = {0, 0};
	int hands = 2;

	setrlimit(RLIMIT_CORE, &no_core);
	signal(SIGABRT, SIG_DFL);
	dup2(report, STDERR_FILENO);
	wi_check(hands == 1);
	_exit(0);
}

static void broken_invariant_reports_and_aborts(void **state)
{
	char report[512] = "";
	int ends[2], status;
	pid_t child;
	ssize_t n;

	(void)state;
	assert_int_equal(pipe(ends), 0);
	child = fork();
	assert_true(child >= 0);
	if (child == 0)
		break_one(ends[1]);
	close(ends[1]);
	n = read(ends[0], report, sizeof(report) - 1);
	close(ends[0]);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGABRT);
	assert_true(n > 0);
	assert_non_null(strstr(report, "hands == 1"));
	assert_non_null(strstr(report, "assert_test.c:"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(kept_invariants_pass),
		cmocka_unit_test(broken_invariant_reports_and_aborts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
