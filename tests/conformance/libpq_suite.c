/* SPDX-License-Identifier: BSD-2-Clause */
/* See libpq_suite.h. */
#include "conformance/libpq_suite.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/text.h"
#include "driver/fault.h"

struct libpq_world libpq_world;

static const struct wi_driver *const driver = &wi_driver_libpq;

/* ---- places ---- */

void libpq_set(struct libpq_place *p, const char *key, const char *value)
{
	p->keys[p->n] = key;
	p->values[p->n++] = value;
}

void libpq_make_place(struct libpq_place *p, int port, const char *dbname, const char *password)
{
	memset(p, 0, sizeof(*p));
	/* A name nobody may look up. */
	wi_copy(p->endpoint.host, sizeof(p->endpoint.host), "db.invalid");
	snprintf(p->endpoint.port, sizeof(p->endpoint.port), "%d", port);
	p->target.endpoint = &p->endpoint;
	p->target.keys = p->keys;
	p->target.values = p->values;
	p->target.secret = password;
	p->target.plans = SUITE_PLANS;
	libpq_set(p, "user", "app");
	libpq_set(p, "dbname", dbname);
	libpq_set(p, "password", password);
	libpq_set(p, "application_name", LIBPQ_APPLICATION);
}

struct libpq_place libpq_good_place(void)
{
	struct libpq_place p;

	libpq_make_place(&p, test_cluster_port(libpq_world.cluster, 0), "shop",
	                 libpq_world.password);
	return p;
}

const struct wi_target *libpq_target_of(struct libpq_place *p)
{
	p->target.endpoint = &p->endpoint;
	p->target.keys = p->keys;
	p->target.values = p->values;
	return &p->target;
}

int libpq_bound_socket(int *port)
{
	struct sockaddr_in name = {.sin_family = AF_INET,
	                           .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof(name);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&name, size) != 0 ||
	    getsockname(fd, (struct sockaddr *)&name, &size) != 0) {
		perror("no socket on loopback");
		exit(1);
	}
	*port = ntohs(name.sin_port);
	return fd;
}

static void make_places(void)
{
	int good = test_cluster_port(libpq_world.cluster, 0), nobody, silent;

	libpq_world.nobody = libpq_bound_socket(&nobody);
	libpq_world.silent = libpq_bound_socket(&silent);
	listen(libpq_world.silent, 16);
	libpq_make_place(&libpq_world.places[PLACE_GOOD], good, "shop", libpq_world.password);
	libpq_make_place(&libpq_world.places[PLACE_NOBODY], nobody, "shop", libpq_world.password);
	libpq_make_place(&libpq_world.places[PLACE_SILENT], silent, "shop", libpq_world.password);
	libpq_make_place(&libpq_world.places[PLACE_STRANGER], good, "shop", SUITE_SECRET);
	libpq_make_place(&libpq_world.places[PLACE_NO_DATABASE], good, "nowhere",
	                 libpq_world.password);
	libpq_make_place(&libpq_world.places[PLACE_FULL], good, "crowded", libpq_world.password);
}

/* ---- the environment ---- */

/* The only value of the only row, or "" for no row; an error ends the process. */
static void ask_admin(const char *sql, char *value, size_t room)
{
	PGresult *result = PQexec(libpq_world.admin, sql);

	if (PQresultStatus(result) != PGRES_TUPLES_OK &&
	    PQresultStatus(result) != PGRES_COMMAND_OK) {
		fprintf(stderr, "%s: %s\n", sql, PQresultErrorMessage(result));
		exit(1);
	}
	wi_copy(value, room, PQntuples(result) > 0 ? PQgetvalue(result, 0, 0) : "");
	PQclear(result);
}

static int count(const char *sql)
{
	char value[32];

	ask_admin(sql, value, sizeof(value));
	return atoi(value);
}

static const struct wi_target *libpq_target(void *arg, enum driver_place place,
                                            const char **address)
{
	(void)arg;
	*address = "127.0.0.1";
	return &libpq_world.places[place].target;
}

int libpq_sessions(void *arg)
{
	(void)arg;
	return count("SELECT count(*) FROM pg_stat_activity WHERE usename = 'app'");
}

bool libpq_kill(void *arg)
{
	(void)arg;
	return count("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = 'app'") >=
	       0;
}

const struct driver_env libpq_env = {
	.driver = &wi_driver_libpq,
	.target = libpq_target,
	.sessions = libpq_sessions,
	.kill = libpq_kill,
};

static void admin_connect(void)
{
	libpq_world.admin = PQconnectdb(test_cluster_superuser_url(libpq_world.cluster));
	if (PQstatus(libpq_world.admin) != CONNECTION_OK) {
		fprintf(stderr, "%s", PQerrorMessage(libpq_world.admin));
		exit(1);
	}
}

void libpq_set_up(void)
{
	char setting[128];
	const char *const settings[] = {setting, NULL};
	const struct test_cluster_options options = {
		.standbys = -1,
		.tls = true,
		.settings = settings,
	};
	PQconninfoOption *parsed;
	char none[8];

	/* In the abstract namespace: nothing can be left behind. */
	snprintf(libpq_world.sockets, sizeof(libpq_world.sockets), "@weir-conformance-%d",
	         getpid());
	snprintf(setting, sizeof(setting), "unix_socket_directories=%s", libpq_world.sockets);
	libpq_world.cluster = test_cluster_start_or_exit(&options);
	parsed = PQconninfoParse(test_cluster_url(libpq_world.cluster), NULL);
	for (PQconninfoOption *o = parsed; o && o->keyword; o++)
		if (strcmp(o->keyword, "password") == 0)
			wi_copy(libpq_world.password, sizeof(libpq_world.password), o->val);
	PQconninfoFree(parsed);
	admin_connect();
	ask_admin("CREATE DATABASE crowded CONNECTION LIMIT 0", none, sizeof(none));
	make_places();
}

bool libpq_tear_down(void)
{
	PQfinish(libpq_world.admin);
	close(libpq_world.nobody);
	close(libpq_world.silent);
	return test_cluster_stop(&libpq_world.cluster);
}

/* ---- helpers ---- */

void *libpq_open_at(struct libpq_place *p)
{
	struct wi_failure failure = {0};
	void *conn = driver->connect(libpq_target_of(p), "127.0.0.1");

	assert_non_null(conn);
	if (suite_connect_to_end(&libpq_env, conn, &failure) != WI_STEP_DONE)
		fail_msg("no connection: %s %s", failure.sqlstate, failure.text);
	return conn;
}

void libpq_fail_at(struct libpq_place *p, enum wi_fault fault, struct wi_failure *failure)
{
	void *conn = driver->connect(libpq_target_of(p), "127.0.0.1");

	memset(failure, 0, sizeof(*failure));
	assert_non_null(conn);
	assert_int_equal(suite_connect_to_end(&libpq_env, conn, failure), WI_STEP_FAILED);
	if (failure->fault != fault)
		fail_msg("%s instead of %s: %s %s", wi_fault_name(failure->fault),
		         wi_fault_name(fault), failure->sqlstate, failure->text);
	suite_close(&libpq_env, conn);
}

void libpq_ask(void *conn, const char *sql, struct wi_answer *answer)
{
	struct wi_failure failure = {0};

	if (suite_ask(&libpq_env, conn, sql, answer, &failure) != WI_STEP_DONE)
		fail_msg("%s: %s %s", sql, failure.sqlstate, failure.text);
}

void libpq_assert_answer(void *conn, const char *sql, const char *value)
{
	struct wi_answer answer;

	libpq_ask(conn, sql, &answer);
	assert_true(answer.has_row);
	assert_string_equal(answer.value[0], value);
}

/* As a user does: in the holder's hands, blocking. */
void libpq_exec(void *conn, const char *sql)
{
	PGresult *result = PQexec(driver->pg(conn), sql);

	if (PQresultStatus(result) != PGRES_COMMAND_OK && PQresultStatus(result) != PGRES_TUPLES_OK)
		fail_msg("%s: %s", sql, PQresultErrorMessage(result));
	PQclear(result);
}

void libpq_await_readable(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN | POLLRDHUP};

	assert_int_equal(poll(&p, 1, 30000), 1);
}

void libpq_assert_has(const char *text, const char *words)
{
	if (!strstr(text, words))
		fail_msg("\"%s\" does not say \"%s\"", text, words);
}
