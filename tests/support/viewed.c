/* SPDX-License-Identifier: BSD-2-Clause */
/* A child that is looked into; viewed.h tells the idea. */
#include "support/viewed.h"

#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/atomic.h"
#include "support/threads.h"
#include "support/watchdog.h"

#define WAIT_S 120

char viewed_directory[64];
struct fake_cluster viewed_cluster;
weir_router *viewed_router;
pid_t viewed_child;
static int orders[2], answers[2]; /* pipes to the child and back */

/* ---- the child ---- */

static _Atomic int held;

void viewed_nap(void)
{
	nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
}

void viewed_fail(const char *what)
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
	if (weir_checkout_with(viewed_router, &request, &conn, &error) != WEIR_OK)
		viewed_fail(error.text);
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
	if (weir_checkout_with(viewed_router, &request, &conn, &error) == WEIR_OK)
		viewed_fail("the waiter was served");
	viewed_fail(error.text);
	return NULL;
}

/* Holds connections, one after the other, and hardly anything else. */
static void *work(void *arg)
{
	(void)arg;
	for (;;) {
		weir_conn *conn;
		weir_error error;

		if (weir_checkout(viewed_router, WEIR_WRITE, &conn, &error) != WEIR_OK)
			viewed_fail(error.text);
		viewed_nap();
		weir_checkin(&conn);
	}
	return NULL;
}

void viewed_open_router(weir_fork_action how, int n)
{
	weir_options o;
	weir_error error;

	weir_options_init(&o);
	o.pool_max = VIEWED_HOLD;
	o.pool_min = 1;
	o.fork = how;
	snprintf(o.view, sizeof(o.view), "%s", viewed_directory);
	snprintf(o.application_name, sizeof(o.application_name), "viewed");
	fake_cluster_init(&viewed_cluster, n);
	if (fake_cluster_open(&viewed_cluster, &o, &viewed_router, &error) != WEIR_OK)
		viewed_fail(error.text);
}

static void answer(char what)
{
	if (write(answers[1], &what, 1) != 1)
		_exit(1);
}

/* A child's child: it may do what it likes, the parent's view stays. 'g': it is over. */
static void fork_in_child(void)
{
	pid_t pid = wi_fake_fork(&viewed_cluster.host[0].server);

	if (pid == 0) {
		weir_router_close(&viewed_router, 0);
		_exit(0);
	}
	waitpid(pid, NULL, 0);
	answer('g');
}

static void work_in_child(void)
{
	pthread_t thread;

	for (int i = 0; i < VIEWED_HOLD; i++)
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
	viewed_open_router(WEIR_FORK_REFUSE, stuck ? 2 : 1);
	for (int i = 0; stuck && i < VIEWED_HOLD; i++)
		pthread_create(&thread, NULL, hold, NULL);
	while (stuck && wi_load_seq(&held) < VIEWED_HOLD)
		viewed_nap();
	for (int i = 0; stuck && i < VIEWED_HOLD; i++)
		pthread_create(&thread, NULL, await, NULL);
	answer('r');
	obey();
}

/* ---- the test's side ---- */

void viewed_hear(char what)
{
	char got = 0;

	assert_int_equal(read(answers[0], &got, 1), 1);
	assert_int_equal(got, what);
}

void viewed_tell(char order)
{
	assert_int_equal(write(orders[1], &order, 1), 1);
}

void viewed_start(bool stuck)
{
	assert_int_equal(pipe2(orders, O_CLOEXEC), 0);
	assert_int_equal(pipe2(answers, O_CLOEXEC), 0);
	fflush(NULL);
	viewed_child = fork();
	assert_true(viewed_child >= 0);
	if (!viewed_child)
		be_child(stuck);
	close(orders[0]);
	close(answers[1]);
	viewed_hear('r');
}

void viewed_end(void)
{
	if (!viewed_child)
		return;
	kill(viewed_child, SIGKILL);
	waitpid(viewed_child, NULL, 0);
	viewed_child = 0;
	close(orders[1]);
	close(answers[0]);
}

int viewed_set_up(void **state)
{
	(void)state;
	test_watchdog(WAIT_S, "looking into another process");
	snprintf(viewed_directory, sizeof(viewed_directory), "/dev/shm/weir-test-%d",
	         (int)getpid());
	return mkdir(viewed_directory, 0700);
}

int viewed_tear_down(void **state)
{
	char command[128];

	(void)state;
	viewed_end();
	snprintf(command, sizeof(command), "rm -rf %s", viewed_directory);
	test_watchdog(0, "");
	return system(command);
}

weir_view *viewed_open_only(void)
{
	weir_view_entry entry;
	weir_view *view;

	assert_int_equal(weir_view_list(viewed_directory, &entry, 1), 1);
	assert_int_equal(weir_view_open(viewed_directory, entry.name, &view, NULL), WEIR_OK);
	return view;
}

/* Reads until the picture is as wanted. */
weir_view_picture viewed_await(weir_view *view, bool (*is_wanted)(const weir_view_picture *))
{
	weir_view_picture p;

	do {
		viewed_nap();
		assert_int_equal(weir_view_read(view, &p, NULL), WEIR_OK);
	} while (!is_wanted(&p));
	return p;
}

bool viewed_is_stuck(const weir_view_picture *p)
{
	return p->state == WEIR_VIEW_LIVE && p->n_holders == VIEWED_HOLD &&
	       p->n_waiters == VIEWED_HOLD && p->holders[VIEWED_HOLD - 1].held_ns > 0 &&
	       p->waiters[VIEWED_HOLD - 1].waited_ns > 0;
}

bool viewed_can_be(void)
{
	if (access("/dev/shm", W_OK)) {
		puts("skipped: there is no /dev/shm to draw into");
		return false;
	}
	if (test_is_emulated()) {
		puts("skipped: other processes are slow to begin under valgrind; unit.view has its part");
		return false;
	}
	return true;
}
