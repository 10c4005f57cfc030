/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pg_terminate_backend on every idle session under load: 64 threads, 20 connections, TEST_KILLS
 * kills (100 unless set; 1000 is the number that is promised). With pre_ping=look no checkout hands
 * out a connection whose end had arrived when the checkout began, and none fails; with pre_ping=off
 * none fails, and how many were dead is only printed.
 *
 * How the test knows. It holds a duplicate of each socket. Who kills waits until its poll says that
 * the end has arrived there, and notes the time: the end is at most as late. Who checks out notes
 * the time before, and looks at the socket right after: an end that was noted before the checkout
 * began is a broken promise; one that arrived during the checkout is nobody's fault.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>
#include <libpq-fe.h>

#include <weir/weir.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "support/cluster.h"
#include "support/watchdog.h"

#define THREADS 64
#define CONNECTIONS 20
#define PIDS (1 << 22)

/* A session by its server process; numbers of sockets tell it from a later one of the same pid. */
struct session {
	_Atomic int fd; /* our duplicate, from 1; 0: none */
	_Atomic ino_t inode;
	_Atomic int64_t end_ns; /* when the end was seen to have arrived; 0: not yet */
};

static struct session *sessions;
static pthread_mutex_t enrolling = PTHREAD_MUTEX_INITIALIZER;
static struct test_cluster *cluster;
static PGconn *admin;
static weir_pool *pool;
static _Atomic bool stop;

/* What users met with. */
static struct {
	_Atomic uint64_t checkouts, failed, stale, fresh, queries_lost;
	char why[WEIR_ERROR_TEXT];
} met;

static void pause_ms(long ms)
{
	nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000}, NULL);
}

static ino_t inode_of(int fd)
{
	struct stat s = {0};

	return fstat(fd, &s) == 0 ? s.st_ino : 0;
}

static bool has_ended(int fd, int wait_ms)
{
	struct pollfd p = {.fd = fd, .events = POLLRDHUP};

	return poll(&p, 1, wait_ms) == 1;
}

static void enrol(struct session *s, int fd, ino_t inode)
{
	int old;

	pthread_mutex_lock(&enrolling);
	if (wi_load_acq(&s->inode) != inode) {
		old = wi_load_rlx(&s->fd);
		if (old)
			close(old);
		wi_store_rlx(&s->end_ns, 0);
		wi_store_rlx(&s->fd, fcntl(fd, F_DUPFD_CLOEXEC, 1));
		wi_store_rel(&s->inode, inode);
	}
	pthread_mutex_unlock(&enrolling);
}

static void use(weir_conn *conn, int64_t began_ns)
{
	weir_conn_info info;
	int fd = PQsocket(weir_pg(conn));
	bool ended = fd < 0 || has_ended(fd, 0);
	struct session *s;
	ino_t inode;

	if (weir_conn_info_get(conn, &info) != WEIR_OK)
		return;
	s = &sessions[info.backend_pid % PIDS];
	inode = inode_of(fd);
	if (ended) {
		int64_t end_ns = wi_load_rlx(&s->end_ns);
		bool known = fd < 0 || wi_load_acq(&s->inode) == inode;

		wi_add_rlx(known && end_ns && end_ns < began_ns ? &met.stale : &met.fresh, 1);
	} else if (wi_load_acq(&s->inode) != inode) {
		enrol(s, fd, inode);
	}
	if (weir_exec(conn, "select 1", 10000, NULL) != WEIR_OK)
		wi_add_rlx(&met.queries_lost, 1);
}

static void *user(void *arg)
{
	unsigned seed = (unsigned)(uintptr_t)&seed;

	(void)arg;
	while (!wi_load_rlx(&stop)) {
		weir_error error;
		weir_conn *conn = NULL;
		int64_t began_ns = wi_now_ns();

		if (weir_pool_checkout(pool, 60000, &conn, &error) != WEIR_OK) {
			if (wi_add_rlx(&met.failed, 1) == 0)
				snprintf(met.why, sizeof(met.why), "%s", error.text);
			continue;
		}
		wi_add_rlx(&met.checkouts, 1);
		use(conn, began_ns);
		weir_checkin(&conn);
		/* so that most connections are idle, and users come at any moment */
		pause_ms(1 + rand_r(&seed) % 20);
	}
	return NULL;
}

/* Waits until the end has arrived at our side, and says when it was seen. */
static bool see_it_end(int pid)
{
	struct session *s = &sessions[pid % PIDS];
	int fd = wi_load_rlx(&s->fd);

	if (!fd || wi_load_rlx(&s->end_ns) || !has_ended(fd, 10000))
		return false;
	wi_store_rlx(&s->end_ns, wi_now_ns());
	return true;
}

/* Ends every session that is idle at this moment; how many ends were seen. */
static int kill_idle(void)
{
	PGresult *r = PQexec(admin, "with mine as materialized (select pid from pg_stat_activity "
	                            "where application_name = 'kills' and state = 'idle') "
	                            "select pid from mine where pg_terminate_backend(pid)");
	int n = PQntuples(r), seen = 0;

	if (PQresultStatus(r) != PGRES_TUPLES_OK)
		fail_msg("%s", PQresultErrorMessage(r));
	for (int i = 0; i < n; i++)
		seen += see_it_end(atoi(PQgetvalue(r, i, 0)));
	PQclear(r);
	return seen;
}

static void await_idle(uint32_t n)
{
	weir_pool_stats s;

	do {
		pause_ms(1);
		weir_pool_stats_get(pool, &s);
	} while (s.idle < n && !wi_load_rlx(&met.failed));
}

static int kills_wanted(void)
{
	const char *text = getenv("TEST_KILLS");

	return text ? atoi(text) : 100;
}

static void forget_sessions(void)
{
	for (int i = 0; i < PIDS; i++) {
		int fd = wi_load_rlx(&sessions[i].fd);

		if (fd)
			close(fd);
		wi_store_rlx(&sessions[i].fd, 0);
		wi_store_rlx(&sessions[i].inode, 0);
		wi_store_rlx(&sessions[i].end_ns, 0);
	}
}

static void open_pool(weir_pre_ping pre_ping)
{
	weir_options o;
	weir_error error;

	weir_options_init(&o);
	o.pool_min = o.pool_max = CONNECTIONS;
	o.pre_ping = pre_ping;
	o.look_after_ms = 0;
	assert_int_equal(weir_options_set(&o, "application_name", "kills", NULL), WEIR_OK);
	if (weir_pool_open(test_cluster_url(cluster), &o, &pool, &error) != WEIR_OK)
		fail_msg("%s", error.text);
}

static void kill_under_load(weir_pre_ping pre_ping, const char *name)
{
	pthread_t thread[THREADS];
	weir_pool_stats s;
	int kills = 0, wanted = kills_wanted();

	memset(&met, 0, sizeof(met));
	wi_store_rlx(&stop, false);
	open_pool(pre_ping);
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, user, NULL), 0);
	while (kills < wanted && !wi_load_rlx(&met.failed)) {
		await_idle(CONNECTIONS / 2);
		kills += kill_idle();
	}
	wi_store_rlx(&stop, true);
	for (int i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
	do { /* the keeper may still have to hear of the last ones */
		pause_ms(1);
		weir_pool_stats_get(pool, &s);
	} while (s.lost < (uint64_t)kills && !wi_load_rlx(&met.failed));
	printf("pre_ping=%s: %d kills, %llu checkouts, %llu failed; %llu handed out dead though "
	       "their end had arrived, %llu whose end came meanwhile; %llu queries lost; %llu "
	       "sessions lost, last by %s, %llu condemned, %llu opened\n",
	       name, kills, (unsigned long long)met.checkouts, (unsigned long long)met.failed,
	       (unsigned long long)met.stale, (unsigned long long)met.fresh,
	       (unsigned long long)met.queries_lost, (unsigned long long)s.lost,
	       s.last_lost_sqlstate, (unsigned long long)s.closed[WEIR_CLOSE_CONDEMNED],
	       (unsigned long long)s.opened);
	assert_int_equal(weir_pool_close(&pool, 30000), WEIR_OK);
	forget_sessions();
	if (met.failed)
		fail_msg("%s", met.why);
	assert_true(s.lost >= (uint64_t)kills);
	assert_string_equal(s.last_lost_sqlstate, "57P01");
}

static void a_look_hands_out_nothing_that_has_ended(void **state)
{
	(void)state;
	kill_under_load(WEIR_PRE_PING_LOOK, "look");
	assert_int_equal(met.stale, 0);
}

static void without_a_look_the_keeper_is_quick(void **state)
{
	(void)state;
	kill_under_load(WEIR_PRE_PING_OFF, "off");
}

static int start(void **state)
{
	const struct test_cluster_options options = {.standbys = -1};

	(void)state;
	cluster = test_cluster_start_or_exit(&options);
	sessions = calloc(PIDS, sizeof(*sessions));
	admin = PQconnectdb(test_cluster_superuser_url(cluster));
	return !sessions || PQstatus(admin) != CONNECTION_OK;
}

static int finish(void **state)
{
	(void)state;
	PQfinish(admin);
	free(sessions);
	return test_cluster_stop(&cluster) ? 0 : -1;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_look_hands_out_nothing_that_has_ended),
		cmocka_unit_test(without_a_look_the_keeper_is_quick),
	};

	test_watchdog(280, "pg.kills");
	return cmocka_run_group_tests(tests, start, finish);
}
