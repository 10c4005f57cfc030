/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Promise 38: a process that forks with a live pool and a live router. In the child every call that
 * would use the parent's connections is refused, or does nothing, and not one byte goes out on the
 * parent's sockets: the kernel counts what each socket ever sent, and a server that the test made
 * counts goodbyes. The parent and its users notice nothing, whether the child closes what it
 * inherited, opens its own, runs exit handlers, or is replaced by another program at once.
 */
#include <linux/tcp.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <spawn.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <libpq-fe.h>

#include <weir/weir.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "base/rcu.h"
#include "p38_calls.h"
#include "support/mock_server.h"
#include "support/threads.h"
#include "support/watchdog.h"

#define PATIENCE_MS 60000
#define CONNS 3

static struct test_mock *mock;
static weir_options o;
static weir_pool *pool;
static weir_router *router;
static weir_conn *held, *written; /* of the pool, of the router */

/* What the kernel and the server have counted of the parent's connections. */
struct traffic {
	int fds[CONNS + 1];
	uint64_t sent[CONNS + 1], received[CONNS + 1];
	uint64_t terminates, ends;
};

static struct traffic before;
static pid_t parent;

/* What the parent's threads worked on is left alone in a child: that is no leak. */
int __lsan_is_turned_off(void);
int __lsan_is_turned_off(void)
{
	return getpid() != parent;
}

static int set_up(void **state)
{
	(void)state;
	mock = test_mock_start(NULL);
	weir_options_init(&o);
	o.pool_min = o.pool_max = CONNS;
	o.keepalive_ms = o.validate_after_ms = o.look_after_ms = 0;
	o.probe_interval_ms = 3600000; /* no word but the users' */
	return 0;
}

/* libpq's sockets are for a moment not closed by an exec: nobody opens any more. */
static void await_router_open(void)
{
	weir_host_stats s;

	do {
		usleep(1000);
		assert_int_equal(weir_router_stats_get(router, &s, 1), 1);
	} while (s.pool.idle < CONNS - 1 || s.pool.opening);
}

static void open_all(int64_t fork_action)
{
	weir_conn *conn[CONNS] = {NULL};

	o.fork = fork_action;
	assert_int_equal(weir_pool_open(test_mock_conninfo(mock), &o, &pool, NULL), WEIR_OK);
	for (int i = 0; i < CONNS; i++)
		assert_int_equal(weir_pool_checkout(pool, PATIENCE_MS, &conn[i], NULL), WEIR_OK);
	for (int i = 0; i < CONNS; i++)
		before.fds[i] = PQsocket(weir_pg(conn[i]));
	for (int i = 1; i < CONNS; i++)
		weir_checkin(&conn[i]);
	held = conn[0];
	assert_int_equal(weir_router_open(test_mock_conninfo(mock), &o, &router, NULL), WEIR_OK);
	assert_int_equal(weir_checkout(router, WEIR_WRITE, &written, NULL), WEIR_OK);
	before.fds[CONNS] = PQsocket(weir_pg(written));
	await_router_open();
}

static void count_traffic(struct traffic *t)
{
	struct test_mock_counts counts;

	test_mock_counts(mock, &counts);
	t->terminates = counts.terminates;
	t->ends = counts.ends;
	for (int i = 0; i <= CONNS; i++) {
		struct tcp_info info = {0};
		socklen_t size = sizeof(info);

		assert_int_equal(getsockopt(t->fds[i], IPPROTO_TCP, TCP_INFO, &info, &size), 0);
		t->sent[i] = info.tcpi_bytes_sent;
		t->received[i] = info.tcpi_bytes_received;
	}
}

static void assert_silence(void)
{
	struct traffic after = before;

	count_traffic(&after);
	for (int i = 0; i <= CONNS; i++) {
		assert_int_equal(after.sent[i], before.sent[i]);
		assert_int_equal(after.received[i], before.received[i]);
	}
	assert_int_equal(after.terminates, before.terminates);
	assert_int_equal(after.ends, before.ends);
}

/* All of the parent's connections answer as before. */
static void assert_parent_goes_on(void)
{
	weir_conn *conn[CONNS] = {held};

	for (int i = 0; i < CONNS; i++) {
		if (i > 0)
			assert_int_equal(weir_pool_checkout(pool, 0, &conn[i], NULL), WEIR_OK);
		assert_int_equal(weir_exec(conn[i], "SELECT 1", PATIENCE_MS, NULL), WEIR_OK);
	}
	assert_int_equal(weir_exec(written, "SELECT 1", PATIENCE_MS, NULL), WEIR_OK);
	for (int i = 0; i < CONNS; i++)
		weir_checkin(&conn[i]);
	held = NULL;
	weir_checkin(&written);
}

static void close_all(void)
{
	weir_pool_stats s;

	weir_pool_stats_get(pool, &s);
	assert_int_equal(s.opened, CONNS);
	assert_int_equal(s.misuse, 0);
	assert_int_equal(weir_router_close(&router, PATIENCE_MS), WEIR_OK);
	assert_int_equal(weir_pool_close(&pool, PATIENCE_MS), WEIR_OK);
	test_mock_stop(&mock);
}

static void await_child(pid_t child)
{
	int status;

	assert_true(child > 0);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void in_child(void (*body)(void))
{
	pid_t child = fork();

	if (child == 0) {
		alarm(100);
		body();
		_exit(0);
	}
	await_child(child);
}

/* ---- what a child calls ---- */

static void use_a_connection(weir_conn **conn, void (*give_back)(weir_conn **conn))
{
	call_connection(*conn);
	give_back(conn);
	MUST(*conn == NULL);
}

static void use_everything(void)
{
	call_pool(pool);
	call_router(router);
	use_a_connection(&held, weir_checkin);
	use_a_connection(&written, weir_discard);
	call_pool(pool);
}

static void every_call_of_a_child_is_refused_or_does_nothing(void **state)
{
	(void)state;
	open_all(WEIR_FORK_REFUSE);
	count_traffic(&before);
	in_child(use_everything);
	in_child(use_everything); /* nor did the first one change what the next one finds */
	assert_silence();
	assert_false(test_mock_heard(mock, OF_A_CHILD, strlen(OF_A_CHILD)));
	assert_parent_goes_on();
	close_all();
}

static weir_tx begun = WEIR_TX();

static void use_the_transaction(void)
{
	call_transaction(&begun);
	call_connection(written);
	weir_checkin(&written);
}

static void a_transaction_is_its_parents(void **state)
{
	(void)state;
	open_all(WEIR_FORK_REFUSE);
	assert_int_equal(weir_tx_begin(written, NULL, &begun, NULL), WEIR_OK);
	count_traffic(&before);
	in_child(use_the_transaction);
	assert_silence();
	assert_int_equal(weir_tx_commit(&begun, NULL), WEIR_OK);
	assert_parent_goes_on();
	close_all();
}

/* ---- exit ---- */

static bool is_child;

static void close_at_exit(void)
{
	if (!is_child)
		return;
	weir_checkin(&held);
	weir_discard(&written);
	MUST(weir_router_close(&router, 1000) == WEIR_OK);
	MUST(weir_pool_close(&pool, 1000) == WEIR_OK);
	MUST(weir_router_close(&router, 1000) == WEIR_OK && weir_pool_close(&pool, 0) == WEIR_OK);
}

static void exit_with_handlers(void)
{
	is_child = true;
	fflush(NULL);
	exit(0);
}

static void exit_after_closing(void)
{
	is_child = true;
	close_at_exit();
	exit(0);
}

static void exit_without_a_word(void)
{
	exit(0);
}

static void a_child_that_exits_says_no_goodbye(void **state)
{
	(void)state;
	open_all(WEIR_FORK_REFUSE);
	count_traffic(&before);
	in_child(exit_with_handlers);
	in_child(exit_after_closing);
	in_child(exit_without_a_word);
	assert_silence();
	assert_parent_goes_on();
	close_all();
}

/* ---- other programs ---- */

extern char **environ;

/* Fails if it finds a socket, epoll or eventfd of ours; standard output may be one. */
static const char find_sockets[] =
	"for f in /proc/self/fd/*; do case $f:$(readlink $f) in */[012]:*) ;; *:socket:*|*:anon_inode:*) exit 1;; "
	"esac; done; exit 0";

static void another_program_has_nothing_of_it(void **state)
{
	char *words[] = {"sh", "-c", (char *)(uintptr_t)find_sockets, NULL};
	pid_t child;

	(void)state;
	open_all(WEIR_FORK_REFUSE);
	count_traffic(&before);
	assert_int_equal(posix_spawn(&child, "/bin/sh", NULL, NULL, words, environ), 0);
	await_child(child);
	child = vfork();
	if (child == 0) {
		execv("/bin/sh", words);
		_exit(1);
	}
	await_child(child);
	child = vfork();
	if (child == 0)
		_exit(0);
	await_child(child);
	assert_silence();
	assert_parent_goes_on();
	close_all();
}

/* ---- while threads work ---- */

static void work(struct test_thread *self)
{
	while (!wi_load_rlx(self->stop)) {
		weir_conn *conn = NULL;
		weir_error error = {0};
		bool routed = wi_rng_below(&self->rng, 2);
		weir_status st = routed ? weir_checkout(router, WEIR_WRITE, &conn, &error)
		                        : weir_pool_checkout(pool, PATIENCE_MS, &conn, &error);

		if (st == WEIR_OK)
			st = weir_exec(conn, "SELECT 1", PATIENCE_MS, &error);
		if (st != WEIR_OK)
			test_wrong(self, "%s: %s", weir_status_name(st), error.text);
		weir_checkin(&conn);
		self->count[0]++;
	}
}

static void fork_and_use(struct test_thread *self)
{
	for (int i = 0; i < 30; i++) {
		int status;
		pid_t child = fork();

		if (child == 0) {
			alarm(100);
			call_pool(pool);
			call_router(router);
			if (i % 2)
				exit_after_closing();
			exit_with_handlers();
		}
		if (waitpid(child, &status, 0) != child || !WIFEXITED(status) ||
		    WEXITSTATUS(status) != 0)
			test_wrong(self, "a child did not end well: %x", (unsigned)status);
		self->count[1]++;
	}
	*self->stop = true;
}

static void fork_or_work(struct test_thread *self)
{
	if (self->number == 0)
		fork_and_use(self);
	else
		work(self);
}

static void forking_in_the_middle_of_it_harms_nobody(void **state)
{
	struct test_thread reports[5];
	struct test_mock_counts counts;

	(void)state;
#ifdef __SANITIZE_ADDRESS__
	/* A thread may be in the middle of that, and its lock stays taken in the child. */
	puts("skipped: the address sanitizer's own allocator does not outlive such a fork");
	skip();
#endif
	open_all(WEIR_FORK_REFUSE);
	weir_checkin(&held);
	weir_checkin(&written);
	test_threads_run(5, fork_or_work, NULL, -1, reports);
	if (test_first_wrong(reports, 5))
		fail_msg("%s", test_first_wrong(reports, 5));
	assert_int_equal(test_sum(reports, 5, 1), 30);
	test_mock_counts(mock, &counts);
	assert_int_equal(counts.terminates, 0);
	assert_int_equal(counts.ends, 0);
	close_all();
}

/* ---- anew ---- */

/* The thread sanitizer ends a forked child that starts a thread. */
#ifndef WI_TSAN

static weir_status say_it(weir_tx *tx, void *arg, weir_error *error)
{
	(void)arg;
	return weir_exec(weir_tx_conn(tx), "SELECT 'of the child'", PATIENCE_MS, error);
}

static void use_anew(void)
{
	weir_conn *conn[CONNS] = {NULL}, *w = NULL;
	weir_conn_info info;

	/* First of all by a call that is inside already when it checks out. */
	MUST(weir_pool_run(pool, NULL, say_it, NULL, NULL) == WEIR_OK);
	MUST(weir_run(router, NULL, say_it, NULL, NULL) == WEIR_OK);
	for (int i = 0; i < CONNS; i++) {
		MUST(weir_pool_checkout(pool, PATIENCE_MS, &conn[i], NULL) == WEIR_OK);
		MUST(weir_conn_info_get(conn[i], &info) == WEIR_OK);
		MUST(weir_exec(conn[i], "SELECT 'of the child'", PATIENCE_MS, NULL) == WEIR_OK);
	}
	MUST(weir_checkout(router, WEIR_WRITE, &w, NULL) == WEIR_OK);
	MUST(weir_exec(w, "SELECT 'of the child'", PATIENCE_MS, NULL) == WEIR_OK);
	MUST(weir_pg(held) == NULL && weir_pg(written) == NULL); /* stale here */
	weir_checkin(&held);
	weir_checkin(&written);
	for (int i = 0; i < CONNS; i++)
		weir_checkin(&conn[i]);
	weir_checkin(&w);
	MUST(weir_pool_close(&pool, PATIENCE_MS) == WEIR_OK);
	MUST(weir_router_close(&router, PATIENCE_MS) == WEIR_OK);
}

static void a_child_that_starts_anew_has_its_own(void **state)
{
	struct test_mock_counts counts;

	(void)state;
	open_all(WEIR_FORK_REOPEN);
	test_mock_counts(mock, &counts);
	count_traffic(&before);
	in_child(use_anew);
	assert_int_equal(test_mock_queries(mock, 0, "SELECT 'of the child'"), CONNS + 3);
	test_mock_counts(mock, &counts);
	assert_true(counts.terminates >= CONNS + 1); /* the child's own */
	before.terminates = counts.terminates;
	before.ends = counts.ends;
	assert_silence();
	assert_parent_goes_on();
	close_all();
}

#endif

#define TEST(name) cmocka_unit_test_setup(name, set_up)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(every_call_of_a_child_is_refused_or_does_nothing),
		TEST(a_transaction_is_its_parents),
		TEST(a_child_that_exits_says_no_goodbye),
		TEST(another_program_has_nothing_of_it),
		TEST(forking_in_the_middle_of_it_harms_nobody),
#ifndef WI_TSAN
		TEST(a_child_that_starts_anew_has_its_own),
#endif
	};

	parent = getpid();
	test_watchdog(200, "promise.38_fork");
	atexit(close_at_exit);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
