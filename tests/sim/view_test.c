/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Looking into another process: seen alive, stopped, killed, replaced by another program, after a
 * fork, and by another user. What the program shows of it is in view_program_test.c.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "support/viewed.h"

static void every_thread_waits_and_all_is_seen(void **state)
{
	weir_view_picture p;
	weir_view *view;

	(void)state;
	viewed_start(true);
	view = viewed_open_only();
	p = viewed_await(view, viewed_is_stuck);
	assert_string_equal(p.words, "live");
	assert_string_equal(p.entry.application, "viewed");
	assert_true(p.entry.router);
	assert_int_equal(p.entry.pid, viewed_child);
	assert_int_equal(p.n_hosts, 2);
	assert_int_equal(p.hosts[0].role, WEIR_ROLE_PRIMARY);
	assert_int_equal(p.hosts[1].role, WEIR_ROLE_REPLICA);
	assert_int_equal(p.hosts[0].pool.busy, VIEWED_HOLD);
	assert_int_equal(p.hosts[0].pool.max, VIEWED_HOLD);
	assert_int_equal(p.hosts[0].pool.waiting, VIEWED_HOLD);
	assert_int_equal(p.holders_total, VIEWED_HOLD);
	assert_int_equal(p.waiters_total, VIEWED_HOLD);
	for (int i = 0; i < VIEWED_HOLD; i++) {
		assert_string_equal(p.holders[i].tag, "the holder [2J"); /* no control bytes */
		assert_string_equal(p.holders[i].thread_name, "holder");
		assert_int_equal(p.holders[i].reason, WEIR_REASON_WRITE);
		assert_int_equal(p.holders[i].host, 0);
		assert_string_equal(p.waiters[i].tag, "the waiter");
		assert_string_equal(p.waiters[i].thread_name, "waiter");
	}
	assert_true(p.n_events > 0);
	weir_view_close(&view);
	assert_null(view);
}

/* The time that was held and waited goes on while the process is stopped. */
static void a_stopped_process_is_seen(void **state)
{
	weir_view_picture p;
	weir_view *view;
	uint64_t number;
	int64_t before_ns;
	int status;

	(void)state;
	viewed_start(true);
	view = viewed_open_only();
	p = viewed_await(view, viewed_is_stuck);
	kill(viewed_child, SIGSTOP);
	assert_int_equal(waitpid(viewed_child, &status, WUNTRACED), viewed_child);
	assert_true(WIFSTOPPED(status));
	assert_int_equal(weir_view_read(view, &p, NULL), WEIR_OK);
	assert_int_equal(p.state, WEIR_VIEW_STOPPED);
	assert_non_null(strstr(p.words, "stopped"));
	number = p.number;
	before_ns = p.waiters[0].waited_ns;
	viewed_nap();
	assert_int_equal(weir_view_read(view, &p, NULL), WEIR_OK);
	assert_int_equal(p.number, number);
	assert_true(p.waiters[0].waited_ns >= before_ns + 10 * WI_MS);
	assert_true(p.age_ns >= 10 * WI_MS);
	assert_string_equal(p.holders[0].thread_name, "holder");
	kill(viewed_child, SIGCONT);
	do
		p = viewed_await(view, viewed_is_stuck);
	while (p.number == number);
	weir_view_close(&view);
}

static void a_killed_one_leaves_its_last_picture(void **state)
{
	weir_view_picture p;
	weir_view *view;

	(void)state;
	viewed_start(true);
	view = viewed_open_only();
	(void)viewed_await(view, viewed_is_stuck);
	viewed_end();
	assert_int_equal(weir_view_read(view, &p, NULL), WEIR_OK);
	assert_int_equal(p.state, WEIR_VIEW_ENDED);
	assert_non_null(strstr(p.words, "has ended without closing it"));
	assert_int_equal(p.n_holders, VIEWED_HOLD);
	assert_string_equal(p.holders[0].tag, "the holder [2J");
	assert_string_equal(p.holders[0].thread_name, "");
	weir_view_close(&view);
	view = viewed_open_only(); /* it is still listed */
	weir_view_close(&view);
}

static bool has_hosts(const weir_view_picture *p)
{
	return p->n_hosts > 0;
}

static bool is_replaced(const weir_view_picture *p)
{
	return p->state == WEIR_VIEW_REPLACED;
}

static bool is_ended(const weir_view_picture *p)
{
	return p->state == WEIR_VIEW_ENDED;
}

static void a_fork_and_an_exec_are_seen_through(void **state)
{
	weir_view_picture p;
	weir_view *view;
	uint64_t number;

	(void)state;
	viewed_start(false);
	view = viewed_open_only();
	p = viewed_await(view, has_hosts);
	number = p.number;
	viewed_tell('f'); /* a child of its own closes its copy of the router */
	viewed_hear('g');
	do
		p = viewed_await(view, has_hosts);
	while (p.number < number + 2);
	assert_int_equal(p.state, WEIR_VIEW_LIVE);
	viewed_tell('x');
	viewed_hear('x');
	p = viewed_await(view, is_replaced);
	assert_true(p.age_ns >= 0);
	viewed_end();
	(void)viewed_await(view, is_ended);
	weir_view_close(&view);
}

/* With fork=reopen the child draws a view of its own, and takes it away at its close. */
static void a_reopened_router_draws_its_own(void **state)
{
	weir_view_entry entries[2];
	weir_conn *conn;
	pid_t pid;
	int status;

	(void)state;
#ifdef __SANITIZE_THREAD__
	print_message("skipped: the thread sanitizer takes the parent's threads for the child's\n");
	return;
#endif
	fflush(NULL);
	pid = fork();
	if (!pid) {
		viewed_open_router(WEIR_FORK_REOPEN, 1);
		fake_cluster_calm(viewed_router, 1);
		pid = wi_fake_fork(&viewed_cluster.host[0].server);
		if (!pid) {
			if (weir_checkout(viewed_router, WEIR_WRITE, &conn, NULL) != WEIR_OK)
				viewed_fail("no checkout after the fork");
			if (weir_view_list(viewed_directory, entries, 2) != 2)
				viewed_fail("not two views");
			if (entries[0].pid == entries[1].pid ||
			    (entries[0].pid != getpid() && entries[1].pid != getpid()))
				viewed_fail("not one each");
			weir_checkin(&conn);
			if (weir_router_close(&viewed_router, 1000) != WEIR_OK)
				viewed_fail("the close");
			if (weir_view_list(viewed_directory, entries, 2) != 1 ||
			    entries[0].pid != getppid())
				viewed_fail("not the parent's alone");
			_exit(0);
		}
		waitpid(pid, &status, 0);
		if (weir_view_list(viewed_directory, entries, 2) != 1 || entries[0].pid != getpid())
			viewed_fail("its own is gone");
		weir_router_close(&viewed_router, 1000);
		if (weir_view_list(viewed_directory, entries, 2) != 0)
			viewed_fail("one is left");
		_exit(WEXITSTATUS(status));
	}
	waitpid(pid, &status, 0);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void another_user_sees_nothing(void **state)
{
	weir_view_entry entry;
	char name[WEIR_VIEW_NAME];
	pid_t pid;
	int status;

	(void)state;
	if (geteuid() != 0) {
		print_message("skipped: only root can be another user\n");
		return;
	}
	viewed_start(false);
	assert_int_equal(weir_view_list(viewed_directory, &entry, 1), 1);
	memcpy(name, entry.name, sizeof(name));
	pid = fork();
	if (!pid) {
		weir_view *view;

		if (setgid(65534) || setuid(65534))
			_exit(2);
		if (weir_view_list(viewed_directory, &entry, 1) != 0)
			_exit(3);
		_exit(weir_view_open(viewed_directory, name, &view, NULL) == WEIR_UNAVAILABLE ? 0
		                                                                              : 4);
	}
	waitpid(pid, &status, 0);
	assert_int_equal(status, 0);
	/* Open to look at, the file still is not. */
	assert_int_equal(chmod(viewed_directory, 0755), 0);
	pid = fork();
	if (!pid) {
		weir_view *view;

		if (setgid(65534) || setuid(65534))
			_exit(2);
		_exit(weir_view_open(viewed_directory, name, &view, NULL) == WEIR_UNAVAILABLE ? 0
		                                                                              : 4);
	}
	waitpid(pid, &status, 0);
	assert_int_equal(status, 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, viewed_set_up, viewed_tear_down)
	const struct CMUnitTest tests[] = {
		TEST(every_thread_waits_and_all_is_seen),
		TEST(a_stopped_process_is_seen),
		TEST(a_killed_one_leaves_its_last_picture),
		TEST(a_fork_and_an_exec_are_seen_through),
		TEST(a_reopened_router_draws_its_own),
		TEST(another_user_sees_nothing),
	};

	return viewed_can_be() ? cmocka_run_group_tests(tests, NULL, NULL) : 77;
}
