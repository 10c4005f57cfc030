/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Looking into another process: a child with a router on fake servers, whose threads hold every
 * connection and wait for more. Seen alive, stopped, killed, replaced by another program, after a
 * fork, by another user, and by `weir top` and `weir stats`.
 */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include <weir/weir.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "support/fake_cluster.h"
#include "support/json_read.h"
#include "support/threads.h"
#include "support/watchdog.h"

#define HOLD 3 /* threads that hold, and so many that wait */
#define WAIT_S 120

static char directory[64];
static struct fake_cluster cluster;
static pid_t child;
static int orders[2], answers[2]; /* pipes to the child and back */

/* ---- the child ---- */

static weir_router *router;
static _Atomic int held;

static void nap(void)
{
	nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
}

static void fail_child(const char *what)
{
	fprintf(stderr, "child: %s\n", what);
	_exit(1);
}

static void *hold(void *arg)
{
	weir_request request = WEIR_REQUEST(.intent = WEIR_WRITE, .tag = "the holder\033[2J");
	weir_conn *conn;
	weir_error error;

	(void)arg;
	pthread_setname_np(pthread_self(), "holder");
	if (weir_checkout_with(router, &request, &conn, &error) != WEIR_OK)
		fail_child(error.text);
	wi_add_seq(&held, 1);
	for (;;)
		pause();
	return NULL;
}

static void *await(void *arg)
{
	weir_request request =
		WEIR_REQUEST(.intent = WEIR_WRITE, .tag = "the waiter", .timeout_ms = 1000000);
	weir_conn *conn;
	weir_error error;

	(void)arg;
	pthread_setname_np(pthread_self(), "waiter");
	if (weir_checkout_with(router, &request, &conn, &error) == WEIR_OK)
		fail_child("the waiter was served");
	fail_child(error.text);
	return NULL;
}

/* Holds connections, one after the other, and hardly anything else. */
static void *work(void *arg)
{
	(void)arg;
	for (;;) {
		weir_conn *conn;
		weir_error error;

		if (weir_checkout(router, WEIR_WRITE, &conn, &error) != WEIR_OK)
			fail_child(error.text);
		nap();
		weir_checkin(&conn);
	}
	return NULL;
}

static void open_router(weir_fork_action how, int n)
{
	weir_options o;
	weir_error error;

	weir_options_init(&o);
	o.pool_max = HOLD;
	o.pool_min = 1;
	o.fork = how;
	snprintf(o.view, sizeof(o.view), "%s", directory);
	snprintf(o.application_name, sizeof(o.application_name), "viewed");
	fake_cluster_init(&cluster, n);
	if (fake_cluster_open(&cluster, &o, &router, &error) != WEIR_OK)
		fail_child(error.text);
}

static void answer(char what)
{
	if (write(answers[1], &what, 1) != 1)
		_exit(1);
}

/* A child's child: it may do what it likes, the parent's view stays. 'g': it is over. */
static void fork_in_child(void)
{
	pid_t pid = wi_fake_fork(&cluster.host[0].server);

	if (pid == 0) {
		weir_router_close(&router, 0);
		_exit(0);
	}
	waitpid(pid, NULL, 0);
	answer('g');
}

static void work_in_child(void)
{
	pthread_t thread;

	for (int i = 0; i < HOLD; i++)
		pthread_create(&thread, NULL, work, NULL);
	answer('w');
}

static void obey(void)
{
	char order;

	while (read(orders[0], &order, 1) == 1) {
		switch (order) {
		case 'f':
			fork_in_child();
			break;
		case 'w':
			work_in_child();
			break;
		case 'x':
			answer('x');
			execlp("sleep", "sleep", "1000", (char *)NULL);
			_exit(1);
		default:
			_exit(1);
		}
	}
	_exit(0);
}

static void be_child(bool stuck)
{
	pthread_t thread;

	close(orders[1]);
	close(answers[0]);
	open_router(WEIR_FORK_REFUSE, stuck ? 2 : 1);
	for (int i = 0; stuck && i < HOLD; i++)
		pthread_create(&thread, NULL, hold, NULL);
	while (stuck && wi_load_seq(&held) < HOLD)
		nap();
	for (int i = 0; stuck && i < HOLD; i++)
		pthread_create(&thread, NULL, await, NULL);
	answer('r');
	obey();
}

/* ---- the test's side ---- */

static void hear(char what)
{
	char got = 0;

	assert_int_equal(read(answers[0], &got, 1), 1);
	assert_int_equal(got, what);
}

static void tell(char order)
{
	assert_int_equal(write(orders[1], &order, 1), 1);
}

static void start(bool stuck)
{
	assert_int_equal(pipe2(orders, O_CLOEXEC), 0);
	assert_int_equal(pipe2(answers, O_CLOEXEC), 0);
	fflush(NULL);
	child = fork();
	assert_true(child >= 0);
	if (!child)
		be_child(stuck);
	close(orders[0]);
	close(answers[1]);
	hear('r');
}

static void end_child(void)
{
	if (!child)
		return;
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	child = 0;
	close(orders[1]);
	close(answers[0]);
}

static int set_up(void **state)
{
	(void)state;
	test_watchdog(WAIT_S, "looking into another process");
	snprintf(directory, sizeof(directory), "/dev/shm/weir-test-%d", (int)getpid());
	return mkdir(directory, 0700);
}

static int tear_down(void **state)
{
	char command[128];

	(void)state;
	end_child();
	snprintf(command, sizeof(command), "rm -rf %s", directory);
	test_watchdog(0, "");
	return system(command);
}

static weir_view *open_only(void)
{
	weir_view_entry entry;
	weir_view *view;

	assert_int_equal(weir_view_list(directory, &entry, 1), 1);
	assert_int_equal(weir_view_open(directory, entry.name, &view, NULL), WEIR_OK);
	return view;
}

/* Reads until the picture is as wanted. */
static weir_view_picture await_picture(weir_view *view,
                                       bool (*is_wanted)(const weir_view_picture *))
{
	weir_view_picture p;

	do {
		nap();
		assert_int_equal(weir_view_read(view, &p, NULL), WEIR_OK);
	} while (!is_wanted(&p));
	return p;
}

static bool all_are_stuck(const weir_view_picture *p)
{
	return p->state == WEIR_VIEW_LIVE && p->n_holders == HOLD && p->n_waiters == HOLD &&
	       p->holders[HOLD - 1].held_ns > 0 && p->waiters[HOLD - 1].waited_ns > 0;
}

static void every_thread_waits_and_all_is_seen(void **state)
{
	weir_view_picture p;
	weir_view *view;

	(void)state;
	start(true);
	view = open_only();
	p = await_picture(view, all_are_stuck);
	assert_string_equal(p.words, "live");
	assert_string_equal(p.entry.application, "viewed");
	assert_true(p.entry.router);
	assert_int_equal(p.entry.pid, child);
	assert_int_equal(p.n_hosts, 2);
	assert_int_equal(p.hosts[0].role, WEIR_ROLE_PRIMARY);
	assert_int_equal(p.hosts[1].role, WEIR_ROLE_REPLICA);
	assert_int_equal(p.hosts[0].pool.busy, HOLD);
	assert_int_equal(p.hosts[0].pool.max, HOLD);
	assert_int_equal(p.hosts[0].pool.waiting, HOLD);
	assert_int_equal(p.holders_total, HOLD);
	assert_int_equal(p.waiters_total, HOLD);
	for (int i = 0; i < HOLD; i++) {
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
	start(true);
	view = open_only();
	p = await_picture(view, all_are_stuck);
	kill(child, SIGSTOP);
	assert_int_equal(waitpid(child, &status, WUNTRACED), child);
	assert_true(WIFSTOPPED(status));
	assert_int_equal(weir_view_read(view, &p, NULL), WEIR_OK);
	assert_int_equal(p.state, WEIR_VIEW_STOPPED);
	assert_non_null(strstr(p.words, "stopped"));
	number = p.number;
	before_ns = p.waiters[0].waited_ns;
	nap();
	assert_int_equal(weir_view_read(view, &p, NULL), WEIR_OK);
	assert_int_equal(p.number, number);
	assert_true(p.waiters[0].waited_ns >= before_ns + 10 * WI_MS);
	assert_true(p.age_ns >= 10 * WI_MS);
	assert_string_equal(p.holders[0].thread_name, "holder");
	kill(child, SIGCONT);
	do
		p = await_picture(view, all_are_stuck);
	while (p.number == number);
	weir_view_close(&view);
}

static void a_killed_one_leaves_its_last_picture(void **state)
{
	weir_view_picture p;
	weir_view *view;

	(void)state;
	start(true);
	view = open_only();
	(void)await_picture(view, all_are_stuck);
	end_child();
	assert_int_equal(weir_view_read(view, &p, NULL), WEIR_OK);
	assert_int_equal(p.state, WEIR_VIEW_ENDED);
	assert_non_null(strstr(p.words, "has ended without closing it"));
	assert_int_equal(p.n_holders, HOLD);
	assert_string_equal(p.holders[0].tag, "the holder [2J");
	assert_string_equal(p.holders[0].thread_name, "");
	weir_view_close(&view);
	view = open_only(); /* it is still listed */
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
	start(false);
	view = open_only();
	p = await_picture(view, has_hosts);
	number = p.number;
	tell('f'); /* a child of its own closes its copy of the router */
	hear('g');
	do
		p = await_picture(view, has_hosts);
	while (p.number < number + 2);
	assert_int_equal(p.state, WEIR_VIEW_LIVE);
	tell('x');
	hear('x');
	p = await_picture(view, is_replaced);
	assert_true(p.age_ns >= 0);
	end_child();
	(void)await_picture(view, is_ended);
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
		open_router(WEIR_FORK_REOPEN, 1);
		fake_cluster_calm(router, 1);
		pid = wi_fake_fork(&cluster.host[0].server);
		if (!pid) {
			if (weir_checkout(router, WEIR_WRITE, &conn, NULL) != WEIR_OK)
				fail_child("no checkout after the fork");
			if (weir_view_list(directory, entries, 2) != 2)
				fail_child("not two views");
			if (entries[0].pid == entries[1].pid ||
			    (entries[0].pid != getpid() && entries[1].pid != getpid()))
				fail_child("not one each");
			weir_checkin(&conn);
			if (weir_router_close(&router, 1000) != WEIR_OK)
				fail_child("the close");
			if (weir_view_list(directory, entries, 2) != 1 ||
			    entries[0].pid != getppid())
				fail_child("not the parent's alone");
			_exit(0);
		}
		waitpid(pid, &status, 0);
		if (weir_view_list(directory, entries, 2) != 1 || entries[0].pid != getpid())
			fail_child("its own is gone");
		weir_router_close(&router, 1000);
		if (weir_view_list(directory, entries, 2) != 0)
			fail_child("one is left");
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
	start(false);
	assert_int_equal(weir_view_list(directory, &entry, 1), 1);
	memcpy(name, entry.name, sizeof(name));
	pid = fork();
	if (!pid) {
		weir_view *view;

		if (setgid(65534) || setuid(65534))
			_exit(2);
		if (weir_view_list(directory, &entry, 1) != 0)
			_exit(3);
		_exit(weir_view_open(directory, name, &view, NULL) == WEIR_UNAVAILABLE ? 0 : 4);
	}
	waitpid(pid, &status, 0);
	assert_int_equal(status, 0);
	/* Open to look at, the file still is not. */
	assert_int_equal(chmod(directory, 0755), 0);
	pid = fork();
	if (!pid) {
		weir_view *view;

		if (setgid(65534) || setuid(65534))
			_exit(2);
		_exit(weir_view_open(directory, name, &view, NULL) == WEIR_UNAVAILABLE ? 0 : 4);
	}
	waitpid(pid, &status, 0);
	assert_int_equal(status, 0);
}

/* ---- the program ---- */

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

	assert_int_equal(test_json_number(test_json_member(view, "pid")), child);
	assert_int_equal(test_json_number(test_json_member(view, "holding")), HOLD);
	assert_int_equal(test_json_number(test_json_member(view, "waiting")), HOLD);
	assert_int_equal(test_json_number(test_json_member(host, "busy")), HOLD);
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
	assert_int_equal(lines, HOLD);
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
	snprintf(arguments, sizeof(arguments), "top --once --directory %s", directory);
	assert_int_equal(run(out, sizeof(out), arguments), 69);
	start(true);
	view = open_only();
	(void)await_picture(view, all_are_stuck);
	weir_view_close(&view);
	assert_int_equal(run(out, sizeof(out), arguments), 0);
	check_holders(out);
	assert_non_null(strstr(out, "3 waiting, the oldest for "));
	snprintf(arguments, sizeof(arguments), "top --once --json --directory %s %d", directory,
	         (int)child);
	assert_int_equal(run(out, sizeof(out), arguments), 0);
	check_document(out);
	snprintf(arguments, sizeof(arguments), "stats --json --directory %s viewed", directory);
	assert_int_equal(run(out, sizeof(out), arguments), 0);
	check_document(out);
	snprintf(arguments, sizeof(arguments), "stats --directory %s %d-1", directory, (int)child);
	assert_int_equal(run(out, sizeof(out), arguments), 0);
	assert_non_null(strstr(out, "waiting callers"));
	snprintf(arguments, sizeof(arguments), "top --once --directory %s nobody", directory);
	assert_int_equal(run(out, sizeof(out), arguments), 69);
	assert_int_equal(run(out, sizeof(out), "top --interval nonsense"), 64);
	end_child();
	snprintf(arguments, sizeof(arguments), "top --count 3 --directory %s", directory);
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
	start(false);
	snprintf(arguments, sizeof(arguments), "size --for 0.5 --directory %s --view %d", directory,
	         (int)child);
	assert_int_equal(run(out, sizeof(out), arguments), 69);
	assert_non_null(strstr(out, "took no connection in that time"));
	tell('w');
	hear('w');
	snprintf(arguments, sizeof(arguments),
	         "size --for 0.5 --json --pods 2 --directory %s --view viewed", directory);
	while (run(out, sizeof(out), arguments) == 69) /* it did not even begin meanwhile */
		assert_non_null(strstr(out, "took no connection in that time"));
	measured = test_json_member(out, "measured");
	title = test_json_text(test_json_member(measured, "process"));
	assert_non_null(strstr(title, "router 1"));
	free(title);
	assert_true(real_of(measured, "checkouts") >= 1);
	assert_true(real_of(measured, "out") > 0.5 && real_of(measured, "out") <= HOLD);
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
	         "size --for 0.5 --rate 50 --directory %s --view %d-1", directory, (int)child);
	while (run(out, sizeof(out), arguments) == 69)
		assert_non_null(strstr(out, "took no connection in that time"));
	assert_non_null(strstr(out, " 50.0 ")); /* what is said counts more */
	end_child();
	assert_int_equal(run(out, sizeof(out), arguments), 69);
	assert_non_null(strstr(out, "has ended"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
		TEST(every_thread_waits_and_all_is_seen),
		TEST(a_stopped_process_is_seen),
		TEST(a_killed_one_leaves_its_last_picture),
		TEST(a_fork_and_an_exec_are_seen_through),
		TEST(a_reopened_router_draws_its_own),
		TEST(another_user_sees_nothing),
		TEST(the_program_shows_it),
		TEST(the_program_measures_a_load),
	};

	if (access("/dev/shm", W_OK)) {
		puts("skipped: there is no /dev/shm to draw into");
		return 77;
	}
	if (test_is_emulated()) {
		puts("skipped: other processes are slow to begin under valgrind; unit.view has its part");
		return 77;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
