/* SPDX-License-Identifier: BSD-2-Clause */
/* Looking into another process with `weir top`, `weir stats` and `weir size`. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "support/json_read.h"
#include "support/viewed.h"

/* Its output, and its exit status. */
static int run(char *out, size_t room, const char *arguments)
{
	char command[512];
	FILE *pipe;
	size_t n;
	int status;

	snprintf(command, sizeof(command), "%s %s 2>&1", getenv("TEST_BIN"), arguments);
	pipe = popen(command, "re");
	assert_non_null(pipe);
	n = fread(out, 1, room - 1, pipe);
	out[n] = '\0';
	status = pclose(pipe);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void check_document(const char *line)
{
	const char *view = test_json_item(test_json_member(line, "views"), 0);
	const char *holder = test_json_item(test_json_member(view, "holders"), 0);
	const char *waiter = test_json_item(test_json_member(view, "waiters"), 0);
	const char *host = test_json_item(test_json_member(view, "hosts"), 0);
	char *tag = test_json_text(test_json_member(waiter, "tag"));
	char *role = test_json_text(test_json_member(host, "role"));
	char *name = test_json_text(test_json_member(holder, "thread_name"));

	assert_int_equal(test_json_number(test_json_member(view, "pid")), viewed_child);
	assert_int_equal(test_json_number(test_json_member(view, "holding")), VIEWED_HOLD);
	assert_int_equal(test_json_number(test_json_member(view, "waiting")), VIEWED_HOLD);
	assert_int_equal(test_json_number(test_json_member(host, "busy")), VIEWED_HOLD);
	assert_string_equal(tag, "the waiter");
	assert_string_equal(role, "primary");
	assert_string_equal(name, "holder");
	free(tag);
	free(role);
	free(name);
}

/* Each has a line of its own, in which its host stands below that heading. */
static void check_holders(const char *out)
{
	const char *line = strstr(out, "held for  host "), *end;
	int lines = 0;
	long column;

	assert_non_null(line);
	assert_non_null(strstr(line, " reason\n"));
	column = strstr(line, "host ") - line;
	for (line = strchr(line, '\n'); (end = strchr(line + 1, '\n')); line = end, lines++) {
		const char *tag = strstr(line, "the holder"), *host = line + 1 + 2 + column;

		if (!tag || tag > end)
			break;
		assert_true(host < end && host[-1] == ' ' && host[0] != ' ');
	}
	assert_int_equal(lines, VIEWED_HOLD);
}

static void the_program_shows_it(void **state)
{
	static char out[65536];
	char arguments[256];
	weir_view *view;

	(void)state;
	if (!getenv("TEST_BIN")) {
		print_message("skipped: the program weir is not built here\n");
		return;
	}
	snprintf(arguments, sizeof(arguments), "top --once --directory %s", viewed_directory);
	assert_int_equal(run(out, sizeof(out), arguments), 69);
	viewed_start(true);
	view = viewed_open_only();
	(void)viewed_await(view, viewed_is_stuck);
	weir_view_close(&view);
	assert_int_equal(run(out, sizeof(out), arguments), 0);
	check_holders(out);
	assert_non_null(strstr(out, "3 waiting, the oldest for "));
	snprintf(arguments, sizeof(arguments), "top --once --json --directory %s %d",
	         viewed_directory, (int)viewed_child);
	assert_int_equal(run(out, sizeof(out), arguments), 0);
	check_document(out);
	snprintf(arguments, sizeof(arguments), "stats --json --directory %s viewed",
	         viewed_directory);
	assert_int_equal(run(out, sizeof(out), arguments), 0);
	check_document(out);
	snprintf(arguments, sizeof(arguments), "stats --directory %s %d-1", viewed_directory,
	         (int)viewed_child);
	assert_int_equal(run(out, sizeof(out), arguments), 0);
	assert_non_null(strstr(out, "waiting callers"));
	snprintf(arguments, sizeof(arguments), "top --once --directory %s nobody",
	         viewed_directory);
	assert_int_equal(run(out, sizeof(out), arguments), 69);
	assert_int_equal(run(out, sizeof(out), "top --interval nonsense"), 64);
	viewed_end();
	snprintf(arguments, sizeof(arguments), "top --count 3 --directory %s", viewed_directory);
	assert_int_equal(run(out, sizeof(out), arguments), 0); /* ends by itself, as it has */
	assert_non_null(strstr(out, "has ended without closing it"));
}

static double real_of(const char *object, const char *name)
{
	const char *value = test_json_member(object, name);

	assert_non_null(value);
	return strtod(value, NULL);
}

/*
 * What is out and how often it is taken are measured apart, and each by the process's own clock: a
 * machine that stands still holds up both. A holder that is not at its nap has nothing out.
 */
static void the_program_measures_a_load(void **state)
{
	static char out[65536];
	char arguments[256], *title;
	const char *measured, *pool;

	(void)state;
	if (!getenv("TEST_BIN")) {
		print_message("skipped: the program weir is not built here\n");
		return;
	}
	viewed_start(false);
	snprintf(arguments, sizeof(arguments), "size --for 0.5 --directory %s --view %d",
	         viewed_directory, (int)viewed_child);
	assert_int_equal(run(out, sizeof(out), arguments), 69);
	assert_non_null(strstr(out, "took no connection in that time"));
	viewed_tell('w');
	viewed_hear('w');
	snprintf(arguments, sizeof(arguments),
	         "size --for 0.5 --json --pods 2 --directory %s --view viewed", viewed_directory);
	while (run(out, sizeof(out), arguments) == 69) /* it did not even begin meanwhile */
		assert_non_null(strstr(out, "took no connection in that time"));
	measured = test_json_member(out, "measured");
	title = test_json_text(test_json_member(measured, "process"));
	assert_non_null(strstr(title, "router 1"));
	free(title);
	assert_true(real_of(measured, "checkouts") >= 1);
	assert_true(real_of(measured, "out") > 0.5 && real_of(measured, "out") <= VIEWED_HOLD);
	assert_true(real_of(measured, "service_ms") > 2); /* they nap for ten */
	assert_int_equal(real_of(measured, "reads_pct"), 0);
	pool = test_json_item(test_json_member(out, "pools"), 0);
	/* of both pods, and of one */
	assert_true(
		fabs(real_of(pool, "checkouts_per_s") / 2 / real_of(measured, "checkouts_per_s") -
	             1) < 0.01);
	assert_true(fabs(real_of(pool, "out") / real_of(measured, "out") - 1) < 0.01);
	assert_int_equal(real_of(out, "replicas"), 0);
	snprintf(arguments, sizeof(arguments),
	         "size --for 0.5 --rate 50 --directory %s --view %d-1", viewed_directory,
	         (int)viewed_child);
	while (run(out, sizeof(out), arguments) == 69)
		assert_non_null(strstr(out, "took no connection in that time"));
	assert_non_null(strstr(out, " 50.0 ")); /* what is said counts more */
	viewed_end();
	assert_int_equal(run(out, sizeof(out), arguments), 69);
	assert_non_null(strstr(out, "has ended"));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, viewed_set_up, viewed_tear_down)
	const struct CMUnitTest tests[] = {
		TEST(the_program_shows_it),
		TEST(the_program_measures_a_load),
	};

	return viewed_can_be() ? cmocka_run_group_tests(tests, NULL, NULL) : 77;
}
