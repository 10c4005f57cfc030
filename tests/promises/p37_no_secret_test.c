/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Promise 37: a password is in no log, error, event, statistic, core dump or freed memory, whole or
 * percent-encoded, and no control byte of a server is in any text.
 *
 * The canary is kept here only in a disguise, and put together where weir is to find it. All memory
 * of the process is then searched for its beginning, which is the same plain and encoded: while a
 * pool is open it must be found (so the search works), and only in pages that no core dump has;
 * after close it must be nowhere. The driver is the fake one, as libpq's copies are libpq's: what
 * those come to is told by the last test.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include <libpq-fe.h>

#include "base/atomic.h"
#include "driver/fake.h"
#include "pool/chore.h"
#include "pool/pool.h"
#include "support/mock_server.h"
#include "support/threads.h"
#include "support/watchdog.h"

#define PATIENCE_MS 60000
#define KEY 0x5a

/* "cAnArY-" and what comes after it, plain and percent-encoded, each byte with KEY. */
static const unsigned char needle[] = {0x39, 0x1b, 0x34, 0x1b, 0x28, 0x03, 0x77};
static const char rest_plain[] = "p@ss/w:rd%25 x";
static const char rest_encoded[] = "p%40ss%2Fw%3Ard%2525%20x";

static volatile unsigned char key = KEY;

/* Adds the canary at `to` and returns its end. */
static char *add_canary(char *to, const char *rest)
{
	for (size_t i = 0; i < sizeof(needle); i++)
		*to++ = (char)(needle[i] ^ key);
	return stpcpy(to, rest);
}

/* ---- the search ---- */

struct search {
	unsigned in_dumps, not_in_dumps;
	unsigned char *buffer; /* its own mapping, not searched */
	size_t room;
};

static unsigned count_in(const unsigned char *at, size_t n)
{
	unsigned found = 0;

	for (size_t i = 0; i + sizeof(needle) <= n; i++) {
		size_t k = 0;

		while (k < sizeof(needle) && (at[i + k] ^ key) == needle[k])
			k++;
		found += k == sizeof(needle);
	}
	return found;
}

static unsigned count_region(struct search *s, int mem, unsigned long from, unsigned long to)
{
	unsigned found = 0;
	/* Pieces overlap, so that none is cut in two. */
	const size_t step = s->room - sizeof(needle);

	for (; from < to; from += step) {
		size_t want = to - from < s->room ? to - from : s->room;
		ssize_t n = pread(mem, s->buffer, want, (off_t)from);
		unsigned here = n > 0 ? count_in(s->buffer, (size_t)n) : 0;

		found += here;
		if (n <= 0)
			break;
	}
	return found;
}

static void search(struct search *s)
{
	FILE *maps = fopen("/proc/self/smaps", "r");
	int mem = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
	unsigned long from = 0, to = 0;
	unsigned found = 0;
	char line[512];

	assert_non_null(maps);
	assert_true(mem >= 0);
	s->room = 1 << 20;
	s->buffer = mmap(NULL, s->room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(s->buffer, MAP_FAILED);
	madvise(s->buffer, s->room, MADV_DONTDUMP); /* and thus no neighbour is merged with it */
	s->in_dumps = s->not_in_dumps = 0;
	while (fgets(line, sizeof(line), maps)) {
		char rights[8];

		if (sscanf(line, "%lx-%lx %7s", &from, &to, rights) == 3) {
			bool skipped = rights[0] != 'r' || strstr(line, "[v") ||
			               ((uintptr_t)s->buffer >= from && (uintptr_t)s->buffer < to);

			found = skipped ? 0 : count_region(s, mem, from, to);
			if (found && getenv("TEST_VERBOSE"))
				print_message("%u in %s", found, line);
		} else if (strncmp(line, "VmFlags:", 8) == 0) {
			*(strstr(line, " dd") ? &s->not_in_dumps : &s->in_dumps) += found;
		}
	}
	explicit_bzero(s->buffer, s->room);
	munmap(s->buffer, s->room);
	close(mem);
	fclose(maps);
}

/* ---- the pool ---- */

static struct wi_fake_server server;
static weir_options o;
static weir_pool *pool;
static weir_error error;
static char told[65536]; /* all that the events said */
static size_t told_length;

static void hear(void *arg, const weir_event *event)
{
	int n = snprintf(told + told_length, sizeof(told) - told_length, "%s\n", event->text);

	(void)arg;
	if (n > 0 && told_length + (size_t)n < sizeof(told))
		told_length += (size_t)n;
}

static bool credentials(void *arg, const char *host, weir_login *login)
{
	(void)arg;
	(void)host;
	add_canary(login->password, rest_plain);
	login->good_for_ms = 1000;
	return true;
}

static int set_up(void **state)
{
	(void)state;
	wi_fake_server_init(&server);
	weir_options_init(&o);
	o.pool_min = 0;
	o.on_event = hear;
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	wi_fake_server_fini(&server);
	return 0;
}

/* A page for a connection string of the program's own, which wipes it. */
static char *page(void)
{
	char *at = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	assert_ptr_not_equal(at, MAP_FAILED);
	return at;
}

static void drop_page(char *at)
{
	explicit_bzero(at, 4096);
	munmap(at, 4096);
}

static weir_status open_with(const char *before, const char *rest, const char *after)
{
	char *text = page();
	weir_status st;

	stpcpy(add_canary(stpcpy(text, before), rest), after);
	st = wi_pool_open_with(&wi_driver_fake, &wi_world_linux, &server, text, &o, &pool, &error);
	drop_page(text);
	return st;
}

/* Some work, with failures: their texts are in `told`, `error` and the statistics. */
static void work(void)
{
	weir_pool_stats stats;
	weir_conn *conn = NULL;

	assert_int_equal(weir_pool_checkout(pool, PATIENCE_MS, &conn, &error), WEIR_OK);
	wi_store_rlx(&server.connect_fault, WI_FAULT_AUTH);
	weir_discard(&conn);
	assert_int_equal(weir_pool_checkout(pool, PATIENCE_MS, &conn, &error), WEIR_AUTH);
	weir_pool_stats_get(pool, &stats);
	assert_true(stats.last_connect_error[0] != '\0');
	wi_store_rlx(&server.connect_fault, WI_FAULT_NONE);
}

static void close_and_search(void)
{
	struct search s;

	search(&s);
	print_message("open:   %u copies in pages that no core dump has, %u elsewhere\n",
	              s.not_in_dumps, s.in_dumps);
	assert_true(s.not_in_dumps > 0);
	assert_int_equal(s.in_dumps, 0);
	assert_int_equal(weir_pool_close(&pool, PATIENCE_MS), WEIR_OK);
	for (int i = 0; i < 10000 && wi_chores_under_way(); i++)
		usleep(1000);
	search(&s);
	print_message("closed: %u and %u\n", s.not_in_dumps, s.in_dumps);
	assert_int_equal(s.not_in_dumps + s.in_dumps, 0);
}

static void one_in_a_url_is_nowhere_else(void **state)
{
	(void)state;
	assert_int_equal(open_with("postgresql://app:", rest_encoded, "@127.0.0.1/shop"), WEIR_OK);
	work();
	close_and_search();
}

static void one_in_keywords_is_nowhere_else(void **state)
{
	(void)state;
	assert_int_equal(open_with("host=127.0.0.1 password='", rest_plain, "' user=app"), WEIR_OK);
	work();
	close_and_search();
}

static void one_of_a_callback_is_nowhere_else(void **state)
{
	(void)state;
	o.on_credentials = credentials;
	assert_int_equal(wi_pool_open_with(&wi_driver_fake, &wi_world_linux, &server,
	                                   "host=127.0.0.1", &o, &pool, &error),
	                 WEIR_OK);
	{
		weir_conn *conn = NULL;

		assert_int_equal(weir_pool_checkout(pool, PATIENCE_MS, &conn, &error), WEIR_OK);
		weir_checkin(&conn);
	}
	close_and_search();
}

/* Strings that are cut at the wrong place: the error says where, and leaves nothing behind. */
static void one_in_a_broken_string_is_nowhere(void **state)
{
	static const char *const broken[][2] = {
		{"postgresql://app:", "@127.0.0.1:port/shop"},
		{"postgresql://app:%zz", "@h/shop"},
		{"postgresql://", "@h1:x,h2/shop?pool_max=7"},
		{"postgresql://h/shop?", "=1"},
		{"postgresql://h/shop?pool_max=", ""},
		{"postgresql://h:", "/shop"},
		{"host=h password='", ""},
		{"host=h ", ""},
		{"host=h pool_max=", ""},
		{"postgres:/", "@h"},
	};
	struct search s;

	(void)state;
	for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++) {
		for (int k = 0; k < 2; k++) {
			weir_status st = open_with(broken[i][0], k ? rest_plain : rest_encoded,
			                           broken[i][1]);

			if (st == WEIR_OK)
				weir_pool_close(&pool, PATIENCE_MS);
		}
	}
	search(&s);
	assert_int_equal(s.not_in_dumps + s.in_dumps, 0);
}

/* ---- a real libpq, and a server that says the password back ---- */

/* In a process of its own, so that what the server knows is not found here. */
static pid_t start_server(int *port, int *end)
{
	int out[2], in[2];
	pid_t child;

	assert_int_equal(pipe(out), 0);
	assert_int_equal(pipe(in), 0);
	fflush(stdout);
	child = fork();
	if (child == 0) {
		struct test_mock *mock = test_mock_start(NULL);
		char password[64], text[256], *end_of;
		int p = test_mock_port(mock);

		add_canary(password, rest_plain);
		test_mock_password(mock, password);
		end_of = add_canary(stpcpy(text, "no \x1b[31m"), rest_plain);
		end_of = add_canary(stpcpy(end_of, "\nor "), rest_encoded);
		stpcpy(end_of, "\x07 here\x9b");
		test_mock_on(mock, "SELECT leak",
		             &(struct test_mock_reply){.act = TEST_MOCK_ERROR, .text = text});
		(void)!write(out[1], &p, sizeof(p));
		close(in[1]);
		(void)!read(in[0], &p, 1); /* until the parent is done, or gone */
		_exit(0);
	}
	close(in[0]);
	close(out[1]);
	assert_int_equal(read(out[0], port, sizeof(*port)), sizeof(*port));
	close(out[0]);
	*end = in[1];
	return child;
}

static bool is_clean(const char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < 0x20 || (unsigned char)*text >= 0x7f)
			return false;
	return true;
}

/* What a bare libpq leaves of a connection that is finished. */
static unsigned left_by_libpq(int port)
{
	char *text = page(), number[16];
	struct search s;
	PGconn *pg;

	snprintf(number, sizeof(number), "%d", port);
	*add_canary(
		stpcpy(stpcpy(stpcpy(text, "host=127.0.0.1 user=app dbname=shop port="), number),
	               " password='"),
		rest_plain) = '\'';
	pg = PQconnectdb(text);
	drop_page(text);
	assert_int_equal(PQstatus(pg), CONNECTION_OK);
	PQfinish(pg);
	search(&s);
	return s.in_dumps + s.not_in_dumps;
}

/* Opens a pool with `text`, a page, and has its server say the password. */
static void is_not_repeated(char *text)
{
	weir_conn *conn = NULL;

	assert_int_equal(weir_options_set(&o, "on_connect_sql", "SELECT leak", NULL), WEIR_OK);
	assert_int_equal(weir_pool_open(text, &o, &pool, &error), WEIR_OK);
	drop_page(text);
	told_length = 0;
	assert_int_not_equal(weir_pool_checkout(pool, PATIENCE_MS, &conn, &error), WEIR_OK);
	print_message("error: %s\n", error.text);
	assert_non_null(strstr(error.text, "no  [31m*** or ***  here"));
	assert_true(is_clean(error.text));
	assert_int_equal(count_in((unsigned char *)error.text, sizeof(error.text)), 0);
	assert_int_equal(weir_pool_close(&pool, PATIENCE_MS), WEIR_OK);
	assert_true(told_length > 0);
	assert_int_equal(count_in((unsigned char *)told, told_length), 0);
}

static void a_server_that_says_it_back_is_not_repeated(void **state)
{
	char *text = page(), number[16];
	int port, end, status;
	pid_t child = start_server(&port, &end);
	struct search s;
	unsigned bare;

	(void)state;
	snprintf(number, sizeof(number), "%d", port);
	stpcpy(stpcpy(stpcpy(add_canary(stpcpy(text, "postgresql://app:"), rest_encoded),
	                     "@127.0.0.1:"),
	              number),
	       "/shop");
	is_not_repeated(text);
	search(&s);
	bare = left_by_libpq(port);
	print_message("left in freed memory: %u by libpq under weir, %u with a bare libpq after\n",
	              s.in_dumps + s.not_in_dumps, bare);
	close(end);
	assert_int_equal(waitpid(child, &status, 0), child);
}

/* weir does not read the file, libpq does. */
static void nor_is_one_from_a_password_file(void **state)
{
	char *text = page(), *line = page(), path[] = "/tmp/weir-p37-XXXXXX";
	int port, end, status, file = mkstemp(path);
	pid_t child = start_server(&port, &end);
	size_t n;

	(void)state;
	assert_true(file >= 0);
	n = (size_t)(add_canary(stpcpy(line, "*:*:*:*:"), "p@ss/w\\:rd%25 x") - line);
	assert_int_equal(write(file, line, n), (ssize_t)n);
	close(file);
	drop_page(line);
	snprintf(text, 4096, "host=127.0.0.1 port=%d user=app dbname=shop passfile=%s", port, path);
	is_not_repeated(text);
	unlink(path);
	close(end);
	assert_int_equal(waitpid(child, &status, 0), child);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(one_in_a_url_is_nowhere_else),
		TEST(one_in_keywords_is_nowhere_else),
		TEST(one_of_a_callback_is_nowhere_else),
		TEST(one_in_a_broken_string_is_nowhere),
		TEST(a_server_that_says_it_back_is_not_repeated),
		TEST(nor_is_one_from_a_password_file),
	};

	if (test_slowness() > 1) {
		printf("skipped: a sanitizer or valgrind keeps memory of its own, with copies\n");
		return 77;
	}
	test_watchdog(90, "promise.37_no_secret");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
