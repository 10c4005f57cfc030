/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * TLS, as the options ask for it, against a real server with certificates good and bad: what must
 * be accepted is, and encrypted; what must be refused is, with words that say why.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <weir/weir.h>

#include "support/cluster.h"
#include "support/mock_server.h"
#include "support/watchdog.h"

#define PATIENCE_MS 60000

static struct test_cluster *cluster;
static weir_options o;
static weir_error error;

/* What was told: how often INSECURE, and what came first. */
static _Atomic int insecure, told;
static _Atomic weir_event_kind first;

static void hear(void *arg, const weir_event *event)
{
	(void)arg;
	if (!told++)
		first = event->kind;
	insecure += event->kind == WEIR_EVENT_INSECURE;
}

static void set(const char *name, const char *value)
{
	assert_non_null(value);
	if (weir_options_set(&o, name, value, &error) != WEIR_OK)
		fail_msg("%s", error.text);
}

static const char *fact(const char *name)
{
	return test_cluster_fact(cluster, name);
}

static int set_up(void **state)
{
	(void)state;
	weir_options_init(&o);
	o.pool_min = 0;
	o.on_event = hear;
	insecure = told = 0;
	memset(&error, 0, sizeof(error));
	return 0;
}

/*
 * What the session is encrypted by, as libpq says; "" if it is not, NULL if there is none. Good
 * until the next call.
 */
static const char *protocol_at(const char *conninfo)
{
	static char protocol[64];
	weir_pool *pool = NULL;
	weir_conn *conn = NULL;
	weir_status st;

	if (weir_pool_open(conninfo, &o, &pool, &error) != WEIR_OK)
		fail_msg("%s", error.text);
	st = weir_pool_checkout(pool, PATIENCE_MS, &conn, &error);
	if (st == WEIR_OK) {
		PGconn *pg = weir_pg(conn);
		PGresult *r =
			PQexec(pg, "select ssl from pg_stat_ssl where pid = pg_backend_pid()");

		/* Both ends agree. */
		assert_string_equal(PQgetvalue(r, 0, 0), PQsslInUse(pg) ? "t" : "f");
		PQclear(r);
		snprintf(protocol, sizeof(protocol), "%s",
		         PQsslInUse(pg) ? PQsslAttribute(pg, "protocol") : "");
	}
	weir_checkin(&conn);
	assert_int_equal(weir_pool_close(&pool, PATIENCE_MS), WEIR_OK);
	return st == WEIR_OK ? protocol : NULL;
}

static const char *protocol(void)
{
	return protocol_at(test_cluster_url(cluster));
}

static void assert_accepted(void)
{
	const char *p = protocol();

	if (!p)
		fail_msg("%s", error.text);
	assert_memory_equal(p, "TLSv1.", 6);
}

static void assert_refused(const char *words)
{
	assert_null(protocol());
	assert_int_equal(error.status, WEIR_CONNECT);
	if (!strstr(error.text, words))
		fail_msg("\"%s\" does not say \"%s\"", error.text, words);
}

static void the_full_check_accepts_the_right_server(void **state)
{
	(void)state;
	set("sslmode", "verify-full");
	set("sslrootcert", fact("ca"));
	assert_accepted();
}

static void another_authority_is_refused(void **state)
{
	(void)state;
	set("sslmode", "verify-full");
	set("sslrootcert", fact("wrong_ca"));
	assert_refused("no authority that is trusted (sslrootcert) vouches for the server");
	set("sslmode", "verify-ca");
	assert_refused("no authority that is trusted");
	set("sslmode", "require"); /* as verify-ca, where a root file is named */
	assert_refused("no authority that is trusted");
}

static void no_authority_is_no_check(void **state)
{
	(void)state;
	set("sslmode", "verify-full");
	set("sslrootcert", "missing.crt");
	assert_refused("missing.crt");
}

static void weaker_modes_do_as_they_say(void **state)
{
	(void)state;
	set("sslmode", "disable");
	assert_string_equal(protocol(), "");
	set("sslmode", "prefer");
	assert_accepted();
	set("sslmode", "require");
	assert_accepted();
}

static void the_minimum_protocol_is_kept(void **state)
{
	(void)state;
	set("sslmode", "verify-full");
	set("sslrootcert", fact("ca"));
	set("ssl_min_protocol_version", "TLSv1.3");
	assert_string_equal(protocol(), "TLSv1.3");
}

static void channel_binding_can_be_required(void **state)
{
	(void)state;
	set("channel_binding", "require");
	set("sslmode", "require");
	assert_accepted();
	set("sslmode", "disable");
	assert_null(protocol());
	assert_non_null(strstr(error.text, "channel binding"));
}

static void a_revoked_certificate_is_refused(void **state)
{
	(void)state;
	set("sslmode", "verify-full");
	set("sslrootcert", fact("ca"));
	set("sslcrl", fact("empty_crl"));
	assert_accepted();
	set("sslcrl", fact("revoking_crl"));
	assert_refused("the server's certificate has been revoked");
}

static void an_expired_certificate_is_refused(void **state)
{
	(void)state;
	set("sslmode", "verify-full");
	set("sslrootcert", fact("ca"));
	assert_true(test_cluster_certificate(cluster, 0, "expired"));
	assert_refused("the server's certificate has expired");
	set("sslmode", "prefer");
	set("sslrootcert", "");
	assert_accepted(); /* weaker modes do not look */
	set("sslmode", "verify-full");
	set("sslrootcert", fact("ca"));
	assert_true(test_cluster_certificate(cluster, 0, "server"));
	assert_accepted();
}

static void a_certificate_for_another_name_is_refused_by_the_full_check(void **state)
{
	(void)state;
	set("sslmode", "verify-full");
	set("sslrootcert", fact("ca"));
	assert_true(test_cluster_certificate(cluster, 0, "misnamed"));
	assert_refused("127.0.0.1");
	set("sslmode", "verify-ca");
	assert_accepted();
	assert_true(test_cluster_certificate(cluster, 0, "server"));
}

static void a_client_certificate_lets_in(void **state)
{
	const char *url = fact("certificate_url");

	(void)state;
	assert_non_null(url);
	set("sslmode", "verify-full");
	set("sslrootcert", fact("ca"));
	set("sslcert", fact("client_cert"));
	set("sslkey", fact("client_key"));
	assert_non_null(protocol_at(url));
	set_up(state);
	set("sslmode", "require");
	set("sslcert", "");
	assert_null(protocol_at(url));
	assert_int_equal(error.status, WEIR_AUTH);
}

static void parameters_of_the_url_do_the_same(void **state)
{
	char url[2048];

	(void)state;
	snprintf(url, sizeof(url), "%s?sslmode=verify-full&sslrootcert=%s",
	         test_cluster_url(cluster), fact("wrong_ca"));
	assert_null(protocol_at(url));
	snprintf(url, sizeof(url), "%s?sslmode=verify-full&sslrootcert=%s",
	         test_cluster_url(cluster), fact("ca"));
	assert_non_null(protocol_at(url));
}

/* The first line that a command prints. */
static void ask(char *line, size_t room, const char *command)
{
	FILE *f = popen(command, "re");

	assert_non_null(f);
	assert_non_null(fgets(line, (int)room, f));
	assert_int_equal(pclose(f), 0);
	line[strcspn(line, "\n")] = '\0';
}

static void a_directory_of_revocation_lists_is_looked_into(void **state)
{
	char directory[] = "/tmp/weir-crl-XXXXXX", command[1024], hash[64], file[128];

	(void)state;
	assert_non_null(mkdtemp(directory));
	snprintf(command, sizeof(command), "openssl crl -hash -noout -in %s", fact("revoking_crl"));
	ask(hash, sizeof(hash), command);
	snprintf(file, sizeof(file), "%s/%.32s.r0", directory, hash);
	set("sslmode", "verify-full");
	set("sslrootcert", fact("ca"));
	set("sslcrldir", directory);
	assert_int_equal(symlink(fact("empty_crl"), file), 0);
	assert_accepted();
	assert_int_equal(unlink(file), 0);
	assert_int_equal(symlink(fact("revoking_crl"), file), 0);
	assert_refused("the server's certificate has been revoked");
	assert_int_equal(unlink(file), 0);
	assert_int_equal(rmdir(directory), 0);
}

static void a_client_certificate_of_another_is_refused(void **state)
{
	char key[1024];

	(void)state;
	snprintf(key, sizeof(key), "%s", fact("server_cert"));
	memcpy(key + strlen(key) - 3, "key", 3);
	set("sslmode", "require");
	set("sslcert", fact("server_cert")); /* of the right authority, for another name */
	set("sslkey", key);
	assert_null(protocol_at(fact("certificate_url")));
	assert_int_equal(error.status, WEIR_AUTH);
	set("sslcert", "missing.crt");
	assert_null(protocol_at(fact("certificate_url")));
}

static void reconfigure(const char *sql)
{
	char *answer = test_cluster_admin(cluster, 0, sql);

	assert_non_null(answer);
	free(answer);
}

static void an_older_protocol_is_refused(void **state)
{
	(void)state;
	reconfigure(
		"alter system set ssl_max_protocol_version = 'TLSv1.2'; select pg_reload_conf()");
	set("sslmode", "require");
	/* Until the server has read it. */
	for (const char *now = protocol(); !now || strcmp(now, "TLSv1.2") != 0; now = protocol())
		;
	set("ssl_min_protocol_version", "TLSv1.3");
	assert_refused("SSL error");
	reconfigure("alter system reset ssl_max_protocol_version; select pg_reload_conf()");
	while (!protocol())
		;
}

static void channel_binding_is_not_given_up_for_another_way_in(void **state)
{
	(void)state;
	set("sslmode", "verify-full");
	set("sslrootcert", fact("ca"));
	set("sslcert", fact("client_cert"));
	set("sslkey", fact("client_key"));
	set("channel_binding", "require");
	assert_null(protocol_at(fact("certificate_url")));
	assert_non_null(strstr(error.text, "channel binding"));
}

static void a_server_without_tls_is_for_those_who_may_do_without(void **state)
{
	static const struct {
		const char *mode;
		bool accepted;
	} modes[] = {{"disable", true},  {"allow", true},      {"prefer", true},
	             {"require", false}, {"verify-ca", false}, {"verify-full", false}};
	struct test_mock *mock = test_mock_start(NULL);
	char url[256];
	weir_pool *pool;
	weir_conn *conn;

	(void)state;
	snprintf(url, sizeof(url), "postgresql://app:canary@127.0.0.1:%d/shop",
	         test_mock_port(mock));
	set("sslrootcert", fact("ca"));
	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		set("sslmode", modes[i].mode);
		assert_int_equal(weir_pool_open(url, &o, &pool, &error), WEIR_OK);
		conn = NULL;
		if ((weir_pool_checkout(pool, PATIENCE_MS, &conn, &error) == WEIR_OK) !=
		    modes[i].accepted)
			fail_msg("%s: %s", modes[i].mode, error.text);
		if (!modes[i].accepted)
			assert_non_null(strstr(error.text, "server does not support SSL"));
		weir_checkin(&conn);
		assert_int_equal(weir_pool_close(&pool, PATIENCE_MS), WEIR_OK);
	}
	test_mock_stop(&mock);
}

static void the_systems_authorities_are_for_those_whose_libpq_knows_them(void **state)
{
	weir_pool *pool = NULL;

	(void)state;
	set("sslmode", "verify-full");
	set("sslrootcert", "system");
	if (PQlibVersion() >= 160000) {
		assert_refused("no authority that is trusted");
		return;
	}
	assert_int_equal(weir_pool_open(test_cluster_url(cluster), &o, &pool, &error),
	                 WEIR_INVALID);
	assert_non_null(strstr(error.text, "libpq 16"));
}

/* The same server by a name that is not known to stay on this machine. */
static const char *distant_url(void)
{
	static char url[1024];
	const char *near = test_cluster_url(cluster), *host = strstr(near, "127.0.0.1");

	assert_non_null(host);
	snprintf(url, sizeof(url), "%.*s127.1%s", (int)(host - near), near, host + 9);
	return url;
}

static void a_password_in_danger_is_told_once_and_before_anything_else(void **state)
{
	weir_conn *conn[3] = {NULL};
	weir_pool *pool;

	(void)state;
	set("sslmode", "require");
	assert_int_equal(weir_pool_open(distant_url(), &o, &pool, &error), WEIR_OK);
	for (int i = 0; i < 3; i++)
		assert_int_equal(weir_pool_checkout(pool, PATIENCE_MS, &conn[i], &error), WEIR_OK);
	for (int i = 0; i < 3; i++)
		weir_checkin(&conn[i]);
	assert_int_equal(weir_pool_close(&pool, PATIENCE_MS), WEIR_OK);
	assert_int_equal(insecure, 1);
	assert_int_equal(first, WEIR_EVENT_INSECURE);
}

static void a_router_tells_it_once_a_host_for_probes_and_pool(void **state)
{
	weir_router *router = NULL;
	weir_conn *conn = NULL;

	(void)state;
	set("sslmode", "require");
	assert_int_equal(weir_router_open(distant_url(), &o, &router, &error), WEIR_OK);
	assert_int_equal(weir_checkout(router, WEIR_WRITE, &conn, &error), WEIR_OK);
	weir_checkin(&conn);
	assert_int_equal(weir_router_close(&router, PATIENCE_MS), WEIR_OK);
	assert_int_equal(insecure, 1);
	assert_int_equal(first, WEIR_EVENT_INSECURE);
}

static void a_password_that_is_safe_is_no_news(void **state)
{
	(void)state;
	set("sslrootcert", fact("ca"));
	assert_non_null(protocol_at(distant_url())); /* verify-full, by default */
	set("sslmode", "require");                   /* and the root file is there */
	assert_non_null(protocol_at(distant_url()));
	set("sslrootcert", "");
	set("channel_binding", "require");
	assert_non_null(protocol_at(distant_url()));
	set("channel_binding", "");
	set("sslmode", "disable");
	assert_non_null(protocol_at(test_cluster_url(cluster))); /* on this machine */
	assert_int_equal(insecure, 0);
	assert_non_null(protocol_at(distant_url()));
	assert_int_equal(insecure, 1);
}

static void what_encrypts_is_shown(void **state)
{
	weir_conn *conn = NULL;
	weir_in_force f;
	weir_pool *pool;

	(void)state;
	set("sslmode", "require");
	assert_int_equal(weir_pool_open(distant_url(), &o, &pool, &error), WEIR_OK);
	assert_false(weir_pool_in_force_get(pool, &f));
	assert_int_equal(weir_pool_checkout(pool, PATIENCE_MS, &conn, &error), WEIR_OK);
	assert_true(weir_pool_in_force_get(pool, &f));
	assert_memory_equal(f.tls, "TLSv1.", 6);
	assert_true(f.insecure);
	weir_checkin(&conn);
	assert_int_equal(weir_pool_close(&pool, PATIENCE_MS), WEIR_OK);
}

static int start(void **state)
{
	struct test_cluster_options options = {.standbys = -1, .tls = true};

	(void)state;
	cluster = test_cluster_start_or_exit(&options);
	return 0;
}

static int finish(void **state)
{
	(void)state;
	return test_cluster_stop(&cluster) ? 0 : -1;
}

#define TEST(name) cmocka_unit_test_setup(name, set_up)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_full_check_accepts_the_right_server),
		TEST(another_authority_is_refused),
		TEST(no_authority_is_no_check),
		TEST(weaker_modes_do_as_they_say),
		TEST(the_minimum_protocol_is_kept),
		TEST(channel_binding_can_be_required),
		TEST(a_revoked_certificate_is_refused),
		TEST(an_expired_certificate_is_refused),
		TEST(a_certificate_for_another_name_is_refused_by_the_full_check),
		TEST(a_client_certificate_lets_in),
		TEST(parameters_of_the_url_do_the_same),
		TEST(a_directory_of_revocation_lists_is_looked_into),
		TEST(a_client_certificate_of_another_is_refused),
		TEST(an_older_protocol_is_refused),
		TEST(channel_binding_is_not_given_up_for_another_way_in),
		TEST(a_server_without_tls_is_for_those_who_may_do_without),
		TEST(the_systems_authorities_are_for_those_whose_libpq_knows_them),
		TEST(a_password_in_danger_is_told_once_and_before_anything_else),
		TEST(a_router_tells_it_once_a_host_for_probes_and_pool),
		TEST(a_password_that_is_safe_is_no_news),
		TEST(what_encrypts_is_shown),
	};

	test_watchdog(250, "pg.tls");
	return cmocka_run_group_tests(tests, start, finish);
}
