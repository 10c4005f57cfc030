/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The fault proxy as a program, for shells and Python.
 *
 *	fault_proxy HOST PORT CONTROL [SECONDS]
 *
 * forwards a free port of 127.0.0.1 to HOST (an address or a socket directory) and PORT. It prints
 * "listening on PORT" once it does, and takes orders through the Unix socket CONTROL, which it
 * makes: one a line, answered by one line (support/proxy_words.c lists them; `quit` ends it). It
 * ends with its parent, by SIGTERM, or after SECONDS (120).
 */
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "support/proxy.h"

static const char *control_path;

static void go(int signum)
{
	unlink(control_path);
	_exit(signum == SIGALRM ? 124 : 128 + signum);
}

static int listen_at(const char *path)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(un.sun_path, sizeof(un.sun_path), "%s", path);
	if (fd < 0 || bind(fd, (struct sockaddr *)&un, sizeof(un)) != 0 || listen(fd, 8) != 0) {
		perror("fault_proxy: control");
		exit(EXIT_FAILURE);
	}
	return fd;
}

/* Orders of one who has come, until he goes; false: to quit. */
static bool obey(struct test_proxy *proxy, FILE *in, FILE *out)
{
	char line[256], answer[512];

	while (fgets(line, sizeof(line), in)) {
		if (strcmp(line, "quit\n") == 0) {
			fprintf(out, "ok\n");
			return false;
		}
		line[strcspn(line, "\r\n")] = '\0';
		(void)test_proxy_order(proxy, line, answer, sizeof(answer));
		fprintf(out, "%s\n", answer);
		fflush(out);
	}
	return true;
}

static bool serve_one(struct test_proxy *proxy, int listener)
{
	int fd = accept(listener, NULL, NULL);
	FILE *in = fd < 0 ? NULL : fdopen(fd, "r"), *out = fd < 0 ? NULL : fdopen(dup(fd), "w");
	bool on = true;

	if (in && out)
		on = obey(proxy, in, out);
	if (in)
		fclose(in);
	if (out)
		fclose(out);
	return on;
}

int main(int argc, char **argv)
{
	struct test_proxy *proxy;
	int listener, seconds = argc == 5 ? atoi(argv[4]) : 120;

	if (argc < 4 || argc > 5 || seconds <= 0) {
		fprintf(stderr, "usage: fault_proxy HOST PORT CONTROL [SECONDS]\n");
		return 2;
	}
	control_path = argv[3];
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	signal(SIGPIPE, SIG_IGN);
	listener = listen_at(control_path);
	signal(SIGTERM, go);
	signal(SIGINT, go);
	signal(SIGALRM, go);
	alarm((unsigned)seconds);
	proxy = test_proxy_start(&(struct test_proxy_options){
		.host = argv[1], .port = atoi(argv[2]), .max_seconds = seconds});
	printf("listening on %d\n", test_proxy_port(proxy));
	fflush(stdout);
	while (serve_one(proxy, listener))
		;
	test_proxy_stop(&proxy);
	close(listener);
	unlink(control_path);
	return 0;
}
