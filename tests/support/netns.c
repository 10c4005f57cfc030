/* SPDX-License-Identifier: BSD-2-Clause */
#include "support/netns.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define SKIPPED 77

static int ns[2] = {-1, -1};

static void skip(const char *why)
{
	printf("skipped: %s\n", why);
	exit(SKIPPED);
}

static void die(const char *what)
{
	fprintf(stderr, "netns: %s: %s\n", what, strerror(errno));
	exit(EXIT_FAILURE);
}

/* ---- programs ---- */

static const char *find(const char *name)
{
	static const char *const places[] = {"/usr/sbin", "/sbin", "/usr/bin", "/bin"};
	static char paths[4][64];
	static int next;

	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		char *path = paths[next % 4];

		snprintf(path, sizeof(paths[0]), "%s/%s", places[i], name);
		if (access(path, X_OK) != 0)
			continue;
		next++;
		return path;
	}
	return NULL;
}

/* In the child: text as standard input, and the program. Never returns. */
static void become(int side, const char *path, const char *const words[], int input)
{
	if (setns(ns[side], CLONE_NEWNET) != 0 || dup2(input, STDIN_FILENO) < 0)
		_exit(126);
	execv(path, (char *const *)(uintptr_t)words);
	_exit(127);
}

/* Runs a program on one side with this text as its input. True if it ended well. */
static bool run(int side, const char *const words[], const char *text)
{
	const char *path = find(words[0]);
	int input = memfd_create("input", MFD_CLOEXEC), status = -1;
	pid_t child;

	if (!path || input < 0 || write(input, text, strlen(text)) != (ssize_t)strlen(text) ||
	    lseek(input, 0, SEEK_SET) != 0)
		return false;
	child = fork();
	if (child == 0)
		become(side, path, words, input);
	close(input);
	while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	return child > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static bool ip(int side, const char *batch)
{
	return run(side, (const char *const[]){"ip", "-batch", "-", NULL}, batch);
}

static bool nft(const char *rules)
{
	return run(TEST_NETNS_DB, (const char *const[]){"nft", "-f", "-", NULL}, rules);
}

/* ---- files ---- */

static const char *const etc[] = {"/etc/hosts", "/etc/resolv.conf", "/etc/nsswitch.conf"};

/* In one write and one cut, so that a reader sees the old or the new, or at worst both. */
static void put_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

	if (fd < 0 || pwrite(fd, text, strlen(text), 0) != (ssize_t)strlen(text) ||
	    ftruncate(fd, (off_t)strlen(text)) != 0)
		die(path);
	close(fd);
}

static void cover(const char *directory, const char *path)
{
	char with[64];

	snprintf(with, sizeof(with), "%s%s", directory, strrchr(path, '/'));
	put_file(with, "");
	if (access(path, F_OK) != 0)
		skip("a file of /etc that the test would cover is not there");
	if (mount(with, path, "none", MS_BIND, NULL) != 0)
		die(path);
}

/*
 * Nobody outside sees it: the mount namespace is this process's own. The directory is gone at once;
 * what covers the files stays as long as it does.
 */
static void cover_etc(void)
{
	char directory[] = "/tmp/weir-netns.XXXXXX";

	if (!mkdtemp(directory) || mount("weir", directory, "tmpfs", 0, "size=64k") != 0)
		die(directory);
	for (size_t i = 0; i < sizeof(etc) / sizeof(etc[0]); i++)
		cover(directory, etc[i]);
	if (umount2(directory, MNT_DETACH) != 0 || rmdir(directory) != 0)
		die(directory);
	test_netns_hosts("");
	test_netns_dead_resolver(false);
}

/* ---- making them ---- */

static int new_network(void)
{
	int fd;

	if (unshare(CLONE_NEWNET) != 0)
		skip("this kernel or sandbox gives no network namespace");
	fd = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		die("/proc/thread-self/ns/net");
	return fd;
}

static void join(void)
{
	char batch[512];

	snprintf(batch, sizeof(batch),
	         "link add wa type veth peer name wd netns /proc/%d/fd/%d\n"
	         "addr add " TEST_NETNS_APP_ADDRESS "/24 dev wa\n"
	         "link set lo up\nlink set wa up\n",
	         (int)getpid(), ns[TEST_NETNS_DB]);
	if (!ip(TEST_NETNS_APP, batch) ||
	    !ip(TEST_NETNS_DB, "addr add " TEST_NETNS_DB_ADDRESS "/24 dev wd\n"
	                       "addr add " TEST_NETNS_DB_OTHER "/24 dev wd\n"
	                       "link set lo up\nlink set wd up\n"))
		skip("ip cannot make a pair of veth here");
	if (!nft("table inet w {\n}\n"))
		skip("nft cannot make a table here");
}

/* Nothing is left open at exit; who is in one of them keeps it. */
static void let_go(void)
{
	close(ns[TEST_NETNS_APP]);
	close(ns[TEST_NETNS_DB]);
}

void test_netns_make_or_exit(void)
{
	if (geteuid() != 0)
		skip("network namespaces need root");
	if (!find("ip") || !find("nft"))
		skip("ip (iproute2) or nft (nftables) is missing");
	if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) != 0)
		skip("this kernel or sandbox gives no mount namespace");
	ns[TEST_NETNS_DB] = new_network();
	ns[TEST_NETNS_APP] = new_network();
	atexit(let_go);
	join();
	cover_etc();
	test_netns_enter(TEST_NETNS_APP);
}

void test_netns_enter(enum test_netns_side side)
{
	if (setns(ns[side], CLONE_NEWNET) != 0)
		die("setns");
}

/* ---- faults ---- */

/* What comes to DB and is lost or refused, and what leaves it and is lost; NULL: all passes. */
static const struct {
	const char *in, *out;
} verdicts[] = {
	[TEST_NETNS_BLACK_HOLE] = {"drop", "drop"},
	[TEST_NETNS_TO_DB] = {"drop", NULL},
	[TEST_NETNS_FROM_DB] = {NULL, "drop"},
	[TEST_NETNS_RESET] = {"reject with tcp reset", NULL},
	[TEST_NETNS_LOSSY] = {"numgen random mod 100 < 30 drop", NULL},
};

/* One statement a line: nft takes no chain in one. */
static void add_chain(FILE *out, const char *hook, const char *port_word, int port,
                      const char *verdict)
{
	fprintf(out, "\tchain %s {\n\t\ttype filter hook %s priority 0\n\t\tpolicy accept\n", hook,
	        hook);
	if (verdict && port)
		fprintf(out, "\t\ttcp %s %d %s\n", port_word, port, verdict);
	else if (verdict)
		fprintf(out, "\t\tmeta l4proto { tcp, udp } %s\n", verdict);
	fprintf(out, "\t}\n");
}

static void replace_rules(const char *in, const char *out, int port)
{
	char *rules = NULL;
	size_t size;
	FILE *f = open_memstream(&rules, &size);

	if (!f)
		die("no memory");
	fprintf(f, "delete table inet w\ntable inet w {\n"); /* one transaction */
	add_chain(f, "input", "dport", port, in);
	add_chain(f, "output", "sport", port, out);
	fprintf(f, "}\n");
	fclose(f);
	if (!nft(rules))
		die("nft");
	free(rules);
}

void test_netns_fault(enum test_netns_fault fault, int port)
{
	replace_rules(verdicts[fault].in, verdicts[fault].out, port);
}

void test_netns_heal(void)
{
	replace_rules(NULL, NULL, 0);
}

void test_netns_hosts(const char *text)
{
	char all[2048];

	snprintf(all, sizeof(all), "127.0.0.1 localhost\n%s", text);
	put_file("/etc/hosts", all);
}

void test_netns_dead_resolver(bool dead)
{
	/* Nobody answers at that address, and nobody says so: the packets are lost in DB. */
	put_file("/etc/resolv.conf", dead ? "nameserver " TEST_NETNS_DB_ADDRESS
	                                    "\noptions timeout:4 attempts:1\n"
	                                  : "");
	put_file("/etc/nsswitch.conf", dead ? "hosts: files dns\n" : "hosts: files\n");
	if (dead &&
	    !nft("table inet dns {\n\tchain input {\n\t\ttype filter hook input priority 0\n"
	         "\t\tpolicy accept\n\t\tudp dport 53 drop\n\t}\n}\n"))
		die("nft");
}
