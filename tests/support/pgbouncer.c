/* SPDX-License-Identifier: BSD-2-Clause */
/* A PgBouncer of a test's own; pgbouncer.h tells the idea. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pwd.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/rng.h"
#include "support/pgbouncer.h"

/* The port is kept for it by `held` until it listens there. */
static pid_t bouncer;
static int port, held = -1;
static char folder[64], url[128];

static const char *program(void)
{
	static const char *const places[] = {"/usr/sbin/pgbouncer", "/usr/bin/pgbouncer",
	                                     "/usr/local/bin/pgbouncer"};

	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++)
		if (access(places[i], X_OK) == 0)
			return places[i];
	return NULL;
}

bool test_bouncer_is_installed(void)
{
	return program() != NULL;
}

const char *test_bouncer_url(void)
{
	return url;
}

static struct sockaddr_in loopback(void)
{
	return (struct sockaddr_in){.sin_family = AF_INET,
	                            .sin_port = htons((uint16_t)port),
	                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

/*
 * As clusterlib/ports.py does it: a port below those of outgoing connections, bound and never
 * listened at, beside which PgBouncer, which sets SO_REUSEADDR too, may listen.
 */
static void hold_port(void)
{
	struct wi_rng rng;
	int yes = 1;

	wi_rng_seed(&rng, (uint64_t)wi_now_ns() ^ (uint64_t)getpid() << 32);
	held = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(held >= 0);
	for (int i = 0; i < 200; i++) {
		struct sockaddr_in a;

		port = 15000 + (int)wi_rng_below(&rng, 17000);
		a = loopback();
		if (bind(held, (struct sockaddr *)&a, sizeof(a)) == 0) {
			setsockopt(held, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
			return;
		}
	}
	fail_msg("found no free port");
}

static bool answers(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_in a = loopback();
	bool ok = connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0;

	close(fd);
	return ok;
}

/* The user, his password and the database of the cluster, out of its URL. */
static void write_configuration(const struct test_cluster *cluster, const char *more)
{
	char path[128], user[64], password[128];
	FILE *f;

	assert_int_equal(
		sscanf(test_cluster_url(cluster), "postgresql://%63[^:]:%127[^@]@", user, password),
		2);
	snprintf(path, sizeof(path), "%s/ini", folder);
	f = fopen(path, "we");
	assert_non_null(f);
	fprintf(f,
	        "[databases]\nshop = host=127.0.0.1 port=%d dbname=shop user=%s password=%s\n"
	        "[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = %d\nunix_socket_dir =\n"
	        "auth_type = any\nlogfile = %s/log\n%s",
	        test_cluster_port(cluster, 0), user, password, port, folder, more);
	assert_int_equal(fclose(f), 0);
}

/* PgBouncer does not run as root: as the servers' user then, who has to have the folder. */
static void become(const struct passwd *user)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/ini", folder);
	if (chown(folder, user->pw_uid, user->pw_gid) != 0 ||
	    chown(path, user->pw_uid, user->pw_gid) != 0 || setgid(user->pw_gid) != 0 ||
	    setuid(user->pw_uid) != 0)
		_exit(126);
}

void test_bouncer_start(const struct test_cluster *cluster, const char *more)
{
	struct passwd *postgres = getpwnam("postgres");
	char path[128];

	strcpy(folder, "/tmp/weir-pgbouncer-XXXXXX");
	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/ini", folder);
	hold_port();
	write_configuration(cluster, more);
	snprintf(url, sizeof(url), "postgresql://app@127.0.0.1:%d/shop", port);
	bouncer = fork();
	if (bouncer == 0) {
		int nowhere = open("/dev/null", O_RDWR);

		if (geteuid() == 0 && postgres)
			become(postgres);
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(nowhere, 0);
		dup2(nowhere, 1);
		dup2(nowhere, 2);
		execl(program(), program(), "-q", path, (char *)NULL);
		_exit(127);
	}
	assert_true(bouncer > 0);
	for (int i = 0; i < 3000 && !answers(); i++) {
		assert_int_equal(waitpid(bouncer, NULL, WNOHANG), 0);
		nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
	}
	assert_true(answers());
	close(held);
	held = -1;
}

static void remove_file(const char *name)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	unlink(path);
}

void test_bouncer_stop(void)
{
	if (bouncer <= 0)
		return;
	kill(bouncer, SIGTERM); /* at once: a test that failed has its clients still */
	while (waitpid(bouncer, NULL, 0) < 0 && errno == EINTR)
		;
	bouncer = 0;
	remove_file("ini");
	remove_file("log");
	rmdir(folder);
}
